// The CPU as a device: WASM SIMD kernels on a shared memory, computed by the threads of a pool, so
// that the caller's event loop only waits. A thread that dies takes the context with it.
import os from 'node:os';
import { type FlotillaError, hasCode, invalidOption } from '../core/index.ts';
import { cpuTasks, floatsOf, zeroTasks } from './cpu-tasks.ts';
import {
  COPY_SLICE_BYTES,
  DEFAULT_CPU_MEMORY_BYTES,
  DEFAULT_POOL_THREADS,
  FIRST_BLOCK_BYTES,
  INLINE_FLOATS,
  MAX_MEMORY_BYTES,
  SCRATCH_ALLOWANCE_BYTES,
} from './defaults.ts';
import { deviceFault, indexOutOfRange, indexRepeated } from './errors.ts';
import { KernelPool } from './kernel-pool.ts';
import { Kernels } from './kernels.ts';
import { rowsOf } from './launch.ts';
import { ranges, task } from './tasks.ts';
import type { DeviceBackend, DeviceContext } from './backend.ts';
import type { Bound, BoundLaunch } from './launch.ts';
import type { Task } from './pool-protocol.ts';

export interface CpuBackendOptions {
  /** Threads that compute. @default 2 */
  readonly threads?: number;
  /** What buffers may take; memory itself is taken as it is used. @default 1 GiB */
  readonly memoryBytes?: number;
}

/** Opens contexts on the processor. Every machine has it. */
export class CpuBackend implements DeviceBackend {
  readonly kind = 'cpu';
  readonly #threads: number;
  readonly #memoryBytes: number;

  constructor(options: CpuBackendOptions = {}) {
    const { threads = DEFAULT_POOL_THREADS, memoryBytes = DEFAULT_CPU_MEMORY_BYTES } = options;
    if (!Number.isInteger(threads) || threads < 1) {
      throw invalidOption('threads', 'a positive integer', threads);
    }
    if (!Number.isSafeInteger(memoryBytes) || memoryBytes < 1 || memoryBytes > MAX_MEMORY_BYTES) {
      throw invalidOption('memoryBytes', `from 1 to ${MAX_MEMORY_BYTES}`, memoryBytes);
    }
    this.#threads = threads;
    this.#memoryBytes = memoryBytes;
  }

