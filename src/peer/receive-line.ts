// The receivers that wait on a channel, in order. One that brought memory of its own lends it to
// the next message while that is on its way, and has it back when it gives up before.
import { FlotillaError } from '../core/index.ts';
import { Wait } from './wait.ts';

/** A receiver that waits, with the memory where it wants its message. */
export class ReceiveWait<T> extends Wait<T> {
  into: Uint8Array | undefined;
}

interface Loan<T> {
  readonly wait: ReceiveWait<T>;
  readonly withdraw: () => void;
}

/** `S` is what messages come from: each source has at most one that is unfinished. */
export class ReceiveLine<T, S> {
  /** Nothing waits to be taken while there are any. */
  #waiting = new Set<ReceiveWait<T>>();
  readonly #loans = new Map<S, Loan<T>>();

  get size(): number {
    return this.#waiting.size + this.#loans.size;
  }

  add(wait: ReceiveWait<T>): void {
    this.#waiting.add(wait);
  }

  /** Memory for a message of `length` bytes from `source`, if who is to get it has brought some. */
  lend(source: S, length: number, withdraw: () => void): Uint8Array | undefined {
    for (const wait of this.#waiting) {
      const { into } = wait;
      if (into === undefined) return undefined;
      if (length > into.length) {
        wait.reject(doesNotFit(length, into));
        continue;
      }
      this.#waiting.delete(wait);
      this.#loans.set(source, { wait, withdraw });
      return into.subarray(0, length);
    }
    return undefined;
  }

  /** Who gets the message that `source` has brought; no longer in line. */
  take(source: S): ReceiveWait<T> | undefined {
    const loan = this.#loans.get(source);
    if (loan !== undefined) {
      this.#loans.delete(source);
      return loan.wait;
    }
    for (const wait of this.#waiting) {
      this.#waiting.delete(wait);
      return wait;
    }
    return undefined;
  }

  /** Nothing more comes from `source`: who waited for its unfinished message is first in line. */
  abandon(source: S): void {
    const loan = this.#loans.get(source);
    if (loan === undefined) return;
    this.#loans.delete(source);
    this.#waiting = new Set([loan.wait, ...this.#waiting]);
  }

  /** A receiver gives up, or has been served. */
  delete(wait: Wait<T>): boolean {
    for (const [source, loan] of this.#loans) {
      if (loan.wait !== wait) continue;
      this.#loans.delete(source);
      // What has arrived of the message stays for whoever comes next.
      loan.withdraw();
      return true;
    }
    return this.#waiting.delete(wait as ReceiveWait<T>);
  }

  reject(error: FlotillaError): void {
    for (const { wait } of this.#loans.values()) wait.reject(error);
    for (const wait of this.#waiting) wait.reject(error);
  }
}

/** A message of `bytes` is not put into `into`: it waits for another receiver. */
export function doesNotFit(bytes: number, into: Uint8Array): FlotillaError {
  const limit = into.length;
  const message = `the message has ${bytes} bytes, the memory for it ${limit}`;
  return new FlotillaError('memory_too_small', message, { details: { bytes, limit } });
}
