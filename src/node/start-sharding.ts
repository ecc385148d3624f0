// Sharding of one node: where its journal is, what it knows of load, when it drains.
import {
  FileJournal,
  RemoteJournal,
  serveJournal,
  Sharding,
  StoreJournal,
} from '../sharding/index.ts';
import { layoutOf } from './config.ts';
import type { Cluster, Coordinator } from '../cluster/index.ts';
import type { Clock, Logger, Prng } from '../core/index.ts';
import type { PeerHost } from '../peer/index.ts';
import type { AnyEntityType, Journal } from '../sharding/index.ts';
import type { Store } from '../store/index.ts';
import type { NodeConfig } from './config.ts';

interface ShardingParts {
  readonly host: PeerHost;
  readonly cluster: Cluster;
  readonly coordinator: Coordinator;
  readonly store: Store;
  /** The founder keeps the journal of all nodes, unless etcd does. */
  readonly founding: boolean;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
  readonly stack: AsyncDisposableStack;
}

/** Errors: `journal_corrupt`, `type_conflict`. */
export async function startSharding(config: NodeConfig, parts: ShardingParts): Promise<Sharding> {
  const { host, coordinator, store, clock, prng, log, stack } = parts;
  const journal = await openJournal(config, parts);
  const load = (node: string) => coordinator.load.of(node);
  const sharding = new Sharding({ host, store, journal, load, clock, prng, log });
  sharding.start();
  for (const type of config.entities) sharding.register(type as unknown as AnyEntityType);
  stack.defer(() => sharding.stop());
  return sharding;
}

/** On the founder's disk, or in an etcd, so that durable entities outlive whatever decisions do. */
async function openJournal(
  config: NodeConfig,
  { host, cluster, store, founding, log, stack }: ShardingParts,
): Promise<Journal> {
  if (config.store !== 'embedded') return new StoreJournal(store);
  if (founding) {
    const kept = await FileJournal.open(layoutOf(config.dataDir).journal, { log });
    stack.defer(() => kept.close());
    serveJournal(host, kept, store);
  }
  return new RemoteJournal(host, cluster.founder);
}
