// Timeouts of many connections by one timer. A timer of its own for each connection would be
// touched with every read; here a connection counts sweeps, and activity sets its count to nought.
import { MAX_SWEEP_INTERVAL_MS, MIN_SWEEP_INTERVAL_MS, SWEEPS_PER_TIMEOUT } from './defaults.ts';
import type { Clock, Timer } from '../core/index.ts';

export interface Swept {
  /** Called once an interval. */
  sweep(): void;
}

export class Sweeper {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #members = new Set<Swept>();
  #timer: Timer | undefined;

  /** Swept often enough for the shortest of `timeoutsMs`. */
  constructor(clock: Clock, timeoutsMs: readonly number[]) {
    const shortest = Math.min(...timeoutsMs) / SWEEPS_PER_TIMEOUT;
    const bounded = Math.min(MAX_SWEEP_INTERVAL_MS, Math.max(MIN_SWEEP_INTERVAL_MS, shortest));
    this.#clock = clock;
    this.#intervalMs = Math.ceil(bounded);
  }

  get intervalMs(): number {
    return this.#intervalMs;
  }

  add(member: Swept): void {
    this.#members.add(member);
    this.#timer ??= this.#clock.repeat(this.#intervalMs, () => {
      for (const each of this.#members) each.sweep();
    });
  }

  delete(member: Swept): void {
    this.#members.delete(member);
    if (this.#members.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Once a count exceeds this, at least `timeoutMs` have passed since it was nought. */
  atLeast(timeoutMs: number): number {
    return Math.ceil(timeoutMs / this.#intervalMs);
  }

  /** While a count is below this, at most `timeoutMs` have passed since it was nought. */
  atMost(timeoutMs: number): number {
    return Math.floor(timeoutMs / this.#intervalMs);
  }
}
