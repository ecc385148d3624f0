// Threads that compute one product together on the memory of a `Kernels`. It owns the threads,
// their scratch and their command blocks, and how a product is split; the arithmetic is the
// kernels' own.
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { FlotillaError, invalidOption, messageOf } from '../core/index.ts';
import { DEFAULT_POOL_THREADS, MAX_POOL_PENDING } from './defaults.ts';
import { COMMAND, COMMAND_BYTES, OPERATION_SGEMM, OPERATION_STOP } from './pool-protocol.ts';
import type { Kernels, Scratch, SgemmFlags } from './kernels.ts';
import type { KernelWorkerData } from './pool-protocol.ts';

export interface KernelPoolOptions {
  /** Threads that compute; the caller's thread only waits. @default 2 */
  readonly threads?: number;
}

/** One product, as the arguments of `Kernels.sgemm`. */
interface Product {
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

/** Splits products over threads; one product at a time, the others wait in order. */
export class KernelPool {
  readonly threads: number;
  readonly #kernels: Kernels;
  readonly #workers: PoolThread[] = [];
  #tail: Promise<unknown> = Promise.resolve();
  #pending = 0;
  #stopped: Promise<void> | undefined;

  private constructor(kernels: Kernels, threads: number) {
    this.#kernels = kernels;
    this.threads = threads;
  }

