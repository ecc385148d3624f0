// Contestant: asks of entities at home and on another node, over TLS. With the mode `movement` a
// node joins and another leaves under steady asks; with `failover` one is killed; with `placement`
// the coordinator's decision is timed.
import { setTimeout as delay } from 'node:timers/promises';
import { leastLoad, leastShards } from '../../src/sharding/index.ts';
import { hasCode } from '../../src/node/index.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { BenchFleet, counterOf } from './fleet.ts';
import { askRate, askTimes, quantile } from './workload.ts';
import type { AllocationView } from '../../src/sharding/index.ts';
import type { ShardingWorkload } from './workload.ts';

const workload = readWorkload<ShardingWorkload>();
const MODES: Record<string, () => Promise<Record<string, number>>> = {
  '': measureAsks,
  movement: measureMovement,
  failover: measureFailover,
  placement: async () => measurePlacement(),
};

async function measureAsks(): Promise<Record<string, number>> {
  const fleet = await BenchFleet.found();
  const Counter = counterOf(workload);
  const { founder } = fleet;
  founder.host(Counter, counterOf(workload, true));
  await fleet.join('node-1', workload);
  await fleet.balanced('counter', 2);
  const { inFlight, warmUpMs, measureMs, entities } = workload;
  const table = founder.sharding.view.tables.get('counter')!.entries;
  const all = Array.from({ length: entities }, (_, i) => founder.entity(Counter, `entity-${i}`));
  const idsAt = (node: string) => all.filter(({ shard }) => table[shard]!.owner === node);
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
    const now = founder.sharding.view.tables.get('counter')!.entries;
    const stayed = counters.every(({ shard }) => now[shard]!.epoch === table[shard]!.epoch);
    if (!stayed) throw new Error('shards moved while they were asked: the machine is too busy');
    figures[`${where}P50Us`] = p50!;
    figures[`${where}P99Us`] = p99!;
  }
  await fleet.stop();
  return figures;
}

type Counter = ReturnType<typeof counterOf>;

interface Steady {
  /** `longestMs`: the longest that an ask to each shard took. */
  stop(): Promise<{ asks: number; lost: number; longestMs: number[] }>;
}

/** Asks all entities in turn, at a steady rate. */
function steadyAsks({ founder }: BenchFleet, type: Counter): Steady {
  const longestMs: number[] = [];
  let asks = 0;
  let lost = 0;
  let open = 0;
  const ask = async (turn: number) => {
    const counter = founder.entity(type, `entity-${turn % workload.entities}`);
    const startedMs = performance.now();
    open++;
    try {
      await counter.ask({ add: 1 }, { timeoutMs: 20_000 });
    } catch (error) {
      lost++;
      if (!hasCode(error, 'outcome_unknown', 'not_delivered')) throw error;
    }
    const tookMs = performance.now() - startedMs;
    longestMs[counter.shard] = Math.max(tookMs, longestMs[counter.shard] ?? 0);
    open--;
  };
  const everyMs = 5;
  const timer = setInterval(() => {
    const wanted = (workload.steadyPerSecond * everyMs) / 1000;
    for (let i = 0; i < wanted; i++) void ask(asks++);
  }, everyMs);
  return {
    async stop() {
      clearInterval(timer);
      while (open > 0) await delay(5);
      return { asks, lost, longestMs };
    },
  };
}

async function foundWithCounter(): Promise<{ fleet: BenchFleet; type: Counter }> {
  const fleet = await BenchFleet.found();
  const type = counterOf(workload);
  fleet.founder.host(type, counterOf(workload, true));
  return { fleet, type };
}

/** The pause of a shard is the longest that an ask to it took while it moved. */
async function measureMovement(): Promise<Record<string, number>> {
  const { fleet, type } = await foundWithCounter();
  const leaving = await fleet.join('node-1', workload);
  await fleet.balanced('counter', 2);
  const before = fleet.founder.sharding.view.tables.get('counter')!.entries;
  const warm = steadyAsks(fleet, type);
  await delay(workload.warmUpMs);
  await warm.stop();
  const steady = steadyAsks(fleet, type);
  await fleet.join('node-2', workload);
  await fleet.balanced('counter', 3);
  const exited = new Promise((resolve) => leaving.once('exit', resolve));
  leaving.send('leave');
  await exited;
  await fleet.balanced('counter', 2);
  const { asks, lost, longestMs } = await steady.stop();
  const after = fleet.founder.sharding.view.tables.get('counter')!.entries;
  const moved = after.flatMap(({ epoch }, shard) => (epoch > before[shard]!.epoch ? [shard] : []));
  const pauses = moved.map((shard) => longestMs[shard] ?? 0);
  await fleet.stop();
  return {
    asks,
    lost,
    moved: moved.length,
    pauseP50Ms: quantile(pauses, 0.5),
    pauseP99Ms: quantile(pauses, 0.99),
  };
}

/** From kill -9 until an ask of each shard of the killed node is answered again. */
async function measureFailover(): Promise<Record<string, number>> {
  const { fleet, type } = await foundWithCounter();
  const { founder } = fleet;
  await fleet.join('node-1', workload);
  const victim = await fleet.join('node-2', workload);
  await fleet.balanced('counter', 3);
  const table = founder.sharding.view.tables.get('counter')!.entries;
  const lost = table.flatMap(({ owner }, shard) => (owner === 'node-2' ? [shard] : []));
  const idOf = new Map<number, string>();
  for (let i = 0; idOf.size < workload.shards; i++) {
    const { shard, id } = founder.entity(type, `probe-${i}`);
    if (!idOf.has(shard)) idOf.set(shard, id);
  }
  await Promise.all(lost.map((shard) => founder.entity(type, idOf.get(shard)!).ask({ add: 1 })));
  victim.kill('SIGKILL');
  const killedMs = performance.now();
  const times = await Promise.all(
    lost.map(async (shard) => {
      for (;;) {
        try {
          await founder.entity(type, idOf.get(shard)!).ask('get', { timeoutMs: 15_000 });
          return performance.now() - killedMs;
        } catch (error) {
          if (!hasCode(error, 'outcome_unknown', 'not_delivered')) throw error;
        }
      }
    }),
  );
  await fleet.stop();
  return {
    shards: lost.length,
    recoveredP50Ms: quantile(times, 0.5),
    recoveredP99Ms: quantile(times, 0.99),
  };
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

report(await MODES[readMode()]!());
