// Frames and messages from chunks cut anywhere, and what happens to lengths that lie.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../src/core/index.ts';
import {
  BufferPool,
  FRAMED_PREFIX_BYTES,
  MAX_FRAGMENT_BYTES,
  MessageDecoder,
  MUX_FLAGS,
  MUX_HEADER_BYTES,
  MuxDecoder,
  RAW_PREFIX_BYTES,
  ReceiveBudget,
  writeFramedPrefix,
  writeMuxHeader,
  writeRawPrefix,
} from '../../src/wire/index.ts';

const MIB = 1024 * 1024;
const invalid = (error: unknown) => hasCode(error, 'frame_invalid');

function budgetOf(limits: Partial<ConstructorParameters<typeof ReceiveBudget>[0]> = {}) {
  return new ReceiveBudget({
    maxMessageBytes: 256 * MIB,
    maxHeadBytes: MIB,
    maxPartialBytes: 512 * MIB,
    ...limits,
  });
}

/** Feeds `bytes` in pieces whose sizes repeat `sizes`. */
function feed(
  bytes: Uint8Array,
  sizes: readonly number[],
  push: (chunk: Uint8Array, start: number, end: number) => void,
): void {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const end = Math.min(bytes.length, at + (sizes[turn % sizes.length] ?? 1));
    push(bytes, at, end);
    at = end;
  }
}

function muxFrame(stream: number, flag: number, payload: Uint8Array): Buffer {
  const frame = Buffer.alloc(MUX_HEADER_BYTES + payload.length);
  writeMuxHeader(frame, 0, { stream, flag, length: payload.length });
  frame.set(payload, MUX_HEADER_BYTES);
  return frame;
}

function framed(head: Uint8Array, bytes: Uint8Array): Buffer {
  const prefix = Buffer.alloc(FRAMED_PREFIX_BYTES);
  writeFramedPrefix(prefix, 0, { headBytes: head.length, bytes: bytes.length });
  return Buffer.concat([prefix, head, bytes]);
}

function collect(): { messages: { head: string; bytes: string }[]; sink: MessageDecoderSink } {
  const messages: { head: string; bytes: string }[] = [];
  const sink: MessageDecoderSink = {
    message(buffer, start, end, bytes) {
      messages.push({
        head: Buffer.from(buffer.slice(start, end)).toString('hex'),
        bytes: Buffer.from(bytes ?? []).toString('hex'),
      });
    },
  };
  return { messages, sink };
}
type MessageDecoderSink = ConstructorParameters<typeof MessageDecoder>[0];

const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });

test('multiplexer frames come out as they went in, however the bytes are cut', () => {
  const frame = fc.record({
    stream: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    flag: fc.constantFrom(0, MUX_FLAGS.open, MUX_FLAGS.end, MUX_FLAGS.credit),
    payload: fc.uint8Array({ minLength: 1, maxLength: 100 }),
  });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), cuts, (frames, sizes) => {
      const wire = Buffer.concat(
        frames.map(({ stream, flag, payload }) => muxFrame(stream, flag, payload)),
      );
      const signals: string[] = [];
      const carried = new Map<number, string>();
      const note = (stream: number, bytes: Uint8Array) => {
        carried.set(stream, (carried.get(stream) ?? '') + Buffer.from(bytes).toString('hex'));
      };
      const decoder = new MuxDecoder({
        muxData: (stream, bytes, start, end) => note(stream, bytes.slice(start, end)),
        muxSignal(stream, flag, payload) {
          signals.push(`${stream}/${flag}/${Buffer.from(payload).toString('hex')}`);
        },
      });
      feed(wire, sizes, (chunk, start, end) => decoder.push(chunk, start, end));
      const received = new Map(carried);
      carried.clear();
      const expected: string[] = [];
      for (const { stream, flag, payload } of frames) {
        if (flag === 0) note(stream, payload);
        else expected.push(`${stream}/${flag}/${Buffer.from(payload).toString('hex')}`);
      }
      assert.deepEqual(signals, expected);
      assert.deepEqual(received, carried);
    }),
  );
});

test('a multiplexer frame that breaks a rule is refused', () => {
  const decode = (frame: Uint8Array) => {
    new MuxDecoder({ muxData() {}, muxSignal() {} }).push(frame);
  };
  const oversized = Buffer.alloc(MUX_HEADER_BYTES);
  writeMuxHeader(oversized, 0, { stream: 1, flag: 0, length: MAX_FRAGMENT_BYTES + 1 });
  assert.throws(() => decode(oversized), invalid);
  assert.throws(() => decode(muxFrame(1, 0, Buffer.alloc(0))), invalid);
  assert.throws(() => decode(muxFrame(0, 0, Buffer.from('x'))), invalid);
  assert.throws(() => decode(muxFrame(1, 0x03, Buffer.alloc(0))), invalid);
  assert.throws(() => decode(muxFrame(1, 0x80, Buffer.alloc(0))), invalid);
  assert.throws(() => decode(muxFrame(1, MUX_FLAGS.close, Buffer.alloc(0))), invalid);
  assert.throws(() => decode(muxFrame(0, MUX_FLAGS.open, Buffer.alloc(0))), invalid);
  assert.throws(() => decode(muxFrame(1, MUX_FLAGS.open, Buffer.alloc(2000))), invalid);
});