  /**
   * Starts the threads. `kernels` must be the creator of its memory. Raises what starting them
   * does.
   */
  static async start(kernels: Kernels, options: KernelPoolOptions = {}): Promise<KernelPool> {
    const { threads = DEFAULT_POOL_THREADS } = options;
    if (!Number.isInteger(threads) || threads < 1) {
      throw invalidOption('threads', 'a positive integer', threads);
    }
    const pool = new KernelPool(kernels, threads);
    for (let i = 0; i < threads; i++) pool.#workers.push(new PoolThread(kernels));
    try {
      await Promise.all(pool.#workers.map((worker) => worker.ready));
    } catch (error) {
      await pool.stop();
      throw error;
    }
    return pool;
  }

  /**
   * `Kernels.sgemm` on all threads, with the same result bit for bit. Its operands may not change
   * before it resolves. Raises `kernel_worker_died`, `kernel_pool_stopped`, `queue_full`.
   */
  sgemm(
    flags: SgemmFlags,
    m: number,
    n: number,
    k: number,
    a: number,
    lda: number,
    b: number,
    ldb: number,
    c: number,
    ldc: number,
  ): Promise<void> {
    if (this.#stopped !== undefined) {
      return Promise.reject(
        new FlotillaError('kernel_pool_stopped', 'the kernel pool was stopped'),
      );
    }
    if (this.#pending >= MAX_POOL_PENDING) {
      const message = `${this.#pending} products wait for the kernel pool, which is its limit`;
      return Promise.reject(
        new FlotillaError('queue_full', message, { details: { limit: MAX_POOL_PENDING } }),
      );
    }
    this.#pending++;
    const product = { flags, m, n, k, a, lda, b, ldb, c, ldc };
    const result = this.#tail.then(() => this.#compute(product)).finally(() => this.#pending--);
    this.#tail = result.catch(() => {});
    return result;
  }

  /** Finishes what waits, ends the threads and frees their blocks. */
  stop(): Promise<void> {
    this.#stopped ??= this.#tail.then(async () => {
      const died = this.#workers.find((worker) => worker.death !== undefined) !== undefined;
      await Promise.all(this.#workers.map((worker) => worker.stop(died)));
      for (const worker of this.#workers) worker.freeBlocks(this.#kernels);
    });
    return this.#stopped;
  }

  async #compute(product: Product): Promise<void> {
    const parts = split(product, this.threads);
    const results = await Promise.allSettled(
      parts.map((part, i) => this.#workers[i]!.compute(part)),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}

/** Cuts C into bands along its longer side. */
function split(product: Product, threads: number): Product[] {
  const { flags, m, n, a, lda, b, ldb, c } = product;
  const byRows = m >= n;
  const [size, tile] = byRows ? [m, TILE_ROWS] : [n, TILE_COLUMNS];
  const band = Math.ceil(Math.ceil(size / threads) / tile) * tile;
  const parts: Product[] = [];
  for (let from = 0; from < size; from += band) {
    const length = Math.min(band, size - from);
    if (byRows) {
      const start = a + 4 * from * (flags.transA ? 1 : lda);
      parts.push({ ...product, m: length, a: start, c: c + 4 * from * product.ldc });
    } else {
      const start = b + 4 * from * (flags.transB ? ldb : 1);
      parts.push({ ...product, n: length, b: start, c: c + 4 * from });
    }
  }
  return parts;
}

/** One thread, seen from the pool's side. */
class PoolThread {
  /** Resolves when the thread waits for work. */
  readonly ready: Promise<void>;
  /** Why the thread ended, when it was not told to. */
  death: FlotillaError | undefined;
  readonly #worker: Worker;
  readonly #scratch: Scratch;
  readonly #commandPointer: number;
  readonly #command: Int32Array;
  readonly #exited: Promise<void>;
  #reject: ((error: FlotillaError) => void) | undefined;
  #stopping = false;

  constructor(kernels: Kernels) {
    this.#scratch = kernels.allocScratch();
    this.#commandPointer = kernels.alloc(COMMAND_BYTES);
    this.#command = new Int32Array(kernels.memory.buffer, this.#commandPointer, COMMAND_BYTES / 4);
    this.#command.fill(0);
    // The compiled package has .js files where this one has .ts.
    const file = new URL('./kernel-worker.ts', import.meta.url);
    file.pathname = file.pathname.replace(/\.ts$/, extname(new URL(import.meta.url).pathname));
    const workerData: KernelWorkerData = {
      memory: kernels.memory,
      scratch: this.#scratch,
      commandPointer: this.#commandPointer,
    };
    this.#worker = new Worker(file, { workerData });
    this.#worker.on('error', (error) => this.#die(error));
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (status) => {
        if (!this.#stopping) this.#die(new Error(`exit status ${status}`));
        resolve();
      });
    });
    this.ready = new Promise((resolve, reject) => {
      this.#reject = reject;
      this.#worker.once('message', () => resolve());
    });
  }

  async compute(product: Product): Promise<void> {
    if (this.death !== undefined) throw this.death;
    const { flags, m, n, k, a, lda, b, ldb, c, ldc } = product;
    const switches = [flags.transA, flags.transB, flags.accumulate].map(Number);
    this.#command.set([...switches, m, n, k, a, lda, b, ldb, c, ldc], COMMAND.arguments);
    const before = Atomics.load(this.#command, COMMAND.completed);
    this.#request(OPERATION_SGEMM);
    await new Promise<void>((resolve, reject) => {
      this.#reject = reject;
      const { async, value } = Atomics.waitAsync(this.#command, COMMAND.completed, before);
      if (async) void value.then(() => resolve());
      else resolve();
    });
  }

  /**
   * Ends the thread; at once when `hard`, since a thread beside a dead one may never be asked
   * again.
   */
  async stop(hard: boolean): Promise<void> {
    this.#stopping = true;
    if (hard) await this.#worker.terminate();
    else this.#request(OPERATION_STOP);
    await this.#exited;
  }

  freeBlocks(kernels: Kernels): void {
    kernels.free(this.#scratch.pointer);
    kernels.free(this.#commandPointer);
  }

  #request(operation: number): void {
    this.#command[COMMAND.operation] = operation;
    Atomics.add(this.#command, COMMAND.requested, 1);
    Atomics.notify(this.#command, COMMAND.requested);
  }

  #die(cause: unknown): void {
    this.death ??= new FlotillaError(
      'kernel_worker_died',
      `a thread of the kernel pool ended: ${messageOf(cause)}`,
      { cause },
    );
    this.#reject?.(this.death);
  }
}
