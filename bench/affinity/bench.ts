// A1 to A5: what it is worth to send a conversation where its cache is, over a simulated fleet.
import path from 'node:path';
import { POLICY_NAMES } from '../../src/routing/index.ts';
import { defineBench, nodeContestant } from '../harness.ts';
import type { AffinityWorkload } from './workload.ts';

const here = (file: string) => path.join(import.meta.dirname, file);

const workload: AffinityWorkload = { durationMs: 900_000, seeds: 3 };

export const bench = defineBench({
  name: 'affinity',
  summary: 'a simulated fleet of 8 engines under each routing policy: chats, agents, a crowd',
  needs: 'nothing beyond the project',
  workload,
  quickWorkload: { durationMs: 15_000, seeds: 1 },
  // A seeded simulation says the same each time.
  rounds: 1,
  timeoutMs: 400_000,
  contestants: POLICY_NAMES.map((name) => nodeContestant(name, here('contestant.ts'), name)),
  ratios: {
    A1: {
      title: 'cached share of prompts, chats, prefix-affinity vs round-robin',
      of: ['prefix-affinity', 'chats.hitRate'],
      over: ['round-robin', 'chats.hitRate'],
      target: { atLeast: 3 },
    },
    A1a: {
      title: 'the same, chats and agents',
      of: ['prefix-affinity', 'mixed.hitRate'],
      over: ['round-robin', 'mixed.hitRate'],
      target: { atLeast: 3 },
    },
    A2: {
      title: 'p90 to the first token, chats, prefix-affinity vs round-robin',
      of: ['prefix-affinity', 'chats.ttftP90Ms'],
      over: ['round-robin', 'chats.ttftP90Ms'],
      target: { atMost: 0.4 },
    },
    A2a: {
      title: 'the same, chats and agents',
      of: ['prefix-affinity', 'mixed.ttftP90Ms'],
      over: ['round-robin', 'mixed.ttftP90Ms'],
      target: { atMost: 0.4 },
    },
    A3: {
      title: 'points of cached share that 8 gateways lose against 1',
      of: ['prefix-affinity', 'lostPoints8Gateways'],
      target: { atMost: 2 },
    },
    A4: {
      title: 'busiest node over the mean while the crowd is there',
      of: ['prefix-affinity', 'crowd.crowdShare'],
      target: { atMost: 1.5 },
    },
    A5: {
      title: 'answered requests over all, prefix-affinity vs round-robin',
      of: ['prefix-affinity', 'answeredShare'],
      over: ['round-robin', 'answeredShare'],
      target: { atLeast: 1 },
    },
  },
});
