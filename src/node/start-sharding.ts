// Sharding of one node: where its journal is, what it knows of load, when it drains.
import { FileJournal, RemoteJournal, serveJournal, Sharding } from '../sharding/index.ts';
import { layoutOf } from './config.ts';
import type { Cluster, Coordinator } from '../cluster/index.ts';
import type { Clock, Logger, Prng } from '../core/index.ts';
import type { PeerHost } from '../peer/index.ts';
import type { Store } from '../store/index.ts';
import type { NodeConfig } from './config.ts';

interface ShardingParts {
  readonly host: PeerHost;
  readonly cluster: Cluster;
  readonly coordinator: Coordinator;
  readonly store: Store;
  /** The founder keeps the journal of all nodes. */
  readonly founding: boolean;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
  readonly stack: AsyncDisposableStack;
}

/** Errors: `journal_corrupt`. */
export async function startSharding(config: NodeConfig, parts: ShardingParts): Promise<Sharding> {
  const { host, cluster, coordinator, store, founding, clock, prng, log, stack } = parts;
  if (founding) {
    const kept = await FileJournal.open(layoutOf(config.dataDir).journal, { log });
    stack.defer(() => kept.close());
    serveJournal(host, kept);
  }
  const journal = new RemoteJournal(host, cluster.founder);
  const load = (node: string) => coordinator.load.of(node);
  const sharding = new Sharding({ host, store, journal, load, clock, prng, log });
  sharding.start();
  stack.defer(() => sharding.stop());
  return sharding;
}
