// How well this node itself does: Lifeguard's local health multiplier. A node that misses answers,
// is accused, or whose event loop is late gives others more time before it accuses them.

export class Awareness {
  readonly #max: number;
  #score = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** 0 is well. */
  get score(): number {
    return this.#score;
  }

  adjust(by: number): void {
    this.#score = Math.min(this.#max, Math.max(0, this.#score + by));
  }

  /** A time, stretched by what this node is to blame for. */
  scale(ms: number): number {
    return ms * (this.#score + 1);
  }
}
