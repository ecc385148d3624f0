// Bodies: what goes round, and what is refused before it is decoded.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FlotillaError, hasCode } from '../../src/core/index.ts';
import { decodeBody, encodeBody } from '../../src/wire/index.ts';

const invalid = (error: unknown) => hasCode(error, 'frame_invalid');

function copyOf(body: unknown): Buffer {
  const { buffer, start, end } = encodeBody(body);
  return Buffer.from(buffer.slice(start, end));
}

const key = fc.string({ maxLength: 12 }).filter((text) => text !== '__proto__');
const typedArray = fc.oneof(
  fc.int8Array(),
  fc.uint8ClampedArray(),
  fc.int16Array(),
  fc.uint16Array(),
  fc.int32Array({ maxLength: 300 }),
  fc.uint32Array(),
  fc.float32Array({ noNaN: true }),
  fc.float64Array({ noNaN: true }),
  fc.bigInt64Array(),
  fc.bigUint64Array(),
);
const { body: anyBody } = fc.letrec<{ body: unknown }>((tie) => ({
  body: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, true, false),
    fc.integer(),
    fc.double({ noNaN: true }).map((value) => value + 0),
    fc.maxSafeInteger(),
    fc.string(),
    fc.string({ minLength: 40, maxLength: 300 }),
    typedArray,
    fc.array(tie('body'), { maxLength: 20 }),
    fc.dictionary(key, tie('body'), { maxKeys: 20, noNullPrototype: true }),
  ),
}));

test('bodies of plain values go round', () => {
  fc.assert(
    fc.property(anyBody, (body) => {
      assert.deepEqual(decodeBody(copyOf(body)), body);
    }),
  );
});

test('a negative zero travels as zero', () => {
  assert.ok(Object.is(decodeBody(copyOf(-0)), 0));
});

test('binary values go round as copies', () => {
  const wire = copyOf({ vector: Uint8Array.of(1, 2, 3) });
  const body = decodeBody(wire) as { vector: Uint8Array };
  wire.fill(0);
  assert.deepEqual([...body.vector], [1, 2, 3]);
});

test('typed arrays keep their type, wherever they lie, large ones too', () => {
  const large = Float32Array.from({ length: 70_000 }, (_, i) => i / 3);
  for (const length of [0, 1, 3, 60, 20_000]) {
    const part = large.subarray(5, 5 + length);
    const body = decodeBody(copyOf({ x: 'pad', part })) as { part: Float32Array };
    assert.ok(body.part instanceof Float32Array);
    assert.deepEqual(body.part, part.slice());
  }
  assert.deepEqual(decodeBody(copyOf(large)), large);
});

test('typed arrays of another length or kind than there is are refused', () => {
  const cases: Record<string, number[]> = {
    'five bytes of float32': [0xc7, 0x06, 0x74, 7, 1, 2, 3, 4, 5],
    'a kind beyond the last': [0xd5, 0x74, 11, 0],
    'no kind': [0xc7, 0x00, 0x74],
    'more than is there': [0xc9, 0x00, 0xff, 0xff, 0xff, 0x74, 7, 1, 2, 3, 4],
  };
  for (const [name, bytes] of Object.entries(cases)) {
    assert.throws(() => decodeBody(Buffer.from(bytes)), invalid, name);
  }
});

test('undefined is no bytes as a whole and nil within', () => {
  assert.equal(copyOf(undefined).length, 0);
  assert.equal(decodeBody(Buffer.alloc(0)), undefined);
  assert.deepEqual(decodeBody(copyOf({ a: undefined })), { a: null });
});

test('maps are plain maps that any language reads', () => {
  assert.equal(copyOf({ a: 1 }).toString('hex'), '81a16101');
  assert.equal(copyOf([1, 'x', true, null]).toString('hex'), '9401a178c3c0');
});

test('a key cannot reach the prototype', () => {
  const wire = Buffer.concat([
    Buffer.from([0x81, 0xa9]),
    Buffer.from('__proto__'),
    copyOf({ x: 1 }),
  ]);
  const body = decodeBody(wire) as Record<string, unknown>;
  assert.equal(Object.getPrototypeOf(body), Object.prototype);
  assert.equal(body['x'], undefined);
});

test('counts beyond the bytes, deep nesting, extensions and trailing bytes are refused', () => {
  const cases: Record<string, number[]> = {
    'array of 2^32 − 1': [0xdd, 0xff, 0xff, 0xff, 0xff],
    'map of 2^32 − 1': [0xdf, 0xff, 0xff, 0xff, 0xff],
    'string of 4 GiB': [0xdb, 0xff, 0xff, 0xff, 0xff, 0x61],
    'binary of 64 KiB': [0xc5, 0xff, 0xff],
    'record definition': [0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01],
    'regular expression': [0xc7, 0x02, 0x78, 0x61, 0x62],
    'nesting of 100': Array.from({ length: 100 }, () => 0x91).concat([0xc0]),
    'reserved token': [0xc1],
    'trailing bytes': [0xc0, 0xc0],
    'cut integer': [0xcd, 0x01],
  };
  for (const [name, bytes] of Object.entries(cases)) {
    assert.throws(() => decodeBody(Buffer.from(bytes)), invalid, name);
  }
});

test('mutated and cut bodies are decoded or refused, never anything else', () => {
  const mutation = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(anyBody, fc.array(mutation, { maxLength: 4 }), fc.nat(), (body, edits, cut) => {
      const wire = copyOf(body);
      for (const { at, byte } of edits) if (wire.length > 0) wire[at % wire.length] = byte;
      try {
        decodeBody(wire, 0, wire.length === 0 ? 0 : 1 + (cut % wire.length));
      } catch (error) {
        assert.ok(error instanceof FlotillaError && invalid(error), String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test('what MessagePack cannot carry is an error of the sender', () => {
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  const views = [new DataView(new ArrayBuffer(8)), Float16Array.of(1)];
  for (const body of [circular, { call: () => 1 }, Symbol('x'), ...views]) {
    assert.throws(
      () => encodeBody(body),
      (error) => hasCode(error, 'body_unencodable'),
    );
  }
  assert.deepEqual(decodeBody(copyOf({ after: 'all' })), { after: 'all' });
});
