// R1 to R3: how fast the ring finds a key's node, how evenly it shares keys out, and how few
// of them move when a node is added.
import path from 'node:path';
import { defineBench, nodeContestant } from '../harness.ts';
import type { RingWorkload } from './workload.ts';

const here = (file: string) => path.join(import.meta.dirname, file);

const workload: RingWorkload = {
  nodes: 100,
  virtualNodes: 150,
  keyLength: 20,
  keys: 500_000,
  warmUpMs: 1500,
  lookupRounds: 5,
  fleets: 41,
  seed: 1,
};

export const bench = defineBench({
  name: 'ring',
  summary: 'key to node on a ring of 100 nodes x 150 virtual nodes, 20-character keys',
  needs: 'npm packages only',
  workload,
  quickWorkload: {
    ...workload,
    nodes: 5,
    virtualNodes: 20,
    keys: 2000,
    warmUpMs: 0,
    lookupRounds: 1,
    fleets: 2,
  },
  contestants: [
    nodeContestant('flotilla', here('flotilla.ts')),
    nodeContestant('hashring', here('hashring.ts')),
  ],
  ratios: {
    R1: {
      title: 'lookups per CPU second vs npm hashring',
      of: ['flotilla', 'lookupsPerCpuSecond'],
      over: ['hashring', 'lookupsPerCpuSecond'],
      target: { atLeast: 25 },
    },
    R2: {
      title: 'largest share / mean share, node-0 to node-99',
      of: ['flotilla', 'largestShare'],
      target: { atMost: 1.2 },
    },
    R3: {
      title: 'keys moved by a new node / ideal share, median of fleets',
      of: ['flotilla', 'movedShare'],
      target: { atMost: 1.2 },
    },
  },
});
