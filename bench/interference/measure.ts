// Round trips of control messages while other things happen: one leaves at each beat, whether or
// not the ones before it came back, so that a stall is seen by all that it holds up.

export interface RoundTrips {
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Sends numbered beats and times their return. */
export class Beats {
  readonly #send: (beat: number) => void;
  readonly #sentAt: number[] = [];
  #timesUs: number[] = [];
  #missing = 0;
  #whole: (() => void) | undefined;

  constructor(send: (beat: number) => void) {
    this.#send = send;
  }

  /** A beat came back. */
  readonly returned = (beat: number): void => {
    this.#timesUs.push((performance.now() - this.#sentAt[beat]!) * 1000);
    if (--this.#missing === 0) this.#whole?.();
  };

  /** Beats until `until` resolves, and for the last ones to come back. */
  async during(everyMs: number, until: Promise<unknown>): Promise<RoundTrips> {
    this.#timesUs = [];
    let over = false;
    const last = until.finally(() => {
      over = true;
    });
    while (!over) {
      this.#missing++;
      const beat = this.#sentAt.push(performance.now()) - 1;
      this.#send(beat);
      await sleep(everyMs);
    }
    await last;
    await new Promise<void>((resolve) => {
      this.#whole = resolve;
      if (this.#missing === 0) resolve();
    });
    const sorted = this.#timesUs.sort((one, other) => one - other);
    const at = (part: number) => sorted[Math.floor(part * sorted.length)] ?? Number.NaN;
    return { p50Us: at(0.5), p99Us: at(0.99) };
  }
}

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
