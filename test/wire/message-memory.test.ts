// Memory of received messages that is given back (DESIGN.md, principle 5).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageMemory } from '../../src/wire/message-memory.ts';

const KIB = 1024;

test('memory that was given back serves the next message of about its size', () => {
  const memory = new MessageMemory();
  const first = memory.take(100 * KIB);
  assert.equal(memory.release(first), true);
  assert.equal(memory.idleBytes, 100 * KIB);
  const small = memory.take(30 * KIB);
  assert.notEqual(small.buffer, first.buffer, 'not for a message of a third');
  const large = memory.take(101 * KIB);
  assert.notEqual(large.buffer, first.buffer);
  const next = memory.take(90 * KIB);
  assert.equal(next.buffer, first.buffer);
  assert.deepEqual([next.byteOffset, next.length], [0, 90 * KIB]);
  assert.equal(memory.idleBytes, 0);
});

test('memory is taken back once, and only what messages came in', () => {
  const memory = new MessageMemory();
  const message = memory.take(64 * KIB);
  assert.equal(memory.release(message.subarray(5)), true);
  assert.equal(memory.release(message), false);
  assert.equal(memory.release(new Uint8Array(64 * KIB)), false);
  assert.equal(memory.release(memory.take(10)), false);
  const [one, two] = [memory.take(64 * KIB), memory.take(64 * KIB)];
  assert.notEqual(one.buffer, two.buffer);
});

test('idle memory is bounded, and sizes out of use make room', () => {
  const memory = new MessageMemory({ idleBytes: 300 * KIB });
  const out = [100, 101, 102, 103, 104].map((size) => memory.take(size * KIB));
  for (const message of out) {
    memory.release(message);
    assert.ok(memory.idleBytes <= 300 * KIB);
  }
  assert.ok(memory.idleBytes > 0);
  memory.release(memory.take(301 * KIB));
  assert.ok(memory.idleBytes <= 300 * KIB);
});
