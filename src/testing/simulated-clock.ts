// A clock that stands still until it is told to move, so that a test decides what happens when.
import type { Clock, Timer } from '../core/index.ts';

interface Entry {
  at: number;
  readonly order: number;
  readonly everyMs: number | undefined;
  readonly callback: () => void;
  live: boolean;
}

/** Wall time at the start of every simulation: 2025-01-01 UTC. */
const START_WALL_MS = 1_735_689_600_000;

/** Turns of the event loop that promises and callbacks get between two steps. */
const SETTLE_TURNS = 3;

/** Callbacks run in order of time, then of scheduling, within the calls that move time. */
export class SimulatedClock implements Clock {
  #now = 0;
  #wallOffsetMs = START_WALL_MS;
  #order = 0;
  /** A binary heap; its first entry is the next to run. */
  readonly #heap: Entry[] = [];

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return Math.floor(this.#wallOffsetMs + this.#now);
  }

  /** Makes the wall clock jump, as an operator or NTP may. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  schedule(delayMs: number, callback: () => void): Timer {
    return this.#add(delayMs, undefined, callback);
  }

  repeat(intervalMs: number, callback: () => void): Timer {
    return this.#add(intervalMs, intervalMs, callback);
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#heap.filter(({ live }) => live).length;
  }

  /** Moves time by `byMs` and runs what falls due, in one go. */
  advance(byMs: number): void {
    const until = this.#now + byMs;
    for (let due = this.#takeDue(until); due !== undefined; due = this.#takeDue(until)) {
      this.#run(due);
    }
    this.#now = until;
  }

  /** Like `advance`, but lets promises settle after each callback, as they would in real time. */
  async run(byMs: number): Promise<void> {
    const until = this.#now + byMs;
    await settle();
    for (let due = this.#takeDue(until); due !== undefined; due = this.#takeDue(until)) {
      this.#run(due);
      await settle();
    }
    this.#now = until;
  }

  /** Lets time run until `promise` settles; its outcome. Throws when `limitMs` were not enough. */
  async resolve<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
    await this.until(() => settled, limitMs);
    return promise;
  }

  /** Lets time run until `condition` holds. Throws when `limitMs` were not enough. */
  async until(condition: () => boolean, limitMs = 60_000): Promise<void> {
    const until = this.#now + limitMs;
    for (await settle(); !condition(); await settle()) {
      const due = this.#takeDue(until);
      if (due === undefined) throw new Error(`nothing settled within ${limitMs} simulated ms`);
      this.#run(due);
    }
  }

  #add(delayMs: number, everyMs: number | undefined, callback: () => void): Timer {
    const at = this.#now + Math.max(0, delayMs);
    const entry: Entry = { at, order: this.#order++, everyMs, callback, live: true };
    pushEntry(this.#heap, entry);
    return {
      cancel() {
        entry.live = false;
      },
    };
  }

  #takeDue(until: number): Entry | undefined {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > until) return undefined;
      popEntry(this.#heap);
      if (next.live) return next;
    }
  }

  #run(entry: Entry): void {
    this.#now = Math.max(this.#now, entry.at);
    entry.callback();
    if (entry.everyMs === undefined || !entry.live) return;
    entry.at += entry.everyMs;
    pushEntry(this.#heap, entry);
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < SETTLE_TURNS; turn++) await new Promise(setImmediate);
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function pushEntry(heap: Entry[], entry: Entry): void {
  let at = heap.push(entry) - 1;
  while (at > 0) {
    const above = (at - 1) >> 1;
    if (before(heap[above]!, entry)) break;
    heap[at] = heap[above]!;
    at = above;
  }
  heap[at] = entry;
}

function popEntry(heap: Entry[]): void {
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
