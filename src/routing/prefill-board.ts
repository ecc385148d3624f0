// How long each endpoint would take to begin an answer, as far as this router can know: the tokens
// that it was sent and has not read, and how fast it reads. Whom to send to is the policy's
// business.
import { invalidOption } from '../core/index.ts';
import { PREFILL_DEFAULTS } from './defaults.ts';

export interface PrefillOptions {
  /** Tokens per millisecond until the first rate is known. @default 8 */
  readonly tokensPerMs?: number;
  /** Share of the newest sample in an endpoint's rate. @default 0.2 */
  readonly alpha?: number;
  /** @default 128 */
  readonly minSampleTokens?: number;
  /** @default 30000 */
  readonly halfLifeMs?: number;
}

/** By slot. Invariant: waiting tokens are the sum over requests sent and not yet read. */
export class PrefillBoard {
  readonly #options: Required<PrefillOptions>;
  /** Tokens whose reading will be told. */
  readonly #told: Float64Array;
  /** Tokens whose reading will not be told: they drain at the endpoint's rate. */
  readonly #untold: Float64Array;
  readonly #untoldAtMs: Float64Array;
  /** Tokens per millisecond; NaN while none is known. */
  readonly #rates: Float64Array;
  #typicalRate: number;
  #fadedAtMs = Number.NEGATIVE_INFINITY;

  constructor(maxEndpoints: number, options: PrefillOptions = {}) {
    this.#options = { ...PREFILL_DEFAULTS, ...options };
    const { tokensPerMs, alpha, minSampleTokens, halfLifeMs } = this.#options;
    for (const [name, value] of Object.entries({ tokensPerMs, halfLifeMs })) {
      if (!(value > 0 && Number.isFinite(value))) throw invalidOption(name, 'above 0', value);
    }
    if (!(alpha > 0 && alpha <= 1)) throw invalidOption('alpha', 'above 0 and at most 1', alpha);
    if (!(minSampleTokens >= 1)) {
      throw invalidOption('minSampleTokens', 'at least 1', minSampleTokens);
    }
    this.#told = new Float64Array(maxEndpoints);
    this.#untold = new Float64Array(maxEndpoints);
    this.#untoldAtMs = new Float64Array(maxEndpoints);
    this.#rates = new Float64Array(maxEndpoints).fill(Number.NaN);
    this.#typicalRate = tokensPerMs;
  }

  clear(slot: number): void {
    this.#told[slot] = 0;
    this.#untold[slot] = 0;
    this.#rates[slot] = Number.NaN;
  }

  /** Mean of the rates that were known last. */
  get typicalRate(): number {
    return this.#typicalRate;
  }

  /** Tokens per millisecond: its own, else what is typical of those that are known. */
  rate(slot: number): number {
    const rate = this.#rates[slot]!;
    return Number.isNaN(rate) ? this.#typicalRate : rate;
  }

  waiting(slot: number, nowMs: number): number {
    const untold = this.#untold[slot]!;
    return untold === 0 ? this.#told[slot]! : this.#told[slot]! + this.#drained(slot, nowMs);
  }

  /**
   * @param tokens a whole number, so that what is counted in is counted out exactly
   * @param told whether `read` will be called
   */
  sent(slot: number, tokens: number, { told, nowMs }: { told: boolean; nowMs: number }): void {
    if (told) this.#told[slot]! += tokens;
    else {
      this.#untold[slot] = this.#drained(slot, nowMs) + tokens;
      this.#untoldAtMs[slot] = nowMs;
    }
  }

  /** Counts tokens out again that were sent as `told`. */
  read(slot: number, tokens: number): void {
    this.#told[slot]! -= tokens;
  }

  /** Takes in that `tokens`, those that waited before included, took so long. */
  learn(slot: number, tokens: number, elapsedMs: number): void {
    if (tokens < this.#options.minSampleTokens || !(elapsedMs > 0)) return;
    const sample = tokens / elapsedMs;
    const rate = this.#rates[slot]!;
    this.#rates[slot] = Number.isNaN(rate) ? sample : rate + this.#options.alpha * (sample - rate);
  }

  /**
   * Rates are forgotten slowly, in steps: they go back to what is typical, or an endpoint that was
   * slow once would never be asked again and could not show better.
   */
  fade(entries: Iterable<{ readonly slot: number }>, nowMs: number): void {
    const { halfLifeMs } = this.#options;
    const elapsedMs = nowMs - this.#fadedAtMs;
    if (elapsedMs < halfLifeMs * PREFILL_DEFAULTS.fadeStep) return;
    this.#fadedAtMs = nowMs;
    const known = Array.from(entries, ({ slot }) => slot).filter(
      (slot) => !Number.isNaN(this.#rates[slot]!),
    );
    if (known.length === 0) return;
    const typical = known.reduce((sum, slot) => sum + this.#rates[slot]!, 0) / known.length;
    this.#typicalRate = typical;
    const keep = 2 ** (-elapsedMs / halfLifeMs);
    for (const slot of known) {
      this.#rates[slot] = typical + (this.#rates[slot]! - typical) * keep;
    }
  }

  #drained(slot: number, nowMs: number): number {
    const elapsedMs = Math.max(0, nowMs - this.#untoldAtMs[slot]!);
    return Math.max(0, this.#untold[slot]! - elapsedMs * this.rate(slot));
  }
}
