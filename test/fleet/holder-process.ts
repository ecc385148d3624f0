// A member as a process of its own, for `pause.test.ts`: real TLS, membership, the founder's store
// and an election, and nothing above them. Its parent tells it what to do, and hears of what it
// sees with times of the machine's monotonic clock, which is one for all processes.
import { Cluster, Coordinator } from '../../src/cluster/index.ts';
import {
  createPrng,
  hasCode,
  messageOf,
  silentLogger as log,
  systemClock as clock,
} from '../../src/core/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { Election, EmbeddedStore, RemoteStore, serveStore } from '../../src/store/index.ts';
import { formatAddress, TlsTransport } from '../../src/transport/index.ts';
import type { Credentials } from '../../src/identity/index.ts';

export interface Start {
  readonly credentials: Credentials;
  /** Where the store lies: this process is the founder. */
  readonly store?: string;
  readonly seeds: readonly string[];
  readonly key: string;
  readonly ttlMs: number;
}

export type Order =
  | { readonly type: 'start'; readonly start: Start }
  | { readonly type: 'campaign' }
  /** Calls a member that never answers. */
  | { readonly type: 'wait-for'; readonly name: string };

export type Report = { readonly at: number } & (
  | { readonly type: 'started'; readonly address: string }
  | { readonly type: 'sees'; readonly name: string; readonly status: string }
  | { readonly type: 'acts'; readonly epoch: number }
  | { readonly type: 'waited'; readonly code: string; readonly message: string }
);

const ACT_EVERY_MS = 20;
const WAIT_TIMEOUT_MS = 120_000;

const now = () => Number(process.hrtime.bigint()) / 1e6;
const tell = (report: Report) => void process.send?.(report);

async function start({ credentials, store: file, seeds, key, ttlMs }: Start) {
  const prng = createPrng(process.pid);
  const host = new PeerHost({
    clock,
    log,
    transport: new TlsTransport({ clock, log, credentials }),
  });
  const address = formatAddress(await host.listen({ host: '127.0.0.1', port: 0 }));
  const { name } = host;
  const coordinator = new Coordinator({ clock }, { nodeId: name, bindAddr: address });
  const cluster = new Cluster({ host, coordinator, clock, prng, log }, { address });
  cluster.watch(({ member }) =>
    tell({ type: 'sees', name: member.name, status: member.status, at: now() }),
  );
  host.handle('wait', () => new Promise(() => {}));
  const embedded = file === undefined ? undefined : await EmbeddedStore.open(file, { clock });
  if (embedded !== undefined) serveStore(host, embedded);
  await cluster.start(seeds);
  const store = embedded ?? new RemoteStore(host, cluster.founder, { clock, callTimeoutMs: ttlMs });
  const election = new Election({ store, clock, prng, log }, { key, name, ttlMs });
  clock.repeat(ACT_EVERY_MS, () => {
    const at = now();
    const term = election.term();
    if (term !== undefined) tell({ type: 'acts', epoch: term.epoch, at });
  });
  tell({ type: 'started', address, at: now() });
  return { host, election };
}

let member: Awaited<ReturnType<typeof start>> | undefined;

process.on('message', async (order: Order) => {
  if (order.type === 'start') {
    member = await start(order.start);
  } else if (order.type === 'campaign') {
    member!.election.start();
  } else {
    const request = { body: null };
    await member!.host
      .call(order.name, 'wait', request, { timeoutMs: WAIT_TIMEOUT_MS })
      .catch((error: unknown) => {
        const code = hasCode(error) ? error.code : 'no code';
        tell({ type: 'waited', code, message: messageOf(error), at: now() });
      });
  }
});
process.on('disconnect', () => process.exit());
