// Exponentially weighted moving averages: by a share per sample, and by half-lives in time, with a
// rise followed faster than a fall. Numbers that are not finite never enter.
import { invalidOption } from '../core/index.ts';

/** The share of the newest sample, so that a sample counts half after `halfLife` more samples. */
export function alphaOfHalfLife(halfLife: number): number {
  if (!(halfLife > 0)) throw invalidOption('halfLife', 'above 0', halfLife);
  return 1 - 2 ** (-1 / halfLife);
}

/** An average in which each sample has the share `alpha`; the first sample is taken whole. */
export class Ewma {
  readonly #alpha: number;
  #value: number | undefined;

  /** @param alpha in (0, 1]: 1 follows at once, less follows slower. */
  constructor(alpha: number) {
    if (!(alpha > 0 && alpha <= 1)) throw invalidOption('alpha', 'above 0 and at most 1', alpha);
    this.#alpha = alpha;
  }

  get value(): number | undefined {
    return this.#value;
  }

  /** Returns the average. A sample that is not a finite number changes nothing. */
  add(sample: number): number | undefined {
    if (!Number.isFinite(sample)) return this.#value;
    const value = this.#value ?? sample;
    this.#value = value + this.#alpha * (sample - value);
    return this.#value;
  }
}

export interface HalfLives {
  readonly riseHalfLifeMs: number;
  readonly fallHalfLifeMs: number;
}

/**
 * `previous` moved towards `sample` over `elapsedMs`: what is left of the distance halves with each
 * half-life. Time that does not pass moves nothing; a NaN `previous` means there was none.
 */
export function smooth(
  previous: number,
  sample: number,
  { elapsedMs, riseHalfLifeMs, fallHalfLifeMs }: HalfLives & { readonly elapsedMs: number },
): number {
  if (Number.isNaN(previous)) return sample;
  const halfLifeMs = sample > previous ? riseHalfLifeMs : fallHalfLifeMs;
  return sample + (previous - sample) * 2 ** (-Math.max(0, elapsedMs) / halfLifeMs);
}
