// Z1, Z2, Z7 and asks against Pekko cluster sharding: entities at home and away, shards that move,
// a node that is killed.
import path from 'node:path';
import { defineBench, nodeContestant } from '../harness.ts';
import { missingPekko } from './pekko.ts';
import type { ShardingWorkload } from './workload.ts';

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
  shards: 16,
  entities: 100,
  inFlight: 16,
  warmUpMs: 20,
  measureMs: 60,
  steadyPerSecond: 200,
};

export const bench = defineBench({
  name: 'sharding',
  summary: 'asks of entities, shards on the move, a killed node; against Pekko cluster sharding',
  needs: 'a JDK and mvn -q -f bench/sharding/pom.xml package',
  workload,
  quickWorkload,
  rounds: 3,
  contestants: [
    nodeContestant('flotilla', here('flotilla.ts')),
    nodeContestant('movement', here('flotilla.ts'), 'movement'),
    nodeContestant('failover', here('flotilla.ts'), 'failover'),
    nodeContestant('placement', here('flotilla.ts'), 'placement'),
    { ...nodeContestant('pekko', here('pekko.ts')), prepare: missingPekko },
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
    Z7: {
      title: 'remote asks/s of one node',
      of: ['flotilla', 'remoteAsksPerSecond'],
      target: { atLeast: 50_000 },
    },
    P1: {
      title: 'remote asks/s vs Pekko',
      of: ['flotilla', 'remoteAsksPerSecond'],
      over: ['pekko', 'remoteAsksPerSecond'],
      target: { atLeast: 1 },
    },
    P2: {
      title: 'remote ask, one at a time, p50 vs Pekko',
      of: ['flotilla', 'remoteP50Us'],
      over: ['pekko', 'remoteP50Us'],
      target: { atMost: 1 },
    },
    P3: {
      title: 'local asks/s vs Pekko',
      of: ['flotilla', 'localAsksPerSecond'],
      over: ['pekko', 'localAsksPerSecond'],
      target: { atLeast: 1 },
    },
  },
});
