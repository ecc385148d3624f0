// Z1, Z2, Z7 and asks against Pekko cluster sharding and Moleculer: entities at home and away,
// shards that move, a node that is killed.
import path from 'node:path';
import { defineBench, nodeContestant } from '../harness.ts';
import { missingPekko } from './pekko.ts';
import type { Ratio } from '../harness.ts';
import type { ShardingWorkload } from './workload.ts';

function asksVersus(
  peer: string,
  name: string,
  [rate, latency, local]: readonly [string, string, string],
): Record<string, Ratio> {
  return {
    [rate]: {
      title: `remote asks/s vs ${name}`,
      of: ['flotilla', 'remoteAsksPerSecond'],
      over: [peer, 'remoteAsksPerSecond'],
      target: { atLeast: 1 },
    },
    [latency]: {
      title: `remote ask, one at a time, p50 vs ${name}`,
      of: ['flotilla', 'remoteP50Us'],
      over: [peer, 'remoteP50Us'],
      target: { atMost: 1 },
    },
    [local]: {
      title: `local asks/s vs ${name}`,
      of: ['flotilla', 'localAsksPerSecond'],
      over: [peer, 'localAsksPerSecond'],
      target: { atLeast: 1 },
    },
  };
}

const here = (file: string) => path.join(import.meta.dirname, file);

const workload: ShardingWorkload = {
  shards: 256,
  entities: 10_000,
  inFlight: 256,
  warmUpMs: 2_000,
  measureMs: 4_000,
  steadyPerSecond: 2_000,
};

const quickWorkload: ShardingWorkload = {
  shards: 3,
  entities: 100,
  inFlight: 16,
  warmUpMs: 20,
  measureMs: 60,
  steadyPerSecond: 200,
};

export const bench = defineBench({
  name: 'sharding',
  summary: 'asks of entities, shards on the move, a killed node; against Pekko and Moleculer',
  needs: 'a JDK, mvn -q -f bench/sharding/pom.xml package, npm install --prefix bench/peers',
  workload,
  quickWorkload,
  rounds: 3,
  contestants: [
    nodeContestant('flotilla', here('flotilla.ts')),
    { ...nodeContestant('pekko', here('pekko.ts')), prepare: missingPekko },
    nodeContestant('moleculer', here('moleculer.ts')),
    nodeContestant('movement', here('movement.ts')),
    nodeContestant('movement, durable', here('movement.ts'), 'durable'),
    nodeContestant('failover', here('movement.ts'), 'failover'),
    nodeContestant('placement', here('flotilla.ts'), 'placement'),
  ],
  ratios: {
    Z1: {
      title: 'kill -9 until every shard answers again, p99, ms (lease 5 s)',
      of: ['failover', 'recoveredP99Ms'],
      target: { atMost: 7_000 },
    },
    Z2a: {
      title: 'pause of a shard that is moved, p99, ms',
      of: ['movement', 'pauseP99Ms'],
      target: { atMost: 100 },
    },
    Z2b: {
      title: 'asks lost while shards are moved',
      of: ['movement', 'lost'],
      target: { atMost: 0 },
    },
    Z2c: {
      title: 'pause of a shard of durable counters, p99, ms',
      of: ['movement, durable', 'pauseP99Ms'],
      target: { atMost: 100 },
    },
    Z2d: {
      title: 'asks of durable counters lost while shards are moved',
      of: ['movement, durable', 'lost'],
      target: { atMost: 0 },
    },
    Z7: {
      title: 'remote asks/s of one node',
      of: ['flotilla', 'remoteAsksPerSecond'],
      target: { atLeast: 50_000 },
    },
    ...asksVersus('pekko', 'Pekko', ['P1', 'P2', 'P3']),
    ...asksVersus('moleculer', 'Moleculer', ['P4', 'P5', 'P6']),
  },
});
