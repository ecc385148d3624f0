// Contestant: shards that change their owner under steady asks. A node joins, is drained and comes
// back, another leaves; with the mode `failover` one is killed. `durable` in the mode has every
// increment on disk before it is answered.
import { setTimeout as delay } from 'node:timers/promises';
import { hasCode } from '../../src/node/index.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { BenchFleet } from './fleet.ts';
import { quantile } from './workload.ts';
import type { ShardingWorkload } from './workload.ts';

const ASK_TIMEOUT_MS = 20_000;
/** How often asks are sent. */
const BEAT_MS = 5;
/** How often the table is looked at for shards that begin to move. */
const LOOK_MS = 1;

const workload = readWorkload<ShardingWorkload>();
const modes = readMode().split(',');

/** What became of all increments. */
interface Tally {
  asks: number;
  /** It is not known whether they were handled, or known that they were not. */
  lost: number;
  /** Their sum, as it was acknowledged. */
  acknowledged: number;
}

async function foundFleet(): Promise<BenchFleet> {
  return BenchFleet.found({ shards: workload.shards, durable: modes.includes('durable') });
}

async function increment(fleet: BenchFleet, id: string, tally: Tally): Promise<void> {
  tally.asks++;
  try {
    await fleet.founder.entity(fleet.counter, id).ask({ add: 1 }, { timeoutMs: ASK_TIMEOUT_MS });
    tally.acknowledged++;
  } catch (error) {
    tally.lost++;
    if (!hasCode(error, 'outcome_unknown', 'not_delivered')) throw error;
  }
}

/** Asks all entities in turn, at a steady rate, until it is stopped. */
function steadyAsks(fleet: BenchFleet, tally: Tally): () => Promise<void> {
  const open = new Set<Promise<void>>();
  let turn = 0;
  const timer = setInterval(() => {
    const wanted = (workload.steadyPerSecond * BEAT_MS) / 1000;
    for (let i = 0; i < wanted; i++) {
      const asked = increment(fleet, `entity-${turn++ % workload.entities}`, tally);
      open.add(asked);
      void asked.finally(() => open.delete(asked));
    }
  }, BEAT_MS);
  return async () => {
    clearInterval(timer);
    await Promise.all(open);
  };
}

/** An id in each shard. */
function probesOf({ founder, counter }: BenchFleet): Map<number, string> {
  const ids = new Map<number, string>();
  for (let i = 0; ids.size < workload.shards; i++) {
    const { shard, id } = founder.entity(counter, `probe-${i}`);
    if (!ids.has(shard)) ids.set(shard, id);
  }
  return ids;
}

/**
 * From when a shard is seen to move, it is asked again and again until its next owner has answered:
 * its pause is the longest of these asks. One for each move.
 */
function watchPauses(fleet: BenchFleet, tally: Tally) {
  const pauses: number[] = [];
  const watched = new Set<number>();
  const probes = probesOf(fleet);
  const watch = async (shard: number, epoch: number) => {
    watched.add(shard);
    let longestMs = 0;
    for (let answeredAt = epoch; answeredAt === epoch; ) {
      const startedMs = performance.now();
      await increment(fleet, probes.get(shard)!, tally);
      longestMs = Math.max(longestMs, performance.now() - startedMs);
      answeredAt = fleet.table[shard]!.epoch;
      await delay(1);
    }
    pauses.push(longestMs);
    watched.delete(shard);
  };
  const timer = setInterval(() => {
    for (const [shard, { move, epoch }] of fleet.table.entries()) {
      if (move !== undefined && !watched.has(shard)) void watch(shard, epoch);
    }
  }, LOOK_MS);
  return {
    async stop(): Promise<number[]> {
      while (watched.size > 0) await delay(5);
      clearInterval(timer);
      return pauses;
    },
  };
}

/** Every entity into memory, and a few turns for the compiler. */
async function touchAll(fleet: BenchFleet, tally: Tally): Promise<void> {
  const { entities } = workload;
  for (let from = 0; from < entities; from += 500) {
    const some = Array.from({ length: Math.min(500, entities - from) }, (_, i) => from + i);
    await Promise.all(some.map((entity) => increment(fleet, `entity-${entity}`, tally)));
  }
}

/** What all counters are worth together. */
async function total(fleet: BenchFleet): Promise<number> {
  const entities = Array.from({ length: workload.entities }, (_, i) => `entity-${i}`);
  const ids = [...entities, ...probesOf(fleet).values()];
  let sum = 0;
  for (let from = 0; from < ids.length; from += 500) {
    const asks = ids
      .slice(from, from + 500)
      .map((id) => fleet.founder.entity(fleet.counter, id).ask('get'));
    for (const value of await Promise.all(asks)) sum += value;
  }
  return sum;
}

async function measureMovement(): Promise<Record<string, number>> {
  const fleet = await foundFleet();
  const tally: Tally = { asks: 0, lost: 0, acknowledged: 0 };
  const second = await fleet.join('node-1');
  await fleet.balanced(2);
  await touchAll(fleet, tally);
  const stopAsks = steadyAsks(fleet, tally);
  await delay(workload.warmUpMs);
  const watched = watchPauses(fleet, tally);
  const third = await fleet.join('node-2');
  await fleet.balanced(3);
  await fleet.order(third, 'drain');
  await fleet.balanced(2);
  await fleet.order(third, 'undrain');
  await fleet.balanced(3);
  await fleet.order(second, 'leave');
  await fleet.balanced(2);
  const pauses = await watched.stop();
  await stopAsks();
  const wrong = Math.abs((await total(fleet)) - tally.acknowledged);
  await fleet.stop();
  return {
    asks: tally.asks,
    lost: tally.lost + wrong,
    moves: pauses.length,
    pauseP50Ms: quantile(pauses, 0.5),
    pauseP99Ms: quantile(pauses, 0.99),
    pauseMaxMs: Math.max(...pauses),
  };
}

/** From kill -9 until an ask of each shard of the killed node is answered again. */
async function measureFailover(): Promise<Record<string, number>> {
  const fleet = await foundFleet();
  const tally: Tally = { asks: 0, lost: 0, acknowledged: 0 };
  const [victim] = await Promise.all([fleet.join('node-2'), fleet.join('node-1')]);
  await fleet.balanced(3);
  await touchAll(fleet, tally);
  const shards = fleet.table.flatMap(({ owner }, shard) => (owner === 'node-2' ? [shard] : []));
  const probes = probesOf(fleet);
  const answer = (shard: number) =>
    fleet.founder.entity(fleet.counter, probes.get(shard)!).ask({ add: 1 }, { timeoutMs: 15_000 });
  await Promise.all(shards.map(answer));
  const stopAsks = steadyAsks(fleet, tally);
  await delay(workload.warmUpMs);
  victim.kill('SIGKILL');
  const killedMs = performance.now();
  const times = await Promise.all(
    shards.map(async (shard) => {
      for (;;) {
        try {
          await answer(shard);
          return performance.now() - killedMs;
        } catch (error) {
          if (!hasCode(error, 'outcome_unknown', 'not_delivered')) throw error;
        }
      }
    }),
  );
  await stopAsks();
  await fleet.stop();
  return {
    shards: shards.length,
    asks: tally.asks,
    lost: tally.lost,
    recoveredP50Ms: quantile(times, 0.5),
    recoveredP99Ms: quantile(times, 0.99),
  };
}

report(modes.includes('failover') ? await measureFailover() : await measureMovement());
