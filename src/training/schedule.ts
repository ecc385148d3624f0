// Who trains which batches of an epoch. Pure: no I/O, no clock. Chunks are handed out as workers
// ask, and shrink towards the end, so that a slow node does not stall an epoch; a lost worker's
// chunks go to others, maybe a second time: a repeated batch is one more step, not an error.
import { assert } from '../core/index.ts';
import { SCHEDULE } from './defaults.ts';

/** Batches `first` to `first + count` − 1 for one worker. */
export interface Assignment {
  readonly id: number;
  readonly worker: string;
  readonly first: number;
  readonly count: number;
}

interface Range {
  readonly first: number;
  readonly count: number;
}

/** How an epoch is cut up. */
export interface ScheduleOptions {
  readonly maxChunkBatches?: number;
  readonly chunksPerWorker?: number;
}

/** One epoch's distribution. */
export class EpochSchedule {
  readonly #maxChunk: number;
  readonly #perWorker: number;
  readonly #batches: number;
  /** Chunks outstanding of each worker. */
  readonly #workers: Map<string, number>;
  readonly #outstanding = new Map<number, Assignment>();
  /** Ranges that a lost worker left. */
  readonly #returned: Range[] = [];
  #next = 0;
  #completed = 0;
  #ids = 0;

  constructor(batches: number, workers: readonly string[], options: ScheduleOptions = {}) {
    this.#batches = batches;
    this.#workers = new Map(workers.map((worker) => [worker, 0]));
    this.#maxChunk = options.maxChunkBatches ?? SCHEDULE.maxChunkBatches;
    this.#perWorker = options.chunksPerWorker ?? SCHEDULE.chunksPerWorker;
  }

  /** True when every batch was trained. */
  get finished(): boolean {
    return this.#completed === this.#batches;
  }

  /** Batches that were trained. */
  get completed(): number {
    return this.#completed;
  }

  /** Workers that are left. */
  get workers(): string[] {
    return [...this.#workers.keys()];
  }

  /** What to hand out now; call it after every change. */
  assign(): Assignment[] {
    const assigned: Assignment[] = [];
    for (let round = 0; round < this.#perWorker; round++) {
      for (const [worker, outstanding] of this.#workers) {
        if (outstanding > round) continue;
        const range = this.#take();
        if (range === undefined) return assigned;
        const assignment = { id: this.#ids++, worker, ...range };
        this.#outstanding.set(assignment.id, assignment);
        this.#workers.set(worker, outstanding + 1);
        assigned.push(assignment);
      }
    }
    return assigned;
  }

  /** A chunk was trained. False when it had been taken from its worker, and counts elsewhere. */
  complete(id: number): boolean {
    const assignment = this.#outstanding.get(id);
    if (assignment === undefined) return false;
    this.#outstanding.delete(id);
    const { worker, count } = assignment;
    const outstanding = this.#workers.get(worker);
    assert(outstanding !== undefined && outstanding > 0, `chunk ${id} of an unknown worker`);
    this.#workers.set(worker, outstanding - 1);
    this.#completed += count;
    return true;
  }

  /** A worker is gone: its chunks are handed out again. False when it was gone already. */
  lose(worker: string): boolean {
    if (!this.#workers.delete(worker)) return false;
    for (const assignment of this.#outstanding.values()) {
      if (assignment.worker !== worker) continue;
      this.#outstanding.delete(assignment.id);
      this.#returned.push({ first: assignment.first, count: assignment.count });
    }
    return true;
  }

  #take(): Range | undefined {
    const returned = this.#returned.shift();
    if (returned !== undefined) return returned;
    const left = this.#batches - this.#next;
    if (left === 0) return undefined;
    const share = Math.ceil(left / (2 * this.#perWorker * this.#workers.size));
    const count = Math.min(left, this.#maxChunk, share);
    const first = this.#next;
    this.#next += count;
    return { first, count };
  }
}

/** The rate of a step: constant, or falling in a straight line to 0 after the last one. */
export function rateAt(
  options: { readonly rate: number; readonly decay: 'none' | 'linear' },
  step: number,
  steps: number,
): number {
  return options.decay === 'none' ? options.rate : options.rate * (1 - step / steps);
}

/** Stops when a figure has not improved for `patience` looks. */
export class EarlyStop {
  readonly #patience: number;
  #best = Number.NEGATIVE_INFINITY;
  #waited = 0;

  constructor(patience: number) {
    this.#patience = patience;
  }

  get best(): number {
    return this.#best;
  }

  /** Files a figure; true when it is time to stop. NaN never improves. */
  shouldStop(figure: number): boolean {
    if (figure > this.#best) {
      this.#best = figure;
      this.#waited = 0;
      return false;
    }
    this.#waited++;
    return this.#waited >= this.#patience;
  }
}
