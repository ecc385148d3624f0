// How every contestant of the bulk bench is timed: whole transfers, the first ones untimed, until
// the receiver has said that it has every byte.
import { median } from '../harness.ts';

export type BulkWorkload = Readonly<{
  /** One transfer, one way. */
  totalBytes: number;
  /** Size of the pieces that the sender passes on. */
  blockBytes: number;
  /** Requests of the RPC figure: their size, and how many are in flight. */
  callBytes: number;
  callsInFlight: number;
  warmUpTransfers: number;
  transfers: number;
}>;

const MIB = 1024 * 1024;

/** MiB per second, the median of the transfers. `transfer` resolves once all bytes are there. */
export async function measureTransfers(
  { totalBytes, warmUpTransfers, transfers }: BulkWorkload,
  transfer: () => Promise<void>,
): Promise<number> {
  const rates: number[] = [];
  for (let run = 0; run < warmUpTransfers + transfers; run++) {
    const startedAt = performance.now();
    await transfer();
    const seconds = (performance.now() - startedAt) / 1000;
    if (run >= warmUpTransfers) rates.push(totalBytes / MIB / seconds);
  }
  return median(rates);
}

/** A block with every byte value, so that nothing can be left out as zeros. */
export function makeBlock(bytes: number): Buffer {
  const block = Buffer.allocUnsafeSlow(bytes);
  for (let i = 0; i < bytes; i++) block[i] = i * 31 + (i >> 8);
  return block;
}

/** Counts what arrives, for who waits until a transfer is whole. */
export class Counter {
  #bytes = 0;
  #wanted = 0;
  #resolve: (() => void) | undefined;

  add(bytes: number): void {
    this.#bytes += bytes;
    this.#check();
  }

  /** Resolves when this many bytes more than at the last time have arrived. */
  whole(bytes: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wanted = bytes;
      this.#resolve = resolve;
      this.#check();
    });
  }

  #check(): void {
    if (this.#resolve === undefined || this.#bytes < this.#wanted) return;
    if (this.#bytes > this.#wanted) throw new Error('more bytes than were sent');
    this.#bytes = 0;
    this.#resolve();
    this.#resolve = undefined;
  }
}
