// K1 to K3: the WASM kernels against OpenBLAS on AVX2 and against plain JavaScript. K4 and K5: what
// a CPU device delivers of what one thread can. Besides the goals, the medians show the products
// that training and ranking consist of.
import path from 'node:path';
import { defineBench, nodeContestant } from '../harness.ts';
import { compileC, programOf } from '../messaging/compile.ts';
import type { Contestant, Ratio } from '../harness.ts';
import type { KernelsWorkload } from './workload.ts';

const here = (file: string) => path.join(import.meta.dirname, file);

const workload: KernelsWorkload = {
  square: [0, 0, 960, 960, 960],
  // One batch of ComplEx: 500 queries, 250 candidates, 200 dimensions.
  scores: [0, 1, 500, 250, 200],
  queryGradients: [0, 0, 500, 200, 250],
  candidateGradients: [1, 0, 250, 200, 500],
  // Queries against one shard, and against a table of one shard.
  rankingShard: [0, 1, 64, 250, 200],
  rankingTable: [0, 1, 128, 20_000, 200],
  gather: [200_000, 50_000, 200],
  vectorFloats: 2 ** 26,
  measureMs: 600,
};

const quickWorkload: KernelsWorkload = {
  square: [0, 0, 30, 30, 30],
  scores: [0, 1, 10, 9, 8],
  queryGradients: [0, 0, 10, 8, 9],
  candidateGradients: [1, 0, 9, 8, 10],
  rankingShard: [0, 1, 6, 9, 8],
  rankingTable: [0, 1, 6, 50, 8],
  gather: [60, 4, 200],
  vectorFloats: 1000,
  measureMs: 3,
};

function openblas(threads: number): Contestant {
  return {
    name: threads === 1 ? 'openblas' : `openblas-${threads}`,
    command: (given) => [
      'python3',
      here('openblas.py'),
      JSON.stringify(given),
      ...(threads === 1 ? [] : [String(threads)]),
    ],
    environment: { OPENBLAS_NUM_THREADS: String(threads), OPENBLAS_CORETYPE: 'Haswell' },
  };
}

function versus(
  title: string,
  figure: string,
  peers: readonly [string, string],
  goal: number,
): Ratio {
  const [own, peer] = peers;
  return { title, of: [own, figure], over: [peer, figure], target: { atLeast: goal } };
}

const SINGLE = ['flotilla', 'openblas'] as const;
const DEVICE = ['device', 'flotilla'] as const;
const DEVICE_2 = ['device-2', 'flotilla'] as const;

export const bench = defineBench({
  name: 'kernels',
  summary: 'sgemm, dot and axpy in WASM SIMD against OpenBLAS (AVX2) and plain JavaScript',
  needs: 'OpenBLAS for K1 and K2: python3 -m pip install scipy-openblas32; gcc for K5',
  workload,
  quickWorkload,
  contestants: [
    nodeContestant('flotilla', here('flotilla.ts')),
    openblas(1),
    nodeContestant('flotilla-2', here('flotilla.ts'), '2'),
    openblas(2),
    nodeContestant('javascript', here('javascript.ts')),
    nodeContestant('device', here('device.ts'), '1'),
    nodeContestant('device-2', here('device.ts'), '2'),
    {
      name: 'c',
      prepare: () => compileC(here('gather.c')),
      command: ({ gather, measureMs }) => [
        programOf(here('gather.c')),
        ...[...(gather as readonly number[]), measureMs].map(String),
      ],
    },
  ],
  ratios: {
    K1a: versus('sgemm 960 x 960 x 960, 1 thread, vs OpenBLAS AVX2', 'square', SINGLE, 0.45),
    K1b: versus('the same on 2 threads', 'square', ['flotilla-2', 'openblas-2'], 0.45),
    K2a: versus('dot from DRAM vs OpenBLAS', 'dot', SINGLE, 0.9),
    K2b: versus('axpy from DRAM vs OpenBLAS', 'axpy', SINGLE, 0.9),
    K3: versus('sgemm vs the best plain JavaScript', 'square', ['flotilla', 'javascript'], 10),
    K4a: versus('gemm on a device of 1 thread vs the bare kernel', 'square', DEVICE, 0.9),
    K4b: versus('gemm on a device of 2 threads vs the bare kernel on 1', 'square', DEVICE_2, 1.6),
    K5a: versus('gather on a device of 1 thread vs memcpy in C', 'gather', ['device', 'c'], 0.7),
    K5b: versus('gather on 2 threads vs memcpy in C on 1', 'gather', ['device-2', 'c'], 1.2),
  },
});
