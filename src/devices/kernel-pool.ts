// Threads that compute together on the memory of a `Kernels`. It owns the threads, their scratch
// and their command blocks; how work is cut into tasks is in `tasks.ts`, the arithmetic is the
// kernels' own.
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { assert, FlotillaError, invalidOption, messageOf } from '../core/index.ts';
import { DEFAULT_POOL_THREADS, MAX_POOL_PENDING } from './defaults.ts';
import { COMMAND, COMMAND_BYTES, commandViews, OPERATIONS } from './pool-protocol.ts';
import { productTasks } from './tasks.ts';
import type { Kernels, Scratch, SgemmFlags } from './kernels.ts';
import type { KernelWorkerData, Task } from './pool-protocol.ts';

export interface KernelPoolOptions {
  /** Threads that compute; the caller's thread only waits. @default 2 */
  readonly threads?: number;
}

/** Runs the tasks of one call side by side; one call at a time, the others wait in order. */
export class KernelPool {
  readonly threads: number;
  /** Resolves with the reason when a thread ends that was not told to. */
  readonly died: Promise<FlotillaError>;
  readonly #kernels: Kernels;
  readonly #workers: PoolThread[] = [];
  #tail: Promise<unknown> = Promise.resolve();
  #pending = 0;
  #stopped: Promise<void> | undefined;

  private constructor(kernels: Kernels, threads: number) {
    this.#kernels = kernels;
    this.threads = threads;
    const { promise, resolve } = Promise.withResolvers<FlotillaError>();
    this.died = promise;
    for (let i = 0; i < threads; i++) this.#workers.push(new PoolThread(kernels, resolve));
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
    const product = { flags, m, n, k, a, lda, b, ldb, c, ldc };
    return this.run(productTasks(product, this.threads)).then(() => undefined);
  }

  /**
   * Runs tasks at once, at most one a thread; what each returned. Their operands may not change
   * before it resolves. Raises `kernel_worker_died`, `kernel_pool_stopped`, `queue_full`.
   */
  run(tasks: readonly Task[]): Promise<number[]> {
    assert(tasks.length <= this.threads, `${tasks.length} tasks for ${this.threads} threads`);
    if (this.#stopped !== undefined) {
      return Promise.reject(
        new FlotillaError('kernel_pool_stopped', 'the kernel pool was stopped'),
      );
    }
    if (this.#pending >= MAX_POOL_PENDING) {
      const message = `${this.#pending} calls wait for the kernel pool, which is its limit`;
      return Promise.reject(
        new FlotillaError('queue_full', message, { details: { limit: MAX_POOL_PENDING } }),
      );
    }
    this.#pending++;
    const result = this.#tail.then(() => this.#compute(tasks)).finally(() => this.#pending--);
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

  /** Ends the threads at once; what they compute and what waits is rejected. */
  abandon(): Promise<void> {
    const died = this.#workers.map((worker) => worker.stop(true));
    this.#stopped ??= Promise.all(died).then(() => {
      for (const worker of this.#workers) worker.freeBlocks(this.#kernels);
    });
    return this.#stopped;
  }

  async #compute(tasks: readonly Task[]): Promise<number[]> {
    const results = await Promise.allSettled(
      tasks.map((task, i) => this.#workers[i]!.compute(task)),
    );
    return results.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    });
  }
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
  readonly #words: Int32Array;
  readonly #values: Float64Array;
  readonly #exited: Promise<void>;
  #reject: ((error: FlotillaError) => void) | undefined;
  readonly #onDeath: (error: FlotillaError) => void;
  #stopping = false;

  constructor(kernels: Kernels, onDeath: (error: FlotillaError) => void) {
    this.#onDeath = onDeath;
    this.#scratch = kernels.allocScratch();
    this.#commandPointer = kernels.alloc(COMMAND_BYTES);
    const { words, values } = commandViews(kernels.memory, this.#commandPointer);
    this.#words = words.fill(0);
    this.#values = values.fill(0);
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

  async compute({ operation, args }: Task): Promise<number> {
    if (this.death !== undefined) throw this.death;
    this.#words[COMMAND.argumentCount] = args.length;
    this.#values.set(args, 1);
    const before = Atomics.load(this.#words, COMMAND.completed);
    this.#request(operation);
    await new Promise<void>((resolve, reject) => {
      this.#reject = reject;
      const { async, value } = Atomics.waitAsync(this.#words, COMMAND.completed, before);
      if (async) void value.then(() => resolve());
      else resolve();
    });
    return this.#values[0]!;
  }

  /**
   * Ends the thread; at once when `hard`, since a thread beside a dead one may never be asked
   * again.
   */
  async stop(hard: boolean): Promise<void> {
    this.#stopping = true;
    if (hard) {
      this.death ??= new FlotillaError('kernel_pool_stopped', 'the kernel pool was stopped');
      this.#reject?.(this.death);
      await this.#worker.terminate();
    } else {
      this.#request('stop');
    }
    await this.#exited;
  }

  freeBlocks(kernels: Kernels): void {
    kernels.free(this.#scratch.pointer);
    kernels.free(this.#commandPointer);
  }

  #request(operation: (typeof OPERATIONS)[number]): void {
    this.#words[COMMAND.operation] = OPERATIONS.indexOf(operation);
    Atomics.add(this.#words, COMMAND.requested, 1);
    Atomics.notify(this.#words, COMMAND.requested);
  }

  #die(cause: unknown): void {
    this.death ??= new FlotillaError(
      'kernel_worker_died',
      `a thread of the kernel pool ended: ${messageOf(cause)}`,
      { cause },
    );
    this.#reject?.(this.death);
    this.#onDeath(this.death);
  }
}
