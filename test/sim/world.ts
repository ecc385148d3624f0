// True time and the order of everything: one heap of events, the processes they belong to, and when
// promises get their turn. What the events mean is for the files beside it.
import { setImmediate } from 'node:timers/promises';
import { createPrng } from '../../src/core/index.ts';
import { Trace } from './trace.ts';
import type { Clock, Prng, Timer } from '../../src/core/index.ts';

/** One life of one node: what crashes, and what is held up while it is paused. */
export interface Process {
  readonly name: string;
  /** Counts the lives of all nodes. */
  readonly life: number;
  alive: boolean;
  paused: boolean;
  /** Events that came while it was paused, in order. */
  readonly backlog: Scheduled[];
}

export interface Scheduled {
  at: number;
  order: number;
  /** Who runs it; the world itself when undefined. */
  readonly process: Process | undefined;
  readonly run: () => void;
  live: boolean;
}

/** Wall time at the start of every simulation: 2025-01-01 UTC. */
const START_WALL_MS = 1_735_689_600_000;

export class World {
  now = 0;
  readonly seed: number;
  readonly trace = new Trace();
  readonly #heap: Scheduled[] = [];
  #order = 0;
  #unsettled = false;

  constructor(seed: number) {
    this.seed = seed;
  }

  /** A generator of its own for each purpose: one more draw here does not move the draws there. */
  prng(stream: number): Prng {
    return createPrng(this.seed, stream);
  }

  /** Runs `run` in `delayMs` of true time, as `process` does things: not when dead or paused. */
  at(delayMs: number, process: Process | undefined, run: () => void): Scheduled {
    const entry = { at: this.now + delayMs, order: this.#order++, process, run, live: true };
    push(this.#heap, entry);
    return entry;
  }

  /** A promise was made or settled: its reactions run before the next event. */
  unsettle(): void {
    this.#unsettled = true;
  }

  /** Runs the events up to `untilMs`, at most `limit`, and calls `after` after each. */
  async run(untilMs: number, limit: number, after: () => void): Promise<void> {
    let count = 0;
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > untilMs) break;
      pop(this.#heap);
      if (!this.#admits(next)) continue;
      if (++count > limit)
        throw new Error(`over ${limit} events before ${untilMs} ms: a busy loop`);
      this.now = next.at;
      this.trace.mix(next.at, next.process?.life ?? 0);
      next.run();
      if (this.#unsettled) {
        this.#unsettled = false;
        await setImmediate();
      }
      after();
    }
    this.now = untilMs;
  }

  pause(process: Process): void {
    process.paused = true;
  }

  /** What came meanwhile happens now, all at once and in order. */
  resume(process: Process): void {
    process.paused = false;
    for (const entry of process.backlog.splice(0)) {
      entry.at = this.now;
      entry.order = this.#order++;
      push(this.#heap, entry);
    }
  }

  get pending(): number {
    return this.#heap.length;
  }

  #admits(entry: Scheduled): boolean {
    const { process } = entry;
    if (!entry.live || process?.alive === false) return false;
    if (process?.paused !== true) return true;
    process.backlog.push(entry);
    return false;
  }
}

/** The clocks of one machine; they outlive its processes, but for the monotonic origin. */
export interface Timekeeping {
  /** Local milliseconds for each true one. */
  readonly rate: number;
  /** What the wall clock is ahead; jumps. */
  wallOffsetMs: number;
}

/** Clocks run wrong by up to this share, nodes' and store's. */
const CLOCK_DRIFT = 0.05;

/** A rate of a clock within the drift. */
export function driftOf(prng: Prng): number {
  return 1 + CLOCK_DRIFT * (2 * prng.next() - 1);
}

/**
 * What a process takes for time. Its timers die with it and wait while it is paused. As Node's,
 * they know whole milliseconds only, so they may be early by a part of one.
 */
export class ProcessClock implements Clock {
  readonly #world: World;
  readonly #process: Process;
  readonly #keeping: Timekeeping;
  readonly #originMs: number;

  constructor(world: World, process: Process, options: { keeping: Timekeeping; originMs: number }) {
    this.#world = world;
    this.#process = process;
    this.#keeping = options.keeping;
    this.#originMs = options.originMs - world.now * options.keeping.rate;
  }

  now(): number {
    return this.#originMs + this.#world.now * this.#keeping.rate;
  }

  wallTime(): number {
    const { rate, wallOffsetMs } = this.#keeping;
    return Math.floor(START_WALL_MS + wallOffsetMs + this.#world.now * rate);
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const run = () => this.#call(callback);
    const entry = this.#world.at(this.#trueMs(delayMs), this.#process, run);
    return {
      cancel() {
        entry.live = false;
      },
    };
  }

  repeat(intervalMs: number, callback: () => void): Timer {
    let entry: Scheduled;
    let live = true;
    const again = () => {
      entry = this.#world.at(this.#trueMs(intervalMs), this.#process, () => {
        this.#call(callback);
        if (live) again();
      });
    };
    again();
    return {
      cancel: () => {
        live = false;
        entry.live = false;
      },
    };
  }

  #call(callback: () => void): void {
    // It may resolve a promise that the simulation does not know.
    this.#world.unsettle();
    callback();
  }

  #trueMs(localMs: number): number {
    return Math.max(1, Math.trunc(localMs)) / this.#keeping.rate;
  }
}

function before(a: Scheduled, b: Scheduled): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Scheduled[], entry: Scheduled): void {
  let at = heap.push(entry) - 1;
  while (at > 0) {
    const above = (at - 1) >> 1;
    if (before(heap[above]!, entry)) break;
    heap[at] = heap[above]!;
    at = above;
  }
  heap[at] = entry;
}

function pop(heap: Scheduled[]): void {
  const entry = heap.pop()!;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let below = 2 * at + 1;
    if (below >= heap.length) break;
    if (below + 1 < heap.length && before(heap[below + 1]!, heap[below]!)) below++;
    if (before(entry, heap[below]!)) break;
    heap[at] = heap[below]!;
    at = below;
  }
  heap[at] = entry;
}
