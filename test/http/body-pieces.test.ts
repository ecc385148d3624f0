// Bodies that come in pieces of any size are whole in the end, and cost about their length.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BodyPieces } from '../../src/http/body-pieces.ts';
import { usedBytes } from '../fuzz/run.ts';

test('a body is its pieces in their order', () => {
  const piece = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 40 }),
    fc.integer({ min: 1, max: 20_000 }).map((length) => new Uint8Array(length).fill(length)),
  );
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 60 }), ([first, ...rest]) => {
      const body = new BodyPieces(Buffer.from(first!));
      for (const each of rest) body.push(Buffer.from(each));
      assert.deepEqual(body.whole(), Buffer.concat([first!, ...rest]));
    }),
  );
});

test('a million pieces of one byte take no more than a few million bytes', () => {
  const source = Buffer.alloc(1024, 'a');
  const body = new BodyPieces(source.subarray(0, 1));
  const before = usedBytes();
  for (let i = 1; i < 1_000_000; i++) body.push(source.subarray(i % 1024, (i % 1024) + 1));
  const grown = usedBytes() - before;
  assert.ok(grown < 4_000_000, `${grown} bytes`);
  assert.equal(body.whole().length, 1_000_000);
});
