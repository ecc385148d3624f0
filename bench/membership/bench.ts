// L3 and L4: how soon a crash is seen by all, and how often a living member is taken for dead;
// membership against plain heartbeats and against φ-accrual, in the same simulated fleets.
import path from 'node:path';
import { defineBench, nodeContestant } from '../harness.ts';
import type { MembershipWorkload } from './workload.ts';

const file = path.join(import.meta.dirname, 'contestant.ts');

const workload: MembershipWorkload = {
  seedsOf10: 200,
  seedsOf100: 20,
  crashesOf100: 5,
  stalls: 4,
};

export const bench = defineBench({
  name: 'membership',
  summary: 'crashes seen and false alarms: SWIM, heartbeats, φ-accrual, in simulated fleets',
  needs: 'npm packages only',
  workload,
  quickWorkload: { seedsOf10: 2, seedsOf100: 1, crashesOf100: 1, stalls: 1 },
  // Simulated time: another round would give the same figures.
  rounds: 1,
  timeoutMs: 600_000,
  contestants: [
    nodeContestant('flotilla', file, 'swim'),
    nodeContestant('heartbeat', file, 'heartbeat'),
    nodeContestant('phi', file, 'phi'),
  ],
  ratios: {
    L3a: {
      title: 'seconds until all 10 have seen a crash, preset local, p99',
      of: ['flotilla', 'crash10AllP99Seconds'],
      target: { atMost: 3 },
    },
    L3b: {
      title: 'seconds until all 100 have seen a crash, preset lan, p99',
      of: ['flotilla', 'crash100AllP99Seconds'],
      target: { atMost: 8 },
    },
    L4: {
      title: 'living members taken for dead after 2 s stalls, with and without 5 % loss',
      of: ['flotilla', 'falsePositives'],
      target: { atMost: 0 },
    },
  },
});
