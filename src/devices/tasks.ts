// How a kernel's work is cut into tasks for the threads of a pool. Cuts fall where the result does
// not depend on them: whatever the number of threads, the bits are the same.
import type { SgemmFlags } from './kernels.ts';
import type { Operation, Task } from './pool-protocol.ts';

/** One product, as the arguments of `Kernels.sgemm`. */
export interface Product {
  readonly flags: SgemmFlags;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: number;
  readonly lda: number;
  readonly b: number;
  readonly ldb: number;
  readonly c: number;
  readonly ldc: number;
}

/** A part starts at a multiple of the microkernel's tile, so that no tile is computed in halves. */
const TILE_ROWS = 6;
const TILE_COLUMNS = 8;

export interface Range {
  readonly from: number;
  readonly length: number;
}

/** Cuts 0 … size into at most `parts` runs; each but the last is a multiple of `unit` long. */
export function ranges(size: number, parts: number, unit: number): Range[] {
  const band = Math.max(unit, Math.ceil(Math.ceil(size / parts) / unit) * unit);
  const found: Range[] = [];
  for (let from = 0; from < size; from += band) {
    found.push({ from, length: Math.min(band, size - from) });
  }
  return found;
}

export function task(operation: Operation, ...args: readonly number[]): Task {
  return { operation, args };
}

/** Cuts C into bands along its longer side. */
export function productTasks(product: Product, threads: number): Task[] {
  const { flags, m, n, k, a, lda, b, ldb, c, ldc } = product;
  const switches = [flags.transA, flags.transB, flags.accumulate].map((flag) =>
    Number(flag === true),
  );
  const byRows = m >= n;
  const bands = byRows ? ranges(m, threads, TILE_ROWS) : ranges(n, threads, TILE_COLUMNS);
  return bands.map(({ from, length }) => {
    if (byRows) {
      const start = a + 4 * from * (flags.transA ? 1 : lda);
      const target = c + 4 * from * ldc;
      return task('sgemm', ...switches, length, n, k, start, lda, b, ldb, target, ldc);
    }
    const start = b + 4 * from * (flags.transB ? ldb : 1);
    const target = c + 4 * from;
    return task('sgemm', ...switches, m, length, k, a, lda, start, ldb, target, ldc);
  });
}
