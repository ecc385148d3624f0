// Whether an endpoint may be sent to: its breaker, its ejection and its draining in one place, and
// how much of its share it gets while it starts slowly. By slot, as everything about endpoints.
import { invalidOption } from '../core/index.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { SLOW_START_DEFAULTS } from './defaults.ts';
import { OutlierEjector } from './outlier-ejector.ts';
import type { BreakerOptions, Permit } from './circuit-breaker.ts';
import type { Exclusion, Result } from './endpoint.ts';
import type { EjectionOptions } from './outlier-ejector.ts';

export interface SlowStartOptions {
  /** 0 switches it off. @default 30000 */
  readonly windowMs?: number;
  /** @default 0.1 */
  readonly minWeight?: number;
}

export interface HealthOptions {
  readonly breaker?: BreakerOptions;
  readonly ejection?: EjectionOptions;
  readonly slowStart?: SlowStartOptions;
}

interface Health {
  readonly breaker: CircuitBreaker;
  /** Since when it starts slowly. */
  sinceMs: number;
  draining: boolean;
  /**
   * Nothing to look at: closed, not ejected, not draining. Only this changes without being told.
   */
  clear: boolean;
}

export class EndpointHealth {
  readonly #options: HealthOptions;
  readonly #slowStart: Required<SlowStartOptions>;
  readonly #ejector: OutlierEjector;
  readonly #healths: (Health | undefined)[] = [];
  /** Until when some endpoint may be starting slowly: until then weights are worth a look. */
  #slowUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: HealthOptions = {}) {
    this.#options = options;
    this.#slowStart = { ...SLOW_START_DEFAULTS, ...options.slowStart };
    const { windowMs, minWeight } = this.#slowStart;
    if (!(windowMs >= 0)) throw invalidOption('windowMs', 'at least 0', windowMs);
    if (!(minWeight > 0 && minWeight <= 1)) {
      throw invalidOption('minWeight', 'above 0 and at most 1', minWeight);
    }
    this.#ejector = new OutlierEjector(options.ejection);
    // Its options are refused now, not with the first endpoint.
    new CircuitBreaker(options.breaker);
  }

  add(slot: number, nowMs: number): void {
    const breaker = new CircuitBreaker(this.#options.breaker);
    this.#healths[slot] = { breaker, sinceMs: nowMs, draining: false, clear: true };
    this.#ejector.add(slot);
    this.#startSlowly(nowMs);
  }

  remove(slot: number): void {
    this.#healths[slot] = undefined;
    this.#ejector.remove(slot);
  }

  drain(slot: number, draining: boolean): void {
    const health = this.#healths[slot]!;
    health.draining = draining;
    health.clear = false;
  }

  /** Why nothing may be sent to `slot` now; undefined when something may. */
  exclusion(slot: number, nowMs: number): Exclusion | undefined {
    const health = this.#healths[slot]!;
    if (health.clear) return undefined;
    if (health.draining) return 'draining';
    if (this.#ejector.isEjected(slot, nowMs)) return 'ejected';
    const state = health.breaker.state(nowMs);
    health.clear = state === 'closed';
    return health.breaker.admits(nowMs) ? undefined : 'breaker-open';
  }

  /** Leave to send one request; 0 when it may not be sent. */
  acquire(slot: number, nowMs: number): Permit {
    if (this.exclusion(slot, nowMs) !== undefined) return 0;
    return this.#healths[slot]!.breaker.acquire(nowMs);
  }

  settle(slot: number, permit: Permit, { result, nowMs }: { result: Result; nowMs: number }): void {
    const health = this.#healths[slot]!;
    const { breaker } = health;
    const wasClosed = breaker.state(nowMs) === 'closed';
    breaker.settle(permit, result, nowMs);
    const isClosed = breaker.state(nowMs) === 'closed';
    if (isClosed && !wasClosed) {
      health.sinceMs = nowMs;
      this.#startSlowly(nowMs);
    }
    if (!isClosed) health.clear = false;
    if (result !== 'abandoned' && this.#ejector.settle(slot, result === 'ok', nowMs)) {
      health.clear = false;
      this.#startSlowly(this.#ejector.backAtMs(slot));
    }
  }

  /** Whether any endpoint may be starting slowly. */
  isStarting(nowMs: number): boolean {
    return nowMs < this.#slowUntilMs;
  }

  /** The share of its requests that `slot` gets: up to 1, while it starts slowly. */
  weight(slot: number, nowMs: number): number {
    const { windowMs, minWeight } = this.#slowStart;
    const sinceMs = Math.max(this.#healths[slot]!.sinceMs, this.#ejector.backAtMs(slot));
    const elapsedMs = nowMs - sinceMs;
    return elapsedMs >= windowMs ? 1 : Math.max(minWeight, elapsedMs / windowMs);
  }

  #startSlowly(fromMs: number): void {
    this.#slowUntilMs = Math.max(this.#slowUntilMs, fromMs + this.#slowStart.windowMs);
  }
}
