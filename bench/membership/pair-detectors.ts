// The two detectors that membership is compared with, as one observer keeps them for one member:
// a fixed timeout over heartbeats, and the φ-accrual detector. Pure: they are told when a heartbeat
// arrived and say when silence becomes failure. Who sends heartbeats to whom is `heartbeats.ts`'s.

/** What one observer believes of one member, from nothing but the arrival of its heartbeats. */
export interface PairDetector {
  /** Forgets everything; the member was introduced at `nowMs`. */
  reset(nowMs: number): void;
  heard(nowMs: number): void;
  /** From when on silence means failure. */
  deadlineMs(): number;
}

/** Heartbeats with a fixed timeout, and nothing else. */
export class FixedTimeout implements PairDetector {
  readonly #timeoutMs: number;
  #lastHeardMs = 0;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  reset(nowMs: number): void {
    this.#lastHeardMs = nowMs;
  }

  heard(nowMs: number): void {
    this.#lastHeardMs = nowMs;
  }

  deadlineMs(): number {
    return this.#lastHeardMs + this.#timeoutMs;
  }
}

export interface PhiAccrualOptions {
  /** Suspicion level φ at which a member counts as failed. */
  readonly threshold: number;
  /** Intervals between heartbeats that are remembered. */
  readonly windowSize: number;
  /** Floor of the standard deviation: very regular heartbeats would make φ jumpy. */
  readonly minDeviationMs: number;
  /** Silence that is put up with on top of what the history explains. */
  readonly acceptablePauseMs: number;
  /** Guess of the interval before there is a history; its deviation is a quarter of it. */
  readonly firstIntervalMs: number;
}

/** The constants of Akka's `akka.cluster.failure-detector`, with the first interval of Akka. */
export const AKKA_OPTIONS: PhiAccrualOptions = {
  threshold: 8,
  windowSize: 1000,
  minDeviationMs: 100,
  acceptablePauseMs: 3000,
  firstIntervalMs: 1000,
};

/**
 * φ-accrual (Hayashibara, Défago, Yared and Katayama, "The φ accrual failure detector", 2004), as
 * Akka has it: intervals are taken for normal, φ = −log10 P(longer than this), P by a logistic
 * approximation. φ grows with silence, so the silence at which it reaches the threshold is mean +
 * pause + y·deviation with one y for all histories.
 */
export class PhiAccrual implements PairDetector {
  readonly #options: PhiAccrualOptions;
  readonly #deviationsAtThreshold: number;
  readonly #window: Float64Array;
  #count = 0;
  #sum = 0;
  #squares = 0;
  #lastHeardMs = 0;

  constructor(options: PhiAccrualOptions = AKKA_OPTIONS) {
    this.#options = options;
    this.#window = new Float64Array(options.windowSize);
    this.#deviationsAtThreshold = deviationsAt(options.threshold);
  }

  reset(nowMs: number): void {
    const { firstIntervalMs } = this.#options;
    this.#count = 0;
    this.#sum = 0;
    this.#squares = 0;
    this.#lastHeardMs = nowMs;
    this.#remember(firstIntervalMs - firstIntervalMs / 4);
    this.#remember(firstIntervalMs + firstIntervalMs / 4);
  }

  heard(nowMs: number): void {
    // An interval that ended in failure is no sample of how long a living member is silent.
    if (nowMs < this.deadlineMs()) this.#remember(nowMs - this.#lastHeardMs);
    this.#lastHeardMs = nowMs;
  }

  deadlineMs(): number {
    const { acceptablePauseMs, minDeviationMs, windowSize } = this.#options;
    const samples = Math.min(this.#count, windowSize);
    const mean = this.#sum / samples;
    const variance = Math.max(0, this.#squares / samples - mean * mean);
    const deviation = Math.max(Math.sqrt(variance), minDeviationMs);
    return this.#lastHeardMs + mean + acceptablePauseMs + this.#deviationsAtThreshold * deviation;
  }

  #remember(intervalMs: number): void {
    const at = this.#count % this.#options.windowSize;
    if (this.#count >= this.#options.windowSize) {
      const oldest = this.#window[at] as number;
      this.#sum -= oldest;
      this.#squares -= oldest * oldest;
    }
    this.#window[at] = intervalMs;
    this.#sum += intervalMs;
    this.#squares += intervalMs * intervalMs;
    this.#count++;
  }
}

/** φ after a silence that is `y` deviations longer than the mean. */
export function phiAt(y: number): number {
  const e = Math.exp(-y * (1.5976 + 0.070566 * y * y));
  return y > 0 ? -Math.log10(e / (1 + e)) : -Math.log10(1 - 1 / (1 + e));
}

/** The y at which φ reaches `threshold`: φ grows with y. */
function deviationsAt(threshold: number): number {
  let low = -10;
  let high = 20;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (phiAt(middle) < threshold) low = middle;
    else high = middle;
  }
  return high;
}
