// A checked launch as tasks for the threads of a pool: which part of which buffer each one takes.
// No cut changes a result, and none makes a part that is not worth waking a thread for.
import { assert } from '../core/index.ts';
import { bytesPerElement } from './buffer.ts';
import { INLINE_FLOATS, LINE_FLOATS, PRODUCTS_PER_FLOAT } from './defaults.ts';
import { productTasks, ranges, task } from './tasks.ts';
import type { Bound, BoundLaunch } from './launch.ts';
import type { Operation, Task } from './pool-protocol.ts';

/** By source and target. */
const CASTS: Readonly<Record<string, Operation>> = {
  'float16 float32': 'float16ToFloat32',
  'float32 float16': 'float32ToFloat16',
  'int32 float32': 'int32ToFloat32',
  'float32 int32': 'float32ToInt32',
  'uint8 float32': 'uint8ToFloat32',
  'float32 uint8': 'float32ToUint8',
};

/** Zeroes a block. */
export function zeroTasks(pointer: number, bytes: number, threads: number): Task[] {
  const parts = ranges(bytes, threads, INLINE_FLOATS * 4);
  return parts.map(({ from, length }) => task('zero', length, pointer + from));
}

/** All launches but `dot`, whose partial sums need memory. */
export function cpuTasks(launch: BoundLaunch, threads: number): Task[] {
  switch (launch.kernel) {
    case 'axpy': {
      const { n, alpha, x, y } = launch;
      return ranges(n, threads, INLINE_FLOATS).map(({ from, length }) =>
        task('axpy', length, alpha, x.handle + 4 * from, y.handle + 4 * from),
      );
    }
    case 'gather':
      return byRows(launch.rows, launch.dim, threads).map(({ from, length }) => {
        const { dim, table, ids, out } = launch;
        const at = 4 * from;
        return task('gatherIds', length, dim, table.handle, ids.handle + at, out.handle + at * dim);
      });
    case 'scatter-add':
      return scatterAdd(launch, threads);
    case 'gemm':
      return gemm(launch, threads);
    case 'softmax-cross-entropy':
      return byRows(launch.rows, launch.n, threads).map(({ from, length }) => {
        const { n, scores, positives, losses, scale } = launch;
        const at = 4 * from;
        const pointers = [scores.handle + at * n, positives.handle + at, losses.handle + at];
        return task('softmaxCrossEntropyRows', length, n, ...pointers, scale);
      });
    case 'adagrad':
      return adagrad(launch, threads);
    case 'cast':
      return cast(launch, threads);
    default:
      return assert(false, `no tasks for ${launch.kernel}`) as never;
  }
}

/** About how many floats a task touches. */
export function floatsOf({ operation, args }: Task): number {
  switch (operation) {
    case 'sgemm':
      return (args[3]! * args[4]! * args[5]!) / PRODUCTS_PER_FLOAT;
    case 'gatherIds':
    case 'scatterAddIds':
    case 'adagradIds':
    case 'softmaxCrossEntropyRows':
      return args[0]! * args[1]!;
    case 'zero':
      return args[0]! / 4;
    default:
      return args[0]!;
  }
}

function byRows(rows: number, width: number, threads: number) {
  return ranges(rows, threads, Math.ceil(INLINE_FLOATS / Math.max(1, width)));
}

type LaunchOf<K extends BoundLaunch['kernel']> = Extract<BoundLaunch, { kernel: K }>;

/** Bands of columns: each thread adds to all rows, in order, so that an id may come twice. */
function scatterAdd(launch: LaunchOf<'scatter-add'>, threads: number): Task[] {
  const { rows, dim, source, ids, table } = launch;
  const bands = ranges(dim, rows * dim <= INLINE_FLOATS ? 1 : threads, LINE_FLOATS);
  return bands.map(({ from, length }) => {
    const at = 4 * from;
    const pointers = [source.handle + at, ids.handle, table.handle + at];
    return task('scatterAddIds', rows, length, dim, ...pointers);
  });
}

function gemm(launch: LaunchOf<'gemm'>, threads: number): Task[] {
  const { m, n, k, transA, transB, accumulate } = launch;
  const small = m * n * k <= INLINE_FLOATS * PRODUCTS_PER_FLOAT;
  const [a, b, c] = [launch.a, launch.b, launch.c].map(({ handle }: Bound) => handle);
  const sizes = { m, n, k, lda: transA ? m : k, ldb: transB ? k : n, ldc: n };
  const flags = { transA, transB, accumulate };
  return productTasks({ flags, ...sizes, a: a!, b: b!, c: c! }, small ? 1 : threads);
}

function adagrad(launch: LaunchOf<'adagrad'>, threads: number): Task[] {
  const { params, states, gradients, rate, epsilon, n, rows, dim, ids } = launch;
  if (ids === undefined) {
    return ranges(n, threads, INLINE_FLOATS).map(({ from, length }) => {
      const pointers = [params, states, gradients].map(({ handle }) => handle + 4 * from);
      return task('adagradDense', length, ...pointers, rate, epsilon);
    });
  }
  return byRows(rows, dim, threads).map(({ from, length }) => {
    const rest = [ids.handle + 4 * from, gradients.handle + 4 * from * dim];
    return task('adagradIds', length, dim, params.handle, states.handle, ...rest, rate, epsilon);
  });
}

function cast({ n, source, target }: LaunchOf<'cast'>, threads: number): Task[] {
  const operation = CASTS[`${source.dtype} ${target.dtype}`];
  assert(operation, `no cast from ${source.dtype} to ${target.dtype}`);
  return ranges(n, threads, INLINE_FLOATS).map(({ from, length }) => {
    const at = source.handle + bytesPerElement(source.dtype) * from;
    return task(operation, length, at, target.handle + bytesPerElement(target.dtype) * from);
  });
}
