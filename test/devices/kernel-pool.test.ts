import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../src/core/index.ts';
import { KernelPool, Kernels } from '../../src/devices/index.ts';
import { compileKernels } from '../../src/devices/module.ts';
import { normals, seeds } from './support.ts';

const withCode = (code: string) => (error: unknown) => hasCode(error, code);

test('a pool computes the same bits as one thread, also in memory that has grown', async () => {
  const kernels = await Kernels.create();
  const pool = await KernelPool.start(kernels, { threads: 3 });
  try {
    const size = fc.integer({ min: 0, max: 70 });
    const flags = fc.record({
      transA: fc.boolean(),
      transB: fc.boolean(),
      accumulate: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(flags, size, size, size, seeds, async (flag, m, n, k, seed) => {
        const blocks = [m * k, k * n, m * n, m * n, 2 ** 20].map((length, i) => {
          const pointer = kernels.alloc(length * 4);
          kernels
            .floats(pointer, i < 4 ? length : 0)
            .set(normals(i < 4 ? length : 0, seed + Math.min(i, 2)));
          return pointer;
        });
        const [a, b, c, d] = blocks as [number, number, number, number];
        const [lda, ldb] = [flag.transA ? m : k, flag.transB ? k : n];
        kernels.sgemm(flag, m, n, k, a, lda, b, ldb, c, n);
        await pool.sgemm(flag, m, n, k, a, lda, b, ldb, d, n);
        assert.deepEqual(kernels.floats(d, m * n), kernels.floats(c, m * n));
      }),
      { numRuns: 40 },
    );
  } finally {
    await pool.stop();
  }
});

test('products asked for at once run in order', async () => {
  const kernels = await Kernels.create();
  const pool = await KernelPool.start(kernels, { threads: 2 });
  const one = kernels.alloc(4);
  const sum = kernels.alloc(4);
  kernels.floats(one, 1)[0] = 1;
  kernels.floats(sum, 1)[0] = 0;
  const add = () => pool.sgemm({ accumulate: true }, 1, 1, 1, one, 1, one, 1, sum, 1);
  await Promise.all(Array.from({ length: 50 }, add));
  assert.equal(kernels.floats(sum, 1)[0], 50);
  await pool.stop();
});

test('stop finishes what waits, frees the blocks of the threads, and refuses more', async () => {
  const kernels = await Kernels.create();
  const used = kernels.usedBytes;
  const pool = await KernelPool.start(kernels);
  const pending = pool.sgemm({}, 1, 1, 0, 0, 1, 0, 1, kernels.scratch.pointer, 1);
  await Promise.all([pool.stop(), pool.stop(), pending]);
  assert.equal(kernels.usedBytes, used);
  await assert.rejects(pool.sgemm({}, 1, 1, 1, 0, 1, 0, 1, 0, 1), withCode('kernel_pool_stopped'));
});

test('a thread that dies rejects its product and those that wait', async () => {
  const kernels = await Kernels.create({ maxBytes: 2 ** 26 });
  const used = kernels.usedBytes;
  const pool = await KernelPool.start(kernels, { threads: 2 });
  const outside = kernels.memory.buffer.byteLength;
  // Both threads read past the end of the memory and trap.
  const products = [1, 2].map(() => pool.sgemm({}, 12, 8, 8, outside, 8, 0, 8, 0, 8));
  for (const result of await Promise.allSettled(products)) {
    assert.equal(result.status, 'rejected');
    assert.ok(hasCode(result.reason, 'kernel_worker_died'));
  }
  await pool.stop();
  assert.equal(kernels.usedBytes, used);
});

test('the number of threads is checked', async () => {
  const kernels = await Kernels.create();
  for (const threads of [0, 1.5, -1]) {
    await assert.rejects(KernelPool.start(kernels, { threads }), withCode('invalid_option'));
  }
});

test('kernels on another thread compute on the same memory, but do not allocate', async () => {
  const kernels = await Kernels.create();
  const attached = await Kernels.attach(kernels.memory, kernels.allocScratch());
  const pointer = kernels.alloc(40);
  kernels.floats(pointer, 10).fill(3);
  attached.scal(10, 2, pointer);
  assert.equal(attached.dot(10, pointer, pointer), 360);
  assert.throws(() => attached.alloc(4), { name: 'AssertionError' });
});

test('missing kernels are an error that names the command', async () => {
  const nowhere = pathToFileURL(path.join(import.meta.dirname, 'no-kernels.wasm'));
  await assert.rejects(compileKernels(nowhere), (error: unknown) => {
    assert.ok(hasCode(error, 'kernels_missing'));
    assert.match(error.message, /npm run kernels/);
    return true;
  });
});
