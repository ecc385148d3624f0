// How long to wait before an engine's process is started again: longer each time, so that one that
// cannot run does not keep its machine busy. Pure.
import { invalidOption } from '../core/index.ts';
import { PROCESS_DEFAULTS } from './defaults.ts';
import type { Prng } from '../core/index.ts';

export interface BackoffOptions {
  /** Before the first restart. @default 1000 */
  readonly backoffMs?: number;
  /** Each further pause is so many times as long. @default 2 */
  readonly backoffFactor?: number;
  /** @default 60000 */
  readonly maxBackoffMs?: number;
  /** A pause is shorter by up to this share. @default 0.2 */
  readonly backoffJitter?: number;
  /** After so long a life the next restart is a first one again. @default 120000 */
  readonly steadyAfterMs?: number;
}

export class RestartBackoff {
  readonly #prng: Prng;
  readonly #options: Required<BackoffOptions>;
  #restarts = 0;

  constructor(prng: Prng, options: BackoffOptions = {}) {
    this.#prng = prng;
    this.#options = { ...PROCESS_DEFAULTS, ...options };
    const { backoffMs, backoffFactor, maxBackoffMs, backoffJitter } = this.#options;
    if (!(backoffMs > 0)) throw invalidOption('backoffMs', 'above 0', backoffMs);
    if (!(backoffFactor >= 1)) throw invalidOption('backoffFactor', 'from 1', backoffFactor);
    if (!(maxBackoffMs >= backoffMs && Number.isFinite(maxBackoffMs))) {
      throw invalidOption('maxBackoffMs', `from ${backoffMs}`, maxBackoffMs);
    }
    if (!(backoffJitter >= 0 && backoffJitter < 1)) {
      throw invalidOption('backoffJitter', 'from 0 and below 1', backoffJitter);
    }
  }

  /** @param upMs how long the process that ended was up; 0 when it never was */
  nextDelayMs(upMs: number): number {
    const { backoffMs, backoffFactor, maxBackoffMs, backoffJitter, steadyAfterMs } = this.#options;
    if (upMs >= steadyAfterMs) this.#restarts = 0;
    const delayMs = Math.min(maxBackoffMs, backoffMs * backoffFactor ** this.#restarts);
    this.#restarts++;
    return delayMs * (1 - backoffJitter * this.#prng.next());
  }
}
