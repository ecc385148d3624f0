// Packets of the simulated network come out once and in order, however they arrive.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createPrng, shuffle } from '../../src/core/index.ts';
import { Packetiser, Reassembly } from '../../src/transport/memory-packets.ts';
import { MUX_FLAGS, MUX_HEADER_BYTES, writeMuxHeader } from '../../src/wire/index.ts';
import type { Packet } from '../../src/transport/memory-packets.ts';

function frame(stream: number, flag: number, length: number): Buffer {
  const bytes = Buffer.alloc(MUX_HEADER_BYTES + length, stream);
  writeMuxHeader(bytes, 0, { stream, flag, length });
  return bytes;
}

/** Packets in another order, some of them twice, and what comes out of them. */
function scrambled(packets: readonly Packet[], seed: number): Packet[] {
  const prng = createPrng(seed);
  const arriving = [...packets, ...packets.filter(() => prng.int(4) === 0)];
  shuffle(arriving, prng);
  const reassembly = new Reassembly();
  return arriving.flatMap((packet) => reassembly.take(packet));
}

test('in one order, the bytes come out as they went in', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 30 }),
      fc.integer(),
      (writes, seed) => {
        const packetiser = new Packetiser(false, createPrng(seed));
        const packets = writes.flatMap((bytes) => packetiser.cut(Buffer.from(bytes)));
        const out = scrambled([...packets, packetiser.end()], seed);
        assert.equal(out.at(-1)?.bytes, undefined);
        const bytes = out.flatMap((packet) => (packet.bytes ? [packet.bytes] : []));
        assert.ok(Buffer.concat(bytes).equals(Buffer.concat(writes)));
      },
    ),
  );
});

test('streams keep their own order; openings come after earlier ends, the close last', () => {
  const flags = [0, 0, 0, MUX_FLAGS.credit, MUX_FLAGS.end];
  const steps = fc.array(fc.tuple(fc.nat(5), fc.constantFrom(...flags)), { maxLength: 40 });
  fc.assert(
    fc.property(steps, fc.integer(), (list, seed) => {
      const packetiser = new Packetiser(true, undefined);
      // A stream that ended gives its place to a new one.
      const ids = Array.from({ length: 6 }, (_, i) => i + 1);
      const frames = ids.map((id) => frame(id, MUX_FLAGS.open, 2));
      for (const [slot, flag] of list) {
        frames.push(frame(ids[slot]!, flag, flag === MUX_FLAGS.credit ? 8 : 3));
        if (flag !== MUX_FLAGS.end) continue;
        ids[slot] = frames.length + 10;
        frames.push(frame(ids[slot]!, MUX_FLAGS.open, 2));
      }
      frames.push(frame(0, MUX_FLAGS.close, 5));
      const packets = [...packetiser.cut(Buffer.concat(frames)), packetiser.end()];
      assert.equal(packets.length, frames.length + 1);
      const numbers = scrambled(packets, seed).map(({ number }) => number);
      assert.deepEqual(
        numbers.toSorted((a, b) => a - b),
        packets.map(({ number }) => number),
      );
      const at = (packet: Packet) => numbers.indexOf(packet.number);
      for (const packet of packets) {
        const before = packets.filter(
          ({ number, lane, endNumber }) =>
            number < packet.number &&
            (lane === packet.lane || (endNumber > 0 && endNumber <= packet.afterEnds)),
        );
        assert.ok(before.every((earlier) => at(earlier) < at(packet)));
      }
      assert.deepEqual(numbers.slice(-2), [packets.length - 1, packets.length]);
    }),
  );
});
