// L1 and L2: how long requests take under each balancer with load that is a second old, and what a
// routing decision and knowing everybody's load cost.
import path from 'node:path';
import { defineBench, nodeContestant } from '../harness.ts';
import { POLICIES } from './policies.ts';
import type { BalancingWorkload } from './workload.ts';

const here = (file: string) => path.join(import.meta.dirname, file);

const workload: BalancingWorkload = {
  durationMs: 600_000,
  seeds: 5,
  members: 100,
  decisions: 1_000_000,
  costMs: 20_000,
};

export const bench = defineBench({
  name: 'balancing',
  summary: 'a simulated fleet of 20 nodes and 4 routers under each balancer, load 1 s old',
  needs: 'nothing beyond the project',
  workload,
  quickWorkload: { durationMs: 5_000, seeds: 1, members: 100, decisions: 2_000, costMs: 200 },
  // A seeded simulation says the same each time; only the cost of a decision varies.
  rounds: 3,
  contestants: [
    ...Object.keys(POLICIES).map((name) => nodeContestant(name, here('contestant.ts'), name)),
    nodeContestant('decision', here('decision.ts')),
    nodeContestant('cost', here('cost.ts')),
  ],
  ratios: {
    L1: {
      title: 'p99 at 80 %, least-outstanding vs strict minimum',
      of: ['least-outstanding', 'equal.p99Ms'],
      over: ['strict-minimum', 'equal.p99Ms'],
      target: { atMost: 0.5 },
    },
    L1a: {
      title: 'p99 at 80 %, least-outstanding vs an oracle',
      of: ['least-outstanding', 'equal.p99Ms'],
      over: ['oracle', 'equal.p99Ms'],
      target: { atMost: 1.1 },
    },
    L1b: {
      title: 'the same with unequal nodes',
      of: ['least-outstanding', 'unequal.p99Ms'],
      over: ['oracle', 'unequal.p99Ms'],
      target: { atMost: 1.1 },
    },
    L2: {
      title: 'microseconds of the slowest decision, 100 members',
      of: ['decision', 'slowestMicroseconds'],
      target: { atMost: 1 },
    },
    L2a: {
      title: 'bytes of heap a decision',
      of: ['decision', 'mostBytes'],
      target: { atMost: 1 },
    },
    L2b: {
      title: 'microseconds of a request by key, dispatched and settled',
      of: ['decision', 'keyedMicroseconds'],
      target: { atMost: 1 },
    },
    L3c: {
      title: 'share of a core for sampling and gossip, 100 members',
      of: ['cost', 'share'],
      target: { atMost: 0.005 },
    },
  },
});
