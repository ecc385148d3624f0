// The trainer's end of a job: gives the workers their data, hands chunks out as they finish, and
// goes on with those that are left when one is lost.
import { FlotillaError, hasCode, messageOf } from '../core/index.ts';
import { CHUNK_TIMEOUT_MS, CLOSE_TIMEOUT_MS, LOAD_PIECE_BYTES } from './defaults.ts';
import { BODIES, parseBody, PROCEDURES } from './messages.ts';
import { EpochSchedule } from './schedule.ts';
import type { Logger } from '../core/index.ts';
import type { Payload, RpcHost } from '../peer/index.ts';
import type { ChunkResult, JobSpec, Section } from './messages.ts';
import type { Assignment } from './schedule.ts';

export interface WorkerGroupComponents {
  readonly host: RpcHost;
  readonly log: Logger;
}

export interface WorkerGroupOptions {
  readonly spec: JobSpec;
  readonly workers: readonly string[];
  readonly signal: AbortSignal;
  readonly onLost: (node: string, error: unknown) => void;
}

/** One epoch as the group is asked to run it. */
export interface EpochRequest {
  readonly epoch: number;
  readonly batches: number;
  /** The rate of a batch of this epoch. */
  readonly rateOf: (batch: number) => number;
  /** After each chunk: batches done so far, and the epoch's figures so far. */
  readonly onChunk: (completed: number, soFar: ChunkResult) => void;
}

type Outcome = { readonly assignment: Assignment } & (
  | { readonly result: ChunkResult }
  | { readonly error: unknown }
);

/** What a worker fails with when the fault is its own, so that others can take its work. */
const WORKER_FAULTS = [
  'peer_disconnected',
  'peer_unreachable',
  'deadline_exceeded',
  'job_unknown',
  'step_failed',
  'out_of_memory',
] as const;

export class WorkerGroup {
  readonly #components: WorkerGroupComponents;
  readonly #options: WorkerGroupOptions;
  #alive: string[];
  #lastFault: unknown;

  constructor(components: WorkerGroupComponents, options: WorkerGroupOptions) {
    this.#components = components;
    this.#options = options;
    this.#alive = [...options.workers];
  }

  /** Workers that are left. */
  get workers(): readonly string[] {
    return this.#alive;
  }

  /** Gives every worker the job and its data. Raises `no_workers` when none takes it. */
  async open(data: Readonly<Record<Section, Uint32Array>>): Promise<void> {
    const { spec } = this.#options;
    const { job } = spec;
    const open = async (node: string) => {
      await this.#call(node, PROCEDURES.open, { body: spec });
      for (const section of ['train', 'entities', 'relations'] as const) {
        const words = data[section];
        const step = LOAD_PIECE_BYTES / 4;
        for (let offset = 0; offset < words.length; offset += step) {
          const piece = words.slice(offset, offset + step);
          const bytes = new Uint8Array(piece.buffer);
          await this.#call(node, PROCEDURES.load, { body: { job, section, offset }, bytes });
        }
      }
      await this.#call(node, PROCEDURES.start, { body: { job } });
    };
    await Promise.all(
      [...this.#alive].map((node) => open(node).catch((error) => this.#fault(node, error))),
    );
    if (this.#alive.length === 0) throw this.#noWorkers();
  }

  /**
   * Trains every batch of an epoch at least once. Raises `no_workers`, the signal's reason, and
   * what a worker raises that is not its own fault: `owner_unreachable` above all.
   */
  async runEpoch(request: EpochRequest): Promise<ChunkResult> {
    const schedule = new EpochSchedule(request.batches, this.#alive);
    const pending = new Map<number, Promise<Outcome>>();
    let triples = 0;
    let loss = 0;
    for (;;) {
      for (const assignment of schedule.assign()) {
        pending.set(assignment.id, this.#run(assignment, request));
      }
      if (schedule.finished) return { loss: loss / triples, triples };
      if (pending.size === 0) throw this.#noWorkers();
      const outcome = await Promise.race(pending.values());
      const { assignment } = outcome;
      pending.delete(assignment.id);
      if ('error' in outcome) {
        this.#fault(assignment.worker, outcome.error);
        schedule.lose(assignment.worker);
      } else if (schedule.complete(assignment.id)) {
        triples += outcome.result.triples;
        loss += outcome.result.loss * outcome.result.triples;
        request.onChunk(schedule.completed, { loss: loss / triples, triples });
      }
    }
  }

  /** Ends the job everywhere, also where it failed. Never raises. */
  async close(): Promise<void> {
    const { host, log } = this.#components;
    const { spec, workers } = this.#options;
    const options = { timeoutMs: CLOSE_TIMEOUT_MS };
    const close = (node: string) =>
      host.call(node, PROCEDURES.close, { body: { job: spec.job } }, options).catch((error) => {
        log.warn({ node, job: spec.job, reason: messageOf(error) }, 'a training job stays open');
      });
    await Promise.all(workers.map(close));
  }

  #run(assignment: Assignment, { epoch, rateOf }: EpochRequest): Promise<Outcome> {
    const { job } = this.#options.spec;
    const { worker, first, count } = assignment;
    const body = { job, epoch, first, count, rate: rateOf(first) };
    return this.#call(worker, PROCEDURES.run, { body }).then(
      (reply) => {
        try {
          return { assignment, result: parseBody(BODIES.ran, reply.body) };
        } catch (error) {
          return { assignment, error };
        }
      },
      (error: unknown) => ({ assignment, error }),
    );
  }

  #call(node: string, procedure: string, request: Payload): Promise<Payload> {
    const { signal } = this.#options;
    return this.#components.host.call(node, procedure, request, {
      timeoutMs: CHUNK_TIMEOUT_MS,
      signal,
    });
  }

  /** Files a worker's own fault; raises everything else. */
  #fault(node: string, error: unknown): void {
    const { signal, onLost } = this.#options;
    if (signal.aborted) throw cancelled(signal);
    if (!hasCode(error, ...WORKER_FAULTS)) throw error;
    this.#lastFault = error;
    if (!this.#alive.includes(node)) return;
    this.#alive = this.#alive.filter((other) => other !== node);
    onLost(node, error);
  }

  #noWorkers(): FlotillaError {
    const cause = this.#lastFault;
    const why = cause === undefined ? 'none is healthy' : messageOf(cause);
    return new FlotillaError('no_workers', `no node is left to train on: ${why}`, { cause });
  }
}

/** The reason of an aborted signal as an error of ours. */
export function cancelled(signal: AbortSignal): FlotillaError {
  const { reason } = signal;
  if (reason instanceof FlotillaError) return reason;
  return new FlotillaError('cancelled', 'the training was cancelled', { cause: reason });
}
