// A token bucket: it fills at a steady rate up to its burst, and what it holds may be taken. Pure:
// times come as arguments.
import { RATE_DEFAULTS } from './defaults.ts';

const MINUTE_MS = 60_000;

/**
 * More than the burst can be taken from a full bucket, which then owes the rest: a request that is
 * larger than a minute's worth must wait, but must not wait for ever.
 */
export class TokenBucket {
  #perMinute: number;
  #burst: number;
  #level: number;
  #atMs: number;

  constructor(perMinute: number, burst: number, nowMs: number) {
    this.#perMinute = perMinute;
    this.#burst = burst;
    this.#level = burst;
    this.#atMs = nowMs;
  }

  get perMinute(): number {
    return this.#perMinute;
  }

  get burst(): number {
    return this.#burst;
  }

  /** What it held at the last look; negative when it owes. */
  get level(): number {
    return this.#level;
  }

  /** How long until `amount` can be taken; 0 for now. */
  waitMs(amount: number, nowMs: number): number {
    if (nowMs > this.#atMs) {
      const grown = this.#level + ((nowMs - this.#atMs) / MINUTE_MS) * this.#perMinute;
      this.#level = Math.min(this.#burst, grown);
      this.#atMs = nowMs;
    }
    const missing = Math.min(amount, this.#burst) - this.#level;
    return missing <= RATE_DEFAULTS.slack ? 0 : (missing / this.#perMinute) * MINUTE_MS;
  }

  /** Ask `waitMs` first. */
  take(amount: number): void {
    this.#level -= amount;
  }

  /** Gives back what was taken and not used; a negative amount takes more. */
  give(amount: number): void {
    this.#level = Math.min(this.#burst, this.#level + amount);
  }

  /** Another rate from now on. What is owed stays owed. */
  change(perMinute: number, burst: number): void {
    this.#level = Math.min(burst, this.#level + Math.max(0, burst - this.#burst));
    this.#perMinute = perMinute;
    this.#burst = burst;
  }
}
