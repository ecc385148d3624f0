// Input and measuring that the contestants of the kernels bench share. openblas.py does the same in
// Python; the digest of the input proves that it does.
import { digestOf, median, readWorkload, report } from '../harness.ts';

export type KernelsWorkload = Readonly<
  {
    /** Products, by name: transA, transB (0 or 1), m, n, k. */
    [product in ProductName]: readonly number[];
  } & {
    /** Rows of the table that is gathered from, rows of a batch, floats of a row. */
    gather: readonly [number, number, number];
    /** Floats of each vector of dot and axpy: more than the caches hold. */
    vectorFloats: number;
    /** Each figure is the median of calls for this long. */
    measureMs: number;
    [other: string]: number | readonly number[];
  }
>;

export const PRODUCTS = [
  'square',
  'scores',
  'queryGradients',
  'candidateGradients',
  'rankingShard',
  'rankingTable',
] as const;

export type ProductName = (typeof PRODUCTS)[number];

export interface Product {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

export const workload = readWorkload<KernelsWorkload>();

export function productOf(name: ProductName): Product {
  const [transA, transB, m, n, k] = workload[name] as [number, number, number, number, number];
  return { transA: transA === 1, transB: transB === 1, m, n, k };
}

/** Ids of a batch: spread over the table, none near the one before it. */
export function batchIds(): Int32Array {
  const [tableRows, rows] = workload.gather;
  const ids = new Int32Array(rows);
  for (let i = 0; i < rows; i++) ids[i] = (Math.imul(i, 0x9e3779b1) >>> 0) % tableRows;
  return ids;
}

/** Of a copy of a batch that takes `ms`: every byte is read and written. */
export function gatherGigabytes(ms: number): number {
  const [, rows, dim] = workload.gather;
  return (2 * 4 * rows * dim) / ms / 1e6;
}

let state = 1;

/** Values in [−0.5, 0.5) from a linear congruential generator: operands repeat this pattern. */
export const pattern = Float32Array.from({ length: 65536 }, () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state >>> 8) / 2 ** 24 - 0.5;
});

export function fill(target: Float32Array): Float32Array {
  for (let at = 0; at < target.length; at += pattern.length) {
    target.set(pattern.subarray(0, Math.min(pattern.length, target.length - at)), at);
  }
  return target;
}

/** Median milliseconds of a call, after warming up for a third of the time. */
export async function measure(call: () => void | Promise<void>): Promise<number> {
  for (const limit = performance.now() + workload.measureMs / 3; performance.now() < limit; ) {
    await call();
  }
  const times: number[] = [];
  const limit = performance.now() + workload.measureMs;
  while (times.length < 3 || performance.now() < limit) {
    const started = performance.now();
    await call();
    times.push(performance.now() - started);
  }
  return median(times);
}

/** Of a product that takes `ms`. */
export function gigaflops({ m, n, k }: Product, ms: number): number {
  return (2 * m * n * k) / ms / 1e6;
}

export function reportKernels(figures: Readonly<Record<string, number>>): void {
  report(figures, digestOf(new Uint8Array(pattern.buffer)));
}
