// One sweeping timer for many deadlines. A timer per call costs a quarter of the message rate, so
// waiters are filed under coarse ticks and one timer visits the ticks that have passed.
import type { Clock, Timer } from './clock.ts';

/** Something that waits. `expire` is called once, at most one tick after the deadline. */
export interface Expirable {
  expire(): void;
}

/** @see Deadlines.add */
export const DEADLINE_TICK_MS = 10;

/** Files waiters by deadline; sweeps while there are any. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #ticks = new Map<number, Set<Expirable>>();
  #swept: number;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#swept = this.#tickOf(clock.now());
  }

  /** Files `waiter` under `deadlineMs` (on the clock's `now`). Returns the tick for `remove`. */
  add(waiter: Expirable, deadlineMs: number): number {
    if (this.#timer === undefined) {
      this.#swept = this.#tickOf(this.#clock.now());
      this.#timer = this.#clock.repeat(DEADLINE_TICK_MS, () => this.#sweep());
    }
    const tick = Math.max(Math.ceil(deadlineMs / DEADLINE_TICK_MS), this.#swept + 1);
    const waiters = this.#ticks.get(tick);
    if (waiters === undefined) this.#ticks.set(tick, new Set([waiter]));
    else waiters.add(waiter);
    return tick;
  }

  /** Takes `waiter` out again; a no-op when it has expired. */
  remove(waiter: Expirable, tick: number): void {
    const waiters = this.#ticks.get(tick);
    if (waiters === undefined) return;
    waiters.delete(waiter);
    if (waiters.size === 0) this.#ticks.delete(tick);
  }

  /** Forgets all waiters without expiring them. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#ticks.clear();
  }

  #tickOf(time: number): number {
    return Math.floor(time / DEADLINE_TICK_MS);
  }

  #sweep(): void {
    const current = this.#tickOf(this.#clock.now());
    // After a long stall, visiting the filed ticks is cheaper than visiting every tick that passed.
    if (current - this.#swept > this.#ticks.size) {
      for (const tick of [...this.#ticks.keys()].sort((a, b) => a - b)) {
        if (tick <= current) this.#expire(tick);
      }
    } else {
      for (let tick = this.#swept + 1; tick <= current; tick++) this.#expire(tick);
    }
    this.#swept = current;
    if (this.#ticks.size === 0) {
      this.#timer?.cancel();
      this.#timer = undefined;
    }
  }

  #expire(tick: number): void {
    const waiters = this.#ticks.get(tick);
    if (waiters === undefined) return;
    this.#ticks.delete(tick);
    for (const waiter of waiters) waiter.expire();
  }
}
