// Streams with long writes, for the tests of bulk sockets: what is sent, and that it arrives.
import { createPrng } from '../../src/core/index.ts';
import type { Link, StreamReader } from '../../src/transport/index.ts';

const MIB = 1024 * 1024;

/** Checks that a stream brings `expected` in order; resolves at its end. */
export function expecting(expected: Uint8Array) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let at = 0;
  const reader: StreamReader = {
    data(bytes, start, end) {
      const piece = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
      if (!piece.equals(expected.subarray(at, at + end - start))) reject(new Error(`bytes ${at}`));
      at += end - start;
    },
    end() {
      if (at === expected.length) resolve();
      else reject(new Error(`${at} bytes of ${expected.length}`));
    },
    reset: () => reject(new Error('a reset')),
  };
  return { reader, promise };
}

/** Sends `bytes` in pieces, long and short by turns, waiting when told to. */
export async function send(link: Link, bytes: Uint8Array, lane: number): Promise<void> {
  const prng = createPrng(7, lane);
  let drained = () => {};
  const stream = link.openStream(Uint8Array.of(lane), { drain: () => drained() });
  for (let at = 0; at < bytes.length; ) {
    const size = prng.next() < 0.5 ? prng.int(3000) + 1 : prng.int(3 * MIB) + 1;
    const end = Math.min(bytes.length, at + size);
    const taken = stream.write(bytes, at, end);
    at = end;
    if (taken || prng.next() < 0.3) continue;
    await new Promise<void>((resolve) => {
      drained = resolve;
    });
  }
  stream.end();
}

export function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at + 4 <= length; at += 4)
    bytes.writeUInt32LE((at * 2_654_435_761 + seed) >>> 0, at);
  return bytes.fill(seed, length - (length % 4));
}
