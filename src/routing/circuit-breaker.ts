// A breaker in front of one endpoint: after failures in a row it lets nothing through for a while,
// then a few probes, and closes when they succeed. Pure: times come as arguments.
import { invalidOption } from '../core/index.ts';
import { BREAKER_DEFAULTS } from './defaults.ts';

export interface BreakerOptions {
  /** @default 5 */
  readonly failures?: number;
  /** @default 30000 */
  readonly openMs?: number;
  /** @default 3 */
  readonly probes?: number;
  /** @default 2 */
  readonly successes?: number;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

/** Leave to send one request; given back with `settle`. 0 is no leave. */
export type Permit = number;

/**
 * Every change of state begins a round, and a permit only counts in its own: what was sent before
 * the breaker opened says nothing about the probes. At most `probes` of one round are in flight.
 * When all of them are and none has ended for `openMs`, they are given up and a round of new ones
 * begins: a probe that never ends cannot keep the breaker half-open for ever.
 */
export class CircuitBreaker {
  readonly #options: Required<BreakerOptions>;
  #state: BreakerState = 'closed';
  #round = 1;
  #sinceMs = 0;
  #failures = 0;
  #successes = 0;
  #probes = 0;

  constructor(options: BreakerOptions = {}) {
    this.#options = { ...BREAKER_DEFAULTS, ...options };
    for (const [name, value] of Object.entries(this.#options)) {
      if (!(value >= 1 && Number.isFinite(value))) throw invalidOption(name, 'at least 1', value);
    }
  }

  state(nowMs: number): BreakerState {
    return this.#state === 'open' && this.#isOver(nowMs) ? 'half-open' : this.#state;
  }

  /** Whether `acquire` would give leave now. */
  admits(nowMs: number): boolean {
    if (this.#state === 'closed') return true;
    if (this.#state === 'half-open' && this.#probes < this.#options.probes) return true;
    return this.#isOver(nowMs);
  }

  /** Leave to send one request now; 0 when there is none. */
  acquire(nowMs: number): Permit {
    if (this.#state === 'closed') return this.#round;
    if (!this.admits(nowMs)) return 0;
    if (this.#state === 'open') this.#enter('half-open', nowMs);
    else if (this.#probes === this.#options.probes) {
      this.#probes = 0;
      this.#round++;
    }
    this.#probes++;
    this.#sinceMs = nowMs;
    return this.#round;
  }

  /** @param result `abandoned` says nothing of the endpoint, and frees the place of a probe */
  settle(permit: Permit, result: 'ok' | 'failed' | 'abandoned', nowMs: number): void {
    if (permit !== this.#round || this.#state === 'open') return;
    if (this.#state === 'closed') {
      if (result === 'ok') this.#failures = 0;
      else if (result === 'failed' && ++this.#failures >= this.#options.failures) {
        this.#enter('open', nowMs);
      }
      return;
    }
    this.#probes--;
    if (result === 'failed') this.#enter('open', nowMs);
    else if (result === 'ok' && ++this.#successes >= this.#options.successes) {
      this.#enter('closed', nowMs);
    }
  }

  /** Since it opened, or since the last probe. */
  #isOver(nowMs: number): boolean {
    return nowMs - this.#sinceMs >= this.#options.openMs;
  }

  #enter(state: BreakerState, nowMs: number): void {
    this.#state = state;
    this.#round++;
    this.#sinceMs = nowMs;
    this.#failures = 0;
    this.#successes = 0;
    this.#probes = 0;
  }
}
