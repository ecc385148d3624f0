// What other owners hand over before the grant: whole or not at all, in bounded memory, and gone
// when it is of no use.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../src/core/index.ts';
import { packEntities } from '../../src/sharding/messages.ts';
import { Staging } from '../../src/sharding/staging.ts';

const stateOf = (id: string, value: number) => {
  const [bytes] = packEntities([{ id, state: { value } }], 1_000, () => {});
  return bytes!;
};
const LIMITS = { stagedBytes: 300, stagePartBytes: 100 };
const isHere = (id: string) => id.startsWith('here');
const hand = (staging: Staging, part: number, options: object = {}, id = 'here') =>
  staging.add(
    { type: 't', shard: 1, epoch: 5, part, isLast: part === 2, ...options },
    stateOf(`${id}-${part}`, part),
    isHere,
  );

test('what is handed over counts when it is whole, and is gone when it is of no use', () => {
  const staging = new Staging(LIMITS);
  for (const part of [0, 1, 2]) hand(staging, part);
  assert.equal(staging.take(1, 6).length, 0);
  assert.equal(staging.bytes, 0);
  for (const part of [0, 1, 2]) hand(staging, part);
  assert.deepEqual(
    staging.take(1, 5).map(({ id }) => id),
    ['here-0', 'here-1', 'here-2'],
  );
  assert.equal(staging.take(1, 5).length, 0);
  // Abandoned half-way, then begun anew at a later epoch.
  for (const part of [0, 1]) hand(staging, part);
  for (const part of [0, 1, 2]) hand(staging, part, { epoch: 7 });
  assert.equal(staging.take(1, 5).length, 0);
  assert.equal(staging.take(1, 7).length, 3);
  hand(staging, 0);
  assert.equal(staging.take(1, 5).length, 0);
  assert.equal(staging.bytes, 0);
  hand(staging, 0);
  staging.forget(1, 5);
  assert.equal(staging.bytes, 0);
});

test('parts out of order, of another epoch or of other entities are refused', () => {
  const staging = new Staging(LIMITS);
  const moved = { code: 'shard_moved' };
  assert.throws(() => hand(staging, 1), moved);
  hand(staging, 0);
  assert.throws(() => hand(staging, 2), moved);
  assert.throws(() => hand(staging, 1, { epoch: 6 }), moved);
  const invalid = { code: 'shard_message_invalid' };
  assert.throws(() => hand(staging, 1, {}, 'elsewhere'), invalid);
  for (const part of [1, 2]) hand(staging, part);
  assert.throws(() => hand(staging, 3), moved);
  assert.equal(staging.take(1, 5).length, 3);
});

test('parts take no more memory than there is for them', () => {
  const staging = new Staging(LIMITS);
  const { length } = stateOf('here-0', 0);
  const room = Math.floor(LIMITS.stagedBytes / length);
  const begin = (shard: number) => hand(staging, 0, { shard });
  for (let shard = 0; shard < room; shard++) begin(shard);
  assert.throws(() => begin(room), { code: 'buffer_full' });
  assert.ok(staging.bytes <= LIMITS.stagedBytes);
  // Who begins anew is not counted twice; who is granted makes room.
  begin(0);
  staging.take(0, 5);
  begin(room);
  const [many = Buffer.alloc(0)] = packEntities(
    Array.from({ length: 9 }, (_, i) => ({ id: `here-${i}`, state: {} })),
    1_000,
    () => {},
  );
  const part = { type: 't', shard: 0, epoch: 9, part: 0, isLast: true };
  const roomy = new Staging({ stagedBytes: 10_000, stagePartBytes: 50 });
  assert.throws(() => roomy.add(part, many, isHere), { code: 'shard_message_invalid' });
  for (let cut = 1; cut < many.length; cut++) {
    const whole = new Staging({ stagedBytes: 10_000, stagePartBytes: 1_000 });
    const bytes = many.subarray(0, cut);
    try {
      whole.add(part, bytes, isHere);
    } catch (error) {
      assert.ok(hasCode(error, 'shard_message_invalid', 'frame_invalid'), `cut at ${cut}`);
    }
  }
});

test('entities of any size travel in parts, and are the same again', () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 30, size: 'max' });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 600 }), (lengths, partBytes) => {
      const entities = lengths.map((length, i) => ({ id: `here-${i}`, state: 'x'.repeat(length) }));
      const parts = [...packEntities(entities, partBytes, () => {})];
      const staging = new Staging({ stagedBytes: 1e6, stagePartBytes: partBytes });
      for (const [part, bytes] of parts.entries()) {
        const isLast = part === parts.length - 1;
        staging.add({ type: 't', shard: 1, epoch: 5, part, isLast }, bytes, isHere);
      }
      assert.deepEqual(staging.take(1, 5), entities);
    }),
  );
});
