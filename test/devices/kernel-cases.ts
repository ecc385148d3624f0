// Inputs for the kernels of a device, and how far a result may lie from the reference. A tolerance
// is relative to the magnitude of an element: the same computation with every input positive.
import { createPrng } from '../../src/core/index.ts';
import type { DeviceBuffer, DType, HostArrays, Launch } from '../../src/devices/index.ts';

/** What each kernel keeps to, on every backend. */
export const TOLERANCES = {
  axpy: 1e-6,
  dot: 2e-6,
  gather: 0,
  'scatter-add': 2e-6,
  gemm: 2e-6,
  /** Of the gradients: of `scale`; of a loss: of 1 + |loss|. */
  'softmax-cross-entropy': 1e-5,
  adagrad: 2e-6,
  cast: 0,
} as const;

export interface Input {
  readonly dtype: DType;
  readonly data: HostArrays[DType];
}

export interface KernelCase {
  readonly inputs: Readonly<Record<string, Input>>;
  readonly outputs: readonly string[];
  launch(buffers: Readonly<Record<string, DeviceBuffer>>): Launch;
  /** Largest difference from the reference, for an element of an output. */
  limit(output: string, at: number, magnitude: number): number;
}

const floats = (data: Float32Array): Input => ({ dtype: 'float32', data });
const ints = (data: Int32Array): Input => ({ dtype: 'int32', data });

/** Draws for one case. */
export class Draw {
  readonly #prng;

  constructor(seed: number) {
    this.#prng = createPrng(seed);
  }

  size(least: number, most: number): number {
    return least + this.#prng.int(most - least + 1);
  }

  flag(): boolean {
    return this.#prng.int(2) === 1;
  }