  /** Raises `kernels_missing`, `out_of_memory`, `kernel_worker_died`. */
  async open(): Promise<DeviceContext> {
    // The scratch of the threads comes on top of what is promised to buffers.
    const scratch = (this.#threads + 1) * SCRATCH_ALLOWANCE_BYTES + FIRST_BLOCK_BYTES;
    const maxBytes = Math.min(MAX_MEMORY_BYTES, this.#memoryBytes + scratch);
    const kernels = await Kernels.create({ initialBytes: 0, maxBytes });
    const pool = await KernelPool.start(kernels, { threads: this.#threads });
    return new CpuContext(kernels, pool, this.#memoryBytes);
  }
}

class CpuContext implements DeviceContext {
  readonly description: string;
  readonly capabilities: readonly string[];
  readonly memoryBytes: number;
  // The pool computes one launch at a time, on all threads; copies run on the caller's thread.
  readonly streams = 1;
  readonly lost: Promise<FlotillaError>;
  readonly #kernels: Kernels;
  readonly #pool: KernelPool;

  constructor(kernels: Kernels, pool: KernelPool, memoryBytes: number) {
    this.#kernels = kernels;
    this.#pool = pool;
    this.memoryBytes = memoryBytes;
    const { threads } = pool;
    this.description = `${os.cpus()[0]?.model.trim() || 'CPU'}, ${threads} threads of WASM SIMD`;
    this.capabilities = ['wasm-simd', `threads-${threads}`];
    this.lost = pool.died.then((death) => deviceFault(death.message, death));
  }

  async allocate(bytes: number): Promise<number> {
    const pointer = this.#kernels.alloc(bytes);
    try {
      await this.#run(zeroTasks(pointer, bytes, this.#pool.threads));
    } catch (error) {
      this.#kernels.free(pointer);
      throw error;
    }
    return pointer;
  }

  async free(handle: number): Promise<void> {
    this.#kernels.free(handle);
  }

  async write(handle: number, offset: number, data: Uint8Array): Promise<void> {
    for (let from = 0; from < data.length; from += COPY_SLICE_BYTES) {
      if (from > 0) await turn();
      const slice = data.subarray(from, from + COPY_SLICE_BYTES);
      this.#kernels.bytes(handle + offset + from, slice.length).set(slice);
    }
  }

  async read(handle: number, offset: number, bytes: number): Promise<Uint8Array> {
    const result = new Uint8Array(bytes);
    for (let from = 0; from < bytes; from += COPY_SLICE_BYTES) {
      if (from > 0) await turn();
      const length = Math.min(COPY_SLICE_BYTES, bytes - from);
      result.set(this.#kernels.bytes(handle + offset + from, length), from);
    }
    return result;
  }

  async launch(launch: BoundLaunch): Promise<void> {
    if (launch.kernel === 'dot') return this.#dot(launch);
    if (launch.kernel === 'gather' || launch.kernel === 'scatter-add') {
      await this.#requireRows(launch.rows, launch.ids, rowsOf(launch.table, launch.dim));
    } else if (launch.kernel === 'adagrad' && launch.ids !== undefined) {
      const { rows, dim, ids, params, states } = launch;
      const limit = Math.min(rowsOf(params, dim), rowsOf(states, dim));
      await this.#requireRows(rows, ids, limit);
      await this.#requireDistinct(rows, ids, limit);
    }
    await this.#run(cpuTasks(launch, this.#pool.threads));
  }

  async close(): Promise<void> {
    await this.#pool.abandon();
  }

  async #dot({ n, x, y, out }: Extract<BoundLaunch, { kernel: 'dot' }>): Promise<void> {
    // Partial sums over runs of a fixed length: the same bits whatever the number of threads.
    const chunks = Math.ceil(n / INLINE_FLOATS);
    const partials = this.#kernels.alloc(chunks * 4);
    try {
      const parts = ranges(n, this.#pool.threads, INLINE_FLOATS);
      await this.#run(
        parts.map(({ from, length }) => {
          const to = partials + (from / INLINE_FLOATS) * 4;
          const at = 4 * from;
          return task('dotChunks', length, INLINE_FLOATS, x.handle + at, y.handle + at, to);
        }),
      );
      const sum = this.#kernels.floats(partials, chunks).reduce((total, part) => total + part, 0);
      this.#kernels.floats(out.handle, 1)[0] = sum;
    } finally {
      this.#kernels.free(partials);
    }
  }

  async #requireRows(rows: number, ids: Bound, limit: number): Promise<void> {
    const [at = -1] = await this.#run([task('firstOutside', rows, ids.handle, limit)]);
    if (at >= 0) throw indexOutOfRange(at, this.#idAt(ids, at), limit);
  }

  async #requireDistinct(rows: number, ids: Bound, limit: number): Promise<void> {
    const bytes = Math.ceil(limit / 8);
    const seen = this.#kernels.alloc(bytes);
    try {
      this.#kernels.bytes(seen, bytes).fill(0);
      const [at = -1] = await this.#run([task('firstRepeated', rows, ids.handle, seen)]);
      if (at >= 0) throw indexRepeated(at, this.#idAt(ids, at));
    } finally {
      this.#kernels.free(seen);
    }
  }

  #idAt(ids: Bound, at: number): number {
    return new Int32Array(this.#kernels.memory.buffer, ids.handle, ids.length)[at]!;
  }

  /** A small piece of work is done here: waking a thread takes longer. */
  async #run(tasks: readonly Task[]): Promise<readonly number[]> {
    if (tasks.length === 0) return [];
    const [only] = tasks;
    if (tasks.length === 1 && floatsOf(only!) <= INLINE_FLOATS)
      return [this.#kernels.invoke(only!)];
    try {
      return await this.#pool.run(tasks);
    } catch (error) {
      // When one thread dies the others are stopped: whichever is heard first, it is that fault.
      if (!hasCode(error, 'kernel_worker_died', 'kernel_pool_stopped')) throw error;
      throw deviceFault(error.message, error);
    }
  }
}

/** Lets the event loop run between two slices of a long copy. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
