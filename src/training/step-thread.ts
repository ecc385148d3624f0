// The node's end of a step thread: starts it, hands it steps, and frees its memory when it has
// ended.
import { Worker } from 'node:worker_threads';
import { FlotillaError, messageOf } from '../core/index.ts';
import { allocateScratch, freeLayout } from './complex.ts';
import type { Kernels } from '../devices/index.ts';
import type { SlotLayout, StepCounts, StepShape } from './complex.ts';
import type { StepReply, StepRequest, StepThreadData } from './step-worker.ts';

interface Waiter {
  resolve(loss: number): void;
  reject(error: unknown): void;
}

/** Computes steps one after the other on a thread of its own. */
export class StepThread {
  readonly #worker: Worker;
  readonly #release: () => void;
  readonly #waiting = new Map<number, Waiter>();
  #nextId = 0;
  #ended: FlotillaError | undefined;
  #released: Promise<void> | undefined;

  private constructor(worker: Worker, release: () => void) {
    this.#worker = worker;
    this.#release = release;
    worker.on('message', ({ id, loss }: StepReply) => {
      this.#waiting.get(id)?.resolve(loss);
      this.#waiting.delete(id);
    });
    worker.on('error', (cause) => this.#end(cause));
    worker.on('exit', () => this.#end(undefined));
  }

  /** Starts a thread for steps of one shape. Raises `out_of_memory`, `step_failed`. */
  static async start(
    kernels: Kernels,
    shape: StepShape,
    regularisation: number,
  ): Promise<StepThread> {
    const scratch = allocateScratch(kernels, shape);
    const kernelScratch = kernels.allocScratch();
    const release = () => {
      freeLayout(kernels, scratch);
      kernels.free(kernelScratch.pointer);
    };
    const { memory } = kernels;
    const data: StepThreadData = { memory, kernelScratch, shape, scratch, regularisation };
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`./step-worker.${extension}`, import.meta.url), {
      workerData: data,
    });
    const thread = new StepThread(worker, release);
    try {
      await thread.#reply(READY);
    } catch (error) {
      await thread.stop();
      throw error;
    }
    return thread;
  }

  /** Computes one step in the slot; resolves to the mean loss of a direction. */
  run(slot: SlotLayout, counts: StepCounts): Promise<number> {
    const id = this.#nextId++;
    this.#worker.postMessage({ id, slot, counts } satisfies StepRequest);
    return this.#reply(id);
  }

  /** Ends the thread and frees its memory; steps that are waited for reject with `step_failed`. */
  async stop(): Promise<void> {
    this.#end(undefined);
    await this.#released;
  }

  #reply(id: number): Promise<number> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #end(cause: unknown): void {
    if (this.#ended !== undefined) return;
    const why = cause === undefined ? 'it was stopped' : messageOf(cause);
    this.#ended = new FlotillaError('step_failed', `the thread for steps ended: ${why}`, { cause });
    for (const waiter of this.#waiting.values()) waiter.reject(this.#ended);
    this.#waiting.clear();
    // An error event comes before the thread's exit: its memory is free once it has really ended.
    this.#released = this.#worker.terminate().then(this.#release);
  }
}

const READY = -1;
