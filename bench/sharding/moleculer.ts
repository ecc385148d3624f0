// Contestant: counters in a Moleculer service on two nodes, over its own TCP transport (no TLS), in
// JSON. The shard strategy sends an id to the same node always. Its counters are a plain map: no
// mailbox, no owner, nothing moves when a node comes or goes.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { loadPeer } from '../peers/load.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { askRate, askTimes, freePort } from './workload.ts';
import type { ShardingWorkload } from './workload.ts';

interface Context {
  readonly params: { readonly id: string; readonly amount: number };
}

interface Broker {
  readonly registry: { readonly nodes: { readonly localNode: { hostname: string } } };
  createService(schema: object): void;
  start(): Promise<void>;
  stop(): Promise<void>;
  call(action: string, params: object): Promise<unknown>;
}

interface Moleculer {
  readonly ServiceBroker: new (options: object) => Broker;
}

const NODES = ['node-0', 'node-1'];
const HOST = '127.0.0.1';
const TIMEOUT_MS = 20_000;

const workload = readWorkload<ShardingWorkload>();
const { ServiceBroker } = await loadPeer<Moleculer>('moleculer');

async function startBroker(nodeID: string, ports: readonly number[]): Promise<Broker> {
  const broker = new ServiceBroker({
    nodeID,
    logger: false,
    requestTimeout: TIMEOUT_MS,
    registry: { preferLocal: false },
    transporter: {
      type: 'TCP',
      options: {
        udpDiscovery: false,
        gossipPeriod: 1,
        urls: ports.map((port, node) => `${HOST}:${port}/${NODES[node]}`),
      },
    },
  });
  broker.registry.nodes.localNode.hostname = HOST;
  const values = new Map<string, number>();
  // With room in its cache for all ids, none is hashed twice.
  const strategyOptions = { shardKey: 'id', cacheSize: workload.entities };
  const sharded = { strategy: 'Shard', strategyOptions };
  broker.createService({
    name: 'counter',
    actions: {
      where: { ...sharded, handler: () => nodeID },
      add: {
        ...sharded,
        handler: ({ params: { id, amount } }: Context) => {
          const value = (values.get(id) ?? 0) + amount;
          values.set(id, value);
          return value;
        },
      },
    },
  });
  await broker.start();
  return broker;
}

/** The transport listens on every address of the machine; here it keeps to this one. */
function listenHereOnly(): void {
  const { listen } = net.Server.prototype;
  net.Server.prototype.listen = function (this: net.Server, ...args: unknown[]) {
    const [options, ...rest] = args;
    return Reflect.apply(listen, this, [{ ...(options as object), host: HOST }, ...rest]);
  } as typeof listen;
}

/** Ids by node, once both nodes know each other. */
async function placesOf(broker: Broker): Promise<Map<string, string[]>> {
  for (;;) {
    const places = new Map<string, string[]>();
    for (let i = 0; i < workload.entities; i++) {
      const id = `entity-${i}`;
      const node = (await broker.call('counter.where', { id })) as string;
      const ids = places.get(node) ?? [];
      places.set(node, ids);
      ids.push(id);
    }
    if (places.size === NODES.length) return places;
    await delay(50);
  }
}

async function main(): Promise<void> {
  const ports = [await freePort(), await freePort()];
  const other = fork(import.meta.filename, [JSON.stringify(workload), JSON.stringify(ports)]);
  await once(other, 'message');
  listenHereOnly();
  const broker = await startBroker(NODES[0]!, ports);
  const places = await placesOf(broker);
  const { inFlight, warmUpMs, measureMs } = workload;
  const figures: Record<string, number> = {};
  for (const [index, where] of ['local', 'remote'].entries()) {
    const ids = places.get(NODES[index]!)!;
    const ask = (turn: number) =>
      broker.call('counter.add', { id: ids[turn % ids.length]!, amount: 1 });
    await askRate(ask, { inFlight, forMs: warmUpMs });
    figures[`${where}AsksPerSecond`] = await askRate(ask, { inFlight, forMs: measureMs });
    const [p50, p99] = await askTimes(ask, { forMs: measureMs / 2, at: [0.5, 0.99] });
    figures[`${where}P50Us`] = p50!;
    figures[`${where}P99Us`] = p99!;
  }
  other.disconnect();
  await once(other, 'exit');
  report(figures);
  process.exit(0);
}

if (readMode() === '') {
  await main();
} else {
  listenHereOnly();
  await startBroker(NODES[1]!, JSON.parse(readMode()) as number[]);
  process.once('disconnect', () => process.exit(0));
  process.send!({ ready: true });
}