test('framed messages come out as they went in, however the bytes are cut', () => {
  const message = fc.record({
    head: fc.uint8Array({ maxLength: 60 }),
    bytes: fc.uint8Array({ maxLength: 200 }),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), cuts, (sent, sizes) => {
      const { messages, sink } = collect();
      const budget = budgetOf();
      const decoder = new MessageDecoder(sink, budget, 'framed');
      const wire = Buffer.concat(sent.map(({ head, bytes }) => framed(head, bytes)));
      feed(wire, sizes, (chunk, start, end) => decoder.push(chunk, start, end));
      const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
      assert.deepEqual(
        messages,
        sent.map(({ head, bytes }) => ({ head: hex(head), bytes: hex(bytes) })),
      );
      assert.ok(decoder.idle);
      assert.equal(budget.heldBytes, 0);
    }),
  );
});

test('raw messages carry nothing but their bytes', () => {
  const { messages, sink } = collect();
  const decoder = new MessageDecoder(sink, budgetOf(), 'raw');
  const prefix = Buffer.alloc(RAW_PREFIX_BYTES);
  writeRawPrefix(prefix, 0, 3);
  decoder.push(Buffer.concat([prefix, Buffer.from('abc')]), 0, RAW_PREFIX_BYTES + 3);
  assert.deepEqual(messages, [{ head: '', bytes: Buffer.from('abc').toString('hex') }]);
});

test('received bytes are aligned memory of the receiver’s own', () => {
  for (const size of [1, 63, 4096, 5000, 300_000]) {
    let received: Uint8Array | undefined;
    const sink: MessageDecoderSink = {
      message(_buffer, _start, _end, bytes) {
        received = bytes;
      },
    };
    const decoder = new MessageDecoder(sink, budgetOf(), 'framed');
    const wire = framed(Buffer.from('odd'), Buffer.alloc(size, 7));
    feed(wire, [16_384], (chunk, start, end) => decoder.push(chunk, start, end));
    assert.equal(received?.length, size);
    assert.equal(received?.byteOffset % 8, 0);
    wire.fill(0);
    assert.ok(received?.every((byte) => byte === 7));
  }
});

test('a length of 4 GiB is refused before memory is taken', () => {
  const prefix = Buffer.alloc(FRAMED_PREFIX_BYTES);
  writeRawPrefix(prefix, 0, 4 * 1024 * MIB);
  const budget = budgetOf();
  const decoder = new MessageDecoder(collect().sink, budget, 'framed');
  assert.throws(() => decoder.push(prefix, 0, prefix.length), invalid);
  assert.equal(budget.heldBytes, 0);
});

test('512 streams that announce the largest message and send nothing hold no memory', () => {
  const budget = budgetOf();
  const prefix = Buffer.alloc(FRAMED_PREFIX_BYTES + 1);
  writeFramedPrefix(prefix, 0, { headBytes: 0, bytes: 256 * MIB });
  const decoders = Array.from({ length: 512 }, () => {
    return new MessageDecoder(collect().sink, budget, 'framed');
  });
  for (const decoder of decoders) decoder.push(prefix, 0, FRAMED_PREFIX_BYTES);
  assert.equal(budget.heldBytes, 0);
  // One byte each: memory in proportion to what came, not to what was announced.
  for (const decoder of decoders) decoder.push(prefix, FRAMED_PREFIX_BYTES, prefix.length);
  assert.ok(budget.heldBytes <= 64 * MIB, `${budget.heldBytes} bytes held`);
  for (const decoder of decoders) decoder.drop();
  assert.equal(budget.heldBytes, 0);
});

test('unfinished messages beyond the budget of a peer are refused', () => {
  const budget = budgetOf({ maxPartialBytes: 100_000 });
  const wire = framed(Buffer.alloc(0), Buffer.alloc(90_000));
  const first = new MessageDecoder(collect().sink, budget, 'framed');
  first.push(wire, 0, 60_000);
  const second = new MessageDecoder(collect().sink, budget, 'framed');
  assert.throws(() => second.push(wire, 0, 60_000), invalid);
  first.push(wire, 60_000, wire.length);
  assert.equal(budget.heldBytes, 0);
});

test('a head longer than its message is refused', () => {
  const prefix = Buffer.alloc(FRAMED_PREFIX_BYTES);
  writeFramedPrefix(prefix, 0, { headBytes: 10, bytes: 0 });
  prefix.writeUInt32LE(11, 8);
  const decoder = new MessageDecoder(collect().sink, budgetOf(), 'framed');
  assert.throws(() => decoder.push(prefix, 0, prefix.length), invalid);
});

test('the pool reuses buffers by class and drops what no class wants', () => {
  const pool = new BufferPool({ classesBytes: [64, 256], idleBytes: 512 });
  const small = pool.take(10);
  assert.equal(small.length, 64);
  pool.give(small);
  assert.equal(pool.take(64), small);
  assert.equal(pool.take(65).length, 256);
  assert.equal(pool.take(1000).length, 1000);
  pool.give(Buffer.alloc(256 * 4 + 1));
  assert.equal(pool.idleBytes, 0);
  for (let i = 0; i < 100; i++) pool.give(Buffer.alloc(64));
  assert.equal(pool.idleBytes, 512);
});
