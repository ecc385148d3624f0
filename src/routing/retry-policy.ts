// Whether and when a request that failed before its first byte is tried again. Retries of the whole
// gateway are kept to a share of its requests: during an outage they would multiply the load.
import { invalidOption } from '../core/index.ts';
import { RETRY_DEFAULTS } from './defaults.ts';
import type { Prng } from '../core/index.ts';

export interface RetryOptions {
  /** Tries of one request, the first included. @default 5 */
  readonly tries?: number;
  /** @default 50 */
  readonly baseMs?: number;
  /** @default 1.5 */
  readonly multiplier?: number;
  /** @default 0.2 */
  readonly jitter?: number;
  /** Retries per request, over time. @default 0.2 */
  readonly budget?: number;
  /** @default 1 */
  readonly reservePerSecond?: number;
  /** @default 50 */
  readonly maxSaved?: number;
  /** @default 408, 429, 500, 502, 503, 504 */
  readonly statuses?: readonly number[];
}

export class RetryPolicy {
  readonly #prng: Prng;
  readonly #options: Required<RetryOptions>;
  readonly #statuses: ReadonlySet<number>;
  #saved: number;
  #savedAtMs: number;

  constructor({ prng, nowMs }: { prng: Prng; nowMs: number }, options: RetryOptions = {}) {
    this.#options = { ...RETRY_DEFAULTS, ...options };
    const { tries, baseMs, multiplier, jitter, budget, reservePerSecond } = this.#options;
    if (!(Number.isInteger(tries) && tries >= 1)) throw invalidOption('tries', 'from 1', tries);
    if (!(baseMs >= 0)) throw invalidOption('baseMs', 'at least 0', baseMs);
    if (!(multiplier >= 1)) throw invalidOption('multiplier', 'at least 1', multiplier);
    if (!(jitter >= 0 && jitter <= 1)) throw invalidOption('jitter', '0 to 1', jitter);
    for (const [name, value] of Object.entries({ budget, reservePerSecond })) {
      if (!(value >= 0)) throw invalidOption(name, 'at least 0', value);
    }
    this.#prng = prng;
    this.#statuses = new Set(this.#options.statuses);
    this.#saved = Math.min(this.#options.maxSaved, reservePerSecond);
    this.#savedAtMs = nowMs;
  }

  /** Counts a request, not a try: each one saves up its share of a retry. */
  requested(): void {
    const { maxSaved, budget } = this.#options;
    this.#saved = Math.min(maxSaved, this.#saved + budget);
  }

  /**
   * How long to wait before the next try; undefined when there is to be none. What is answered
   * counts against the budget.
   * @param tried tries so far
   * @param status of the answer; undefined when there was none: the connection failed
   * @param retryAfterMs what the answer asks for; at least so long is waited
   */
  delayMs(
    { tried, status, retryAfterMs = 0 }: { tried: number; status?: number; retryAfterMs?: number },
    nowMs: number,
  ): number | undefined {
    const { tries, baseMs, multiplier, jitter, reservePerSecond, maxSaved } = this.#options;
    if (tried >= tries || (status !== undefined && !this.#statuses.has(status))) return undefined;
    const elapsedMs = Math.max(0, nowMs - this.#savedAtMs);
    this.#savedAtMs = Math.max(this.#savedAtMs, nowMs);
    this.#saved = Math.min(maxSaved, this.#saved + (elapsedMs / 1_000) * reservePerSecond);
    if (this.#saved < 1) return undefined;
    this.#saved--;
    const spread = 1 + jitter * (2 * this.#prng.next() - 1);
    return Math.max(retryAfterMs, baseMs * multiplier ** (tried - 1) * spread);
  }
}
