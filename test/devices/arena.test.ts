import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../src/core/index.ts';
import { Arena } from '../../src/devices/arena.ts';
import { Kernels } from '../../src/devices/index.ts';

function plainSpace(bytes: number, maxBytes: number) {
  return {
    bytes,
    maxBytes,
    grow(wanted: number) {
      if (wanted > this.maxBytes) return false;
      this.bytes = wanted;
      return true;
    },
  };
}

const actions = fc.array(
  fc.oneof(fc.record({ alloc: fc.integer({ min: 0, max: 700 }) }), fc.record({ free: fc.nat() })),
  { maxLength: 120 },
);

test('blocks are aligned, lie inside the space and never overlap', () => {
  fc.assert(
    fc.property(actions, (list) => {
      const space = plainSpace(1024, 2 ** 20);
      const arena = new Arena(space, 64);
      const live: { pointer: number; size: number }[] = [];
      for (const action of list) {
        if ('alloc' in action) {
          const size = Math.max(1, action.alloc);
          const pointer = arena.alloc(action.alloc);
          assert.equal(pointer % 64, 0);
          assert.ok(pointer >= 64 && pointer + size <= space.bytes);
          for (const other of live) {
            assert.ok(pointer >= other.pointer + other.size || pointer + size <= other.pointer);
          }
          live.push({ pointer, size });
        } else if (live.length > 0) {
          const [gone] = live.splice(action.free % live.length, 1);
          arena.free(gone!.pointer);
        }
        assert.equal(arena.blockCount, live.length);
      }
    }),
  );
});

test('everything freed in any order is one piece again', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(500), { minLength: 1 }), fc.nat(), (sizes, turn) => {
      const arena = new Arena(plainSpace(64, 2 ** 20), 64);
      const pointers = sizes.map((size) => arena.alloc(size));
      while (pointers.length > 0) arena.free(pointers.splice(turn % pointers.length, 1)[0]!);
      assert.equal(arena.usedBytes, 0);
      assert.equal(arena.alloc(2 ** 19), 64);
    }),
  );
});

test('a freed block is used again, and a hole takes what fits', () => {
  const arena = new Arena(plainSpace(4096, 4096), 64);
  const [a, b, c] = [arena.alloc(128), arena.alloc(256), arena.alloc(64)];
  arena.free(b);
  assert.equal(arena.alloc(64), b);
  assert.equal(arena.alloc(192), b + 64);
  assert.equal(arena.alloc(64), c + 64);
  assert.equal(a, 64);
});

test('a block that does not fit is out_of_memory with the numbers, and harms nothing', () => {
  const arena = new Arena(plainSpace(1024, 2048), 64);
  arena.alloc(1000);
  assert.throws(
    () => arena.alloc(5000),
    (error: unknown) => {
      assert.ok(hasCode(error, 'out_of_memory'));
      assert.deepEqual(error.details, { requested: 5056, used: 1024, size: 1280, limit: 2048 });
      assert.match(error.message, /5056.*1024 of 1280.*2048/);
      return true;
    },
  );
  arena.alloc(900);
});

test('freeing twice, or what was never taken, is a bug', () => {
  const arena = new Arena(plainSpace(1024, 1024), 64);
  const pointer = arena.alloc(10);
  arena.free(pointer);
  assert.throws(() => arena.free(pointer), { name: 'AssertionError' });
  assert.throws(() => arena.free(640), { name: 'AssertionError' });
});

test('kernel memory grows on demand; views taken before stay valid', async () => {
  const kernels = await Kernels.create({ initialBytes: 4 * 2 ** 20, maxBytes: 2 ** 26 });
  const early = kernels.alloc(400);
  const view = kernels.floats(early, 100);
  view.fill(7);
  const late = kernels.alloc(2 ** 25);
  kernels.bytes(late, 2 ** 25).fill(1);
  assert.ok(kernels.memory.buffer.byteLength > 2 ** 25);
  kernels.scal(100, 2, early);
  assert.equal(view[99], 14);
  assert.throws(
    () => kernels.alloc(2 ** 26),
    (error: unknown) => hasCode(error, 'out_of_memory'),
  );
  kernels.free(late);
  assert.equal(kernels.alloc(2 ** 25), late);
});

test('kernel memory refuses sizes outside its rule', async () => {
  for (const options of [{ maxBytes: 2 ** 33 }, { maxBytes: 10 }, { initialBytes: -1 }]) {
    await assert.rejects(Kernels.create(options), (error: unknown) =>
      hasCode(error, 'invalid_option'),
    );
  }
});
