// Whether and when a second endpoint is asked while the first has not begun to answer (Dean and
// Barroso, The Tail at Scale, 2013): after the time in which most begin, and only for a share of
// all requests, or a slow fleet would be asked for twice as much. Off unless switched on.
import { invalidOption } from '../core/index.ts';
import { HEDGE_DEFAULTS } from './defaults.ts';

export interface HedgeOptions {
  /** @default false */
  readonly enabled?: boolean;
  /** Share of recent requests that began to answer within the delay. @default 0.95 */
  readonly quantile?: number;
  /** Hedges per request, over time. @default 0.05 */
  readonly budget?: number;
  /** @default 10 */
  readonly maxSaved?: number;
  /** Times that are remembered. @default 512 */
  readonly samples?: number;
  /** With fewer times nothing is hedged. @default 64 */
  readonly minSamples?: number;
  /** @default 10 */
  readonly minDelayMs?: number;
}

export class HedgePolicy {
  readonly #options: Required<HedgeOptions>;
  /** The last times to the first byte, the next one goes to `#at`. */
  readonly #times: Float64Array;
  readonly #sorted: Float64Array;
  #count = 0;
  #at = 0;
  #delayMs = Number.NaN;
  /** Times that came since the delay was made. */
  #since = 0;
  #saved = 0;

  constructor(options: HedgeOptions = {}) {
    this.#options = { ...HEDGE_DEFAULTS, ...options };
    const { quantile, budget, samples, minSamples, minDelayMs, maxSaved } = this.#options;
    if (!(quantile > 0 && quantile < 1))
      throw invalidOption('quantile', 'between 0 and 1', quantile);
    if (!(budget >= 0 && budget <= 1)) throw invalidOption('budget', '0 to 1', budget);
    if (!(Number.isInteger(samples) && samples >= 1)) {
      throw invalidOption('samples', 'a whole number from 1', samples);
    }
    if (!(minSamples >= 1 && minSamples <= samples)) {
      throw invalidOption('minSamples', `1 to ${samples}`, minSamples);
    }
    for (const [name, value] of Object.entries({ minDelayMs, maxSaved })) {
      if (!(value >= 0)) throw invalidOption(name, 'at least 0', value);
    }
    this.#times = new Float64Array(samples);
    this.#sorted = new Float64Array(samples);
  }

  /** Counts a request, not a try: each one saves up its share of a hedge. */
  requested(): void {
    const { budget, maxSaved } = this.#options;
    this.#saved = Math.min(maxSaved, this.#saved + budget);
  }

  /** Takes in how long a request took to its first byte. */
  firstByte(elapsedMs: number): void {
    if (!(elapsedMs >= 0 && Number.isFinite(elapsedMs))) return;
    this.#times[this.#at] = elapsedMs;
    this.#at = (this.#at + 1) % this.#times.length;
    this.#count = Math.min(this.#times.length, this.#count + 1);
    this.#since++;
  }

  /** How long to wait for the first byte before `take`; undefined when nothing is to be hedged. */
  delayMs(): number | undefined {
    const { enabled, minSamples, minDelayMs } = this.#options;
    if (!enabled || this.#count < minSamples) return undefined;
    if (Number.isNaN(this.#delayMs) || this.#since >= HEDGE_DEFAULTS.refreshEvery) this.#refresh();
    return Math.max(minDelayMs, this.#delayMs);
  }

  /** Whether a second endpoint may be asked now; it counts against the budget. */
  take(): boolean {
    if (!this.#options.enabled || this.#saved < 1) return false;
    this.#saved--;
    return true;
  }

  #refresh(): void {
    this.#since = 0;
    const sorted = this.#sorted.subarray(0, this.#count);
    sorted.set(this.#times.subarray(0, this.#count));
    sorted.sort();
    const rank = Math.ceil(this.#options.quantile * this.#count) - 1;
    this.#delayMs = sorted[Math.max(0, rank)]!;
  }
}
