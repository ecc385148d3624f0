// Contestant: asks of entities at home and on another node, over TLS. With the mode `placement` the
// coordinator's decision is timed.
import { leastLoad, leastShards } from '../../src/sharding/index.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { BenchFleet } from './fleet.ts';
import { askRate, askTimes } from './workload.ts';
import type { AllocationView } from '../../src/sharding/index.ts';
import type { ShardingWorkload } from './workload.ts';

const workload = readWorkload<ShardingWorkload>();

async function measureAsks(): Promise<Record<string, number>> {
  const { inFlight, warmUpMs, measureMs, entities, shards } = workload;
  const fleet = await BenchFleet.found({ shards, durable: false });
  const { founder, counter } = fleet;
  await fleet.join('node-1');
  await fleet.balanced(2);
  const before = fleet.table;
  const all = Array.from({ length: entities }, (_, i) => founder.entity(counter, `entity-${i}`));
  const idsAt = (node: string) => all.filter(({ shard }) => before[shard]!.owner === node);
  const figures: Record<string, number> = {};
  for (const [where, node] of [
    ['local', 'node-0'],
    ['remote', 'node-1'],
  ] as const) {
    const counters = idsAt(node);
    const ask = (turn: number) => counters[turn % counters.length]!.ask({ add: 1 });
    await askRate(ask, { inFlight, forMs: warmUpMs });
    figures[`${where}AsksPerSecond`] = await askRate(ask, { inFlight, forMs: measureMs });
    const [p50, p99] = await askTimes(ask, { forMs: measureMs / 2, at: [0.5, 0.99] });
    const stayed = counters.every(
      ({ shard }) => fleet.table[shard]!.epoch === before[shard]!.epoch,
    );
    if (!stayed) throw new Error('shards moved while they were asked: the machine is too busy');
    figures[`${where}P50Us`] = p50!;
    figures[`${where}P99Us`] = p99!;
  }
  await fleet.stop();
  return figures;
}

/** One vacant shard's place, and one look at the balance, with 32 nodes. */
function measurePlacement(): Record<string, number> {
  const { shards, measureMs } = workload;
  const nodes = Array.from({ length: 32 }, (_, i) => `node-${i}`);
  const owners = Array.from({ length: shards }, (_, shard) => nodes[shard % nodes.length]!);
  const candidates = nodes.map((node, i) => {
    const count = owners.filter((owner) => owner === node).length;
    return { node, shards: count, added: 0, load: (i % 10) / 100 };
  });
  const view: AllocationView = {
    type: 'counter',
    shards,
    candidates,
    ownerOf: (shard) => owners[shard],
    restedMs: () => Infinity,
    mayMove: () => true,
  };
  const microseconds = (work: () => unknown) => {
    const untilMs = performance.now() + measureMs / 8;
    const startedMs = performance.now();
    let times = 0;
    for (; performance.now() < untilMs; times++) work();
    return (1000 * (performance.now() - startedMs)) / times;
  };
  return {
    leastShardsAllocateUs: microseconds(() => leastShards.allocate(0, view)),
    leastLoadAllocateUs: microseconds(() => leastLoad.allocate(0, view)),
    leastShardsRebalanceUs: microseconds(() => leastShards.rebalance(view, 25)),
    leastLoadRebalanceUs: microseconds(() => leastLoad.rebalance(view, 25)),
  };
}

report(readMode() === 'placement' ? measurePlacement() : await measureAsks());
