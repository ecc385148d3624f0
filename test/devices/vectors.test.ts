import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  assertClose,
  kernels,
  normals,
  pointerBlock,
  seeds,
  sizes,
  withBlocks,
} from './support.ts';

const CLOSE = { relative: 1e-5, absolute: 1e-5 };

test('dot, axpy and scal agree with double precision over odd lengths', () => {
  const lengths = fc.integer({ min: 0, max: 150 });
  fc.assert(
    fc.property(lengths, seeds, fc.double({ min: -3, max: 3, noNaN: true }), (n, seed, alpha) => {
      withBlocks((block) => {
        const [x, y] = [block(normals(n, seed)), block(normals(n, seed + 1))];
        const sum = x.floats.reduce((total, value, i) => total + value * y.floats[i]!, 0);
        assertClose([kernels.dot(n, x.pointer, y.pointer)], [sum], {
          relative: 1e-4,
          absolute: 1e-4,
        });
        const added = Array.from(y.floats, (value, i) => value + alpha * x.floats[i]!);
        kernels.axpy(n, alpha, x.pointer, y.pointer);
        assertClose(y.floats, added, CLOSE);
        const scaled = Array.from(x.floats, (value) => value * alpha);
        kernels.scal(n, alpha, x.pointer);
        assertClose(x.floats, scaled, CLOSE);
      });
    }),
  );
});

test('gather copies the rows that pointers name; scatterAdd adds to them in order', () => {
  fc.assert(
    fc.property(sizes, sizes, seeds, (rows, dim, seed) => {
      withBlocks((block) => {
        const table = block(normals(7 * dim, seed));
        const before = table.floats.slice();
        const picked = Array.from({ length: rows }, (_, i) => (i * 5 + seed) % 7);
        const pointers = pointerBlock(picked.map((row) => table.pointer + row * dim * 4));
        const out = block(new Float32Array(rows * dim));
        kernels.gather(rows, dim, pointers.pointer, out.pointer);
        const expected = picked.flatMap((row) => [...before.subarray(row * dim, (row + 1) * dim)]);
        assert.deepEqual([...out.floats], expected);
        const added = block(normals(rows * dim, seed + 1));
        kernels.scatterAdd(rows, dim, added.pointer, pointers.pointer);
        const sums = before.slice();
        picked.forEach((row, i) => {
          for (let j = 0; j < dim; j++) sums[row * dim + j]! += added.floats[i * dim + j]!;
        });
        assert.deepEqual(table.floats, sums);
        pointers.free();
      });
    }),
  );
});

const evens = sizes.map((half) => 2 * half);

test('complex products agree with their definition, in place as well', () => {
  fc.assert(
    fc.property(sizes, evens, seeds, fc.boolean(), (rows, dim, seed, conj) => {
      withBlocks((block) => {
        const [a, b] = [block(normals(rows * dim, seed)), block(normals(rows * dim, seed + 1))];
        const out = block(new Float32Array(rows * dim));
        const half = dim / 2;
        const expected = Array.from(out.floats);
        for (let re = 0; re < rows * dim; re += (re + 1) % dim === half ? half + 1 : 1) {
          const im = re + half;
          const [ar, ai, br] = [a.floats[re]!, a.floats[im]!, b.floats[re]!];
          const bi = b.floats[im]! * (conj ? -1 : 1);
          expected[re] = ar * br - ai * bi;
          expected[im] = ar * bi + ai * br;
        }
        const kernel = conj ? 'complexMultiplyConj' : 'complexMultiply';
        kernels[kernel](rows, dim, a.pointer, b.pointer, out.pointer);
        assertClose(out.floats, expected, CLOSE);
        kernels[kernel](rows, dim, a.pointer, b.pointer, b.pointer);
        assert.deepEqual(b.floats, out.floats);
      });
    }),
  );
});

test('n3 is the gradient of the sum of cubed moduli, and returns that sum', () => {
  fc.assert(
    fc.property(sizes, evens, seeds, (rows, dim, seed) => {
      withBlocks((block) => {
        const [x, g] = [block(normals(rows * dim, seed)), block(normals(rows * dim, seed + 1))];
        const half = dim / 2;
        const expected = Array.from(g.floats);
        let total = 0;
        x.floats.forEach((value, at) => {
          const other = at % dim < half ? at + half : at - half;
          const modulus = Math.hypot(value, x.floats[other]!);
          total += modulus ** 3 / 2;
          expected[at]! += 3 * 0.25 * modulus * value;
        });
        const sum = kernels.n3(rows, dim, x.pointer, g.pointer, 0.25);
        assertClose([sum], [total], { relative: 1e-5, absolute: 1e-6 });
        assertClose(g.floats, expected, CLOSE);
      });
    }),
  );
});

test('complex rows have an even width', () => {
  assert.throws(() => kernels.complexMultiply(1, 3, 0, 0, 0), { name: 'AssertionError' });
});

test('countGreater counts scores over a target and equal to it', () => {
  const score = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom(-Infinity, NaN, 0.1));
  fc.assert(
    fc.property(fc.array(score, { maxLength: 40 }), score, (scores, target) => {
      withBlocks((block) => {
        const s = block(scores);
        const t = Math.fround(target);
        const floats = [...s.floats];
        const greater = floats.filter((value) => Number.isNaN(t) || value > t).length;
        const equal = floats.filter((value) => value === t).length;
        assert.deepEqual(kernels.countGreater(scores.length, s.pointer, target), {
          greater,
          equal,
        });
      });
    }),
  );
});

test('countGreaterRows adds to the counts of each row', () => {
  withBlocks((block) => {
    const scores = block([1, 2, 3, 9, 4, 4, 4, 9]);
    const targets = block([2, 4]);
    const counts = block(new Float32Array(4));
    const words = kernels.words(counts.pointer, 4);
    words.set([10, 0, 0, 20]);
    const { pointer } = counts;
    kernels.countGreaterRows(2, 3, scores.pointer, 4, targets.pointer, pointer, pointer + 8);
    assert.deepEqual([...words], [11, 0, 1, 23]);
  });
});