  normals(length: number): Float32Array {
    return Float32Array.from({ length }, () => this.#prng.normal());
  }

  ids(length: number, below: number): Int32Array {
    return Int32Array.from({ length }, () => this.#prng.int(below));
  }

  distinct(length: number, below: number): Int32Array {
    const all = Array.from({ length: below }, (_, i) => i);
    return Int32Array.from({ length }, () => all.splice(this.#prng.int(all.length), 1)[0]!);
  }
}

const relative = (tolerance: number) => (_: string, __: number, magnitude: number) =>
  tolerance * magnitude;

export const CASES: Readonly<Record<keyof typeof TOLERANCES, (draw: Draw) => KernelCase>> = {
  axpy(draw) {
    const n = draw.size(1, 70_000);
    const alpha = Math.abs(draw.normals(1)[0]!);
    return {
      inputs: { x: floats(draw.normals(n)), y: floats(draw.normals(n)) },
      outputs: ['y'],
      launch: ({ x, y }) => ({ kernel: 'axpy', alpha, x: x!, y: y! }),
      limit: relative(TOLERANCES.axpy),
    };
  },
  dot(draw) {
    const n = draw.size(1, 70_000);
    return {
      inputs: {
        x: floats(draw.normals(n)),
        y: floats(draw.normals(n)),
        out: floats(new Float32Array(1)),
      },
      outputs: ['out'],
      launch: ({ x, y, out }) => ({ kernel: 'dot', x: x!, y: y!, out: out! }),
      limit: relative(TOLERANCES.dot),
    };
  },
  gather(draw) {
    const [rows, dim, size] = [draw.size(1, 300), draw.size(1, 130), draw.size(1, 200)];
    return {
      inputs: {
        table: floats(draw.normals(size * dim)),
        ids: ints(draw.ids(rows, size)),
        out: floats(new Float32Array(rows * dim)),
      },
      outputs: ['out'],
      launch: ({ table, ids, out }) => ({
        kernel: 'gather',
        dim,
        table: table!,
        ids: ids!,
        out: out!,
      }),
      limit: relative(TOLERANCES.gather),
    };
  },
  'scatter-add'(draw) {
    const [rows, dim, size] = [draw.size(1, 300), draw.size(1, 130), draw.size(1, 40)];
    return {
      inputs: {
        source: floats(draw.normals(rows * dim)),
        ids: ints(draw.ids(rows, size)),
        table: floats(draw.normals(size * dim)),
      },
      outputs: ['table'],
      launch: ({ source, ids, table }) => ({
        kernel: 'scatter-add',
        dim,
        source: source!,
        ids: ids!,
        table: table!,
      }),
      limit: relative(TOLERANCES['scatter-add']),
    };
  },
  gemm(draw) {
    const [m, n, k] = [draw.size(1, 140), draw.size(1, 140), draw.size(1, 200)];
    const flags = { transA: draw.flag(), transB: draw.flag(), accumulate: draw.flag() };
    return {
      inputs: {
        a: floats(draw.normals(m * k)),
        b: floats(draw.normals(k * n)),
        c: floats(draw.normals(m * n)),
      },
      outputs: ['c'],
      launch: ({ a, b, c }) => ({ kernel: 'gemm', m, n, k, ...flags, a: a!, b: b!, c: c! }),
      limit: relative(TOLERANCES.gemm),
    };
  },
  'softmax-cross-entropy'(draw) {
    const [rows, n] = [draw.size(1, 150), draw.size(1, 300)];
    const scale = 1 / rows;
    const scores = draw.normals(rows * n).map((value) => value * 5);
    // Some are masked, and one row is masked as a whole where there are several.
    for (let i = 0; i < scores.length; i += 7) scores[i] = -Infinity;
    const positives = draw.normals(rows);
    if (rows > 2) {
      scores.fill(-Infinity, n, 2 * n);
      positives[1] = -Infinity;
    }
    const losses = floats(new Float32Array(rows));
    return {
      inputs: { scores: floats(scores), positives: floats(positives), losses },
      outputs: ['scores', 'positives', 'losses'],
      launch: ({ scores: all, positives: own, losses: out }) => ({
        kernel: 'softmax-cross-entropy',
        n,
        scale,
        scores: all!,
        positives: own!,
        losses: out!,
      }),
      limit: (output, _, magnitude) =>
        TOLERANCES['softmax-cross-entropy'] * (output === 'losses' ? 1 + magnitude : scale),
    };
  },
  adagrad(draw) {
    const [size, dim] = [draw.size(1, 90), draw.size(1, 90)];
    const rows = draw.size(1, size);
    const sparse = draw.flag();
    const step = { rate: 0.1, epsilon: 1e-8 };
    return {
      inputs: {
        params: floats(draw.normals(size * dim)),
        states: floats(draw.normals(size * dim).map(Math.abs)),
        gradients: floats(draw.normals((sparse ? rows : size) * dim)),
        ids: ints(draw.distinct(rows, size)),
      },
      outputs: ['params', 'states'],
      launch: ({ params, states, gradients, ids }) => ({
        kernel: 'adagrad',
        ...step,
        params: params!,
        states: states!,
        gradients: gradients!,
        ...(sparse && { ids: ids!, dim }),
      }),
      limit: (output, _, magnitude) =>
        TOLERANCES.adagrad * (magnitude + (output === 'params' ? step.rate : 0)),
    };
  },
  cast(draw) {
    const n = draw.size(1, 5000);
    const dtype = (['float16', 'int32', 'uint8'] as const)[draw.size(0, 2)]!;
    const wide = draw.normals(n).map((value, i) => value * 10 ** ((i % 14) - 6));
    const narrow = {
      float16: new Float16Array(n),
      int32: new Int32Array(n),
      uint8: new Uint8Array(n),
    };
    const back = draw.flag();
    if (back) narrow[dtype].set(draw.ids(n, 60_000).map((value) => value - 30_000));
    const target: Input = { dtype, data: narrow[dtype] };
    return {
      inputs: back
        ? { source: target, target: floats(new Float32Array(n)) }
        : { source: floats(wide), target },
      outputs: ['target'],
      launch: ({ source, target: to }) => ({ kernel: 'cast', source: source!, target: to! }),
      limit: relative(TOLERANCES.cast),
    };
  },
};
