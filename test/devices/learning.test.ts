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

/**
 * Softmax cross-entropy of one row in double precision: its loss, and its gradients, positive
 * first.
 */
function referenceRow(logits: readonly number[], scale: number) {
  const most = Math.max(...logits);
  const exps = logits.map((value) => Math.exp(value - most));
  const sum = exps.reduce((total, value) => total + value, 0);
  // Not sum − 1, which cancels when the positive is nearly certain.
  const others = exps.slice(1).reduce((total, value) => total + value, 0);
  const gradients = exps.map((value, i) => (scale * (i === 0 ? -others : value)) / sum);
  return { loss: Math.log(sum) + most - logits[0]!, gradients };
}

test('softmaxCrossEntropy agrees with double precision over odd widths', () => {
  const spreads = fc.constantFrom(0.01, 1, 20, 300);
  fc.assert(
    fc.property(sizes, sizes, fc.nat(3), seeds, spreads, (rows, n, pad, seed, spread) => {
      withBlocks((block) => {
        const ld = n + pad;
        const scores = block(normals(rows * ld, seed, spread));
        const positives = block(normals(rows, seed + 1, spread));
        const before = scores.floats.slice();
        const expected = Float64Array.from(before);
        const expectedPositives: number[] = [];
        let total = 0;
        for (let row = 0; row < rows; row++) {
          const negatives = before.subarray(row * ld, row * ld + n);
          const { loss, gradients } = referenceRow([positives.floats[row]!, ...negatives], 0.5);
          total += loss;
          expectedPositives.push(gradients[0]!);
          expected.set(gradients.slice(1), row * ld);
        }
        const { pointer } = positives;
        const loss = kernels.softmaxCrossEntropy(rows, n, scores.pointer, ld, pointer, 0.5);
        assertClose([loss], [total], { relative: 1e-5, absolute: 1e-5 });
        // Scores of ±300 lose a part in 10^5 of e^x to the rounding of the difference itself.
        const limit = { relative: spread > 100 ? 1e-4 : 1e-5, absolute: 1e-30 };
        assertClose(scores.floats, expected, limit);
        assertClose(positives.floats, expectedPositives, limit);
      });
    }),
    { numRuns: 200 },
  );
});

test('exp has a relative error below 1e-6 down to the smallest normal floats', () => {
  withBlocks((block) => {
    const n = 8001;
    const xs = Float32Array.from({ length: n }, (_, i) => -(i / n) * 87.25);
    const scores = block(xs);
    const positive = block([0]);
    // With a scale of the sum itself, gradients are the exponentials.
    const sum = 1 + xs.reduce((total, x) => total + Math.exp(x), 0);
    kernels.softmaxCrossEntropy(1, n, scores.pointer, n, positive.pointer, sum);
    assertClose(
      scores.floats,
      Array.from(xs, (x) => Math.exp(x)),
      { relative: 1e-6, absolute: 0 },
    );
  });
});

test('a masked score has no gradient and no part in the loss', () => {
  withBlocks((block) => {
    const masked = block([1, -Infinity, 2, -Infinity, -Infinity, 0.5]);
    const plain = block([1, 2, 0.5]);
    const [p, q] = [block([0.25]), block([0.25])];
    const loss = kernels.softmaxCrossEntropy(1, 6, masked.pointer, 6, p.pointer, 1);
    const expected = kernels.softmaxCrossEntropy(1, 3, plain.pointer, 3, q.pointer, 1);
    assertClose([loss], [expected], { relative: 1e-6, absolute: 0 });
    const [a, b, c] = plain.floats;
    assertClose(masked.floats, [a!, 0, b!, 0, 0, c!], { relative: 1e-6, absolute: 0 });
    assertClose(p.floats, q.floats, { relative: 1e-6, absolute: 0 });
  });
});

test('rows without a negative, or with all masked, are certain: no loss, no gradient', () => {
  withBlocks((block) => {
    const scores = block([-Infinity, -Infinity, -Infinity, -Infinity]);
    const positives = block([3, -Infinity]);
    const { pointer } = positives;
    assert.equal(kernels.softmaxCrossEntropy(2, 2, scores.pointer, 2, pointer, 1), 0);
    assert.ok([...scores.floats, ...positives.floats].every((value) => value === 0));
  });
});

test('a score that is not a number shows in the loss', () => {
  for (const at of [0, 3, 4, 5, 20]) {
    withBlocks((block) => {
      const scores = block(Float32Array.from({ length: 21 }, (_, i) => (i === at ? NaN : i)));
      const positive = block([1]);
      const loss = kernels.softmaxCrossEntropy(1, 21, scores.pointer, 21, positive.pointer, 1);
      assert.ok(Number.isNaN(loss), `not a number at ${at} gives ${loss}`);
    });
  }
});

for (const rowWise of [false, true]) {
  const kernel = rowWise ? 'adagradRowWise' : 'adagrad';
  test(`${kernel} follows its definition over rows that lie anywhere`, () => {
    fc.assert(
      fc.property(sizes, sizes, seeds, (rows, dim, seed) => {
        withBlocks((block) => {
          const width = rowWise ? 1 : dim;
          const params = block(normals(rows * dim, seed));
          const states = block(normals(rows * width, seed + 1).map(Math.abs));
          const gradients = block(normals(rows * dim, seed + 2));
          const p = Float64Array.from(params.floats);
          const s = Float64Array.from(states.floats);
          // Row i of the batch is row rows − 1 − i of the table.
          const order = Array.from({ length: rows }, (_, i) => rows - 1 - i);
          order.forEach((row, i) => {
            for (let j = 0; j < dim; j++) {
              const g = gradients.floats[i * dim + j]!;
              s[row * width + (rowWise ? 0 : j)]! += g ** 2 / (rowWise ? dim : 1);
            }
            for (let j = 0; j < dim; j++) {
              const state = s[row * width + (rowWise ? 0 : j)]!;
              p[row * dim + j]! -=
                (0.1 * gradients.floats[i * dim + j]!) / (Math.sqrt(state) + 1e-8);
            }
          });
          const paramPointers = pointerBlock(order.map((row) => params.pointer + row * dim * 4));
          const statePointers = pointerBlock(order.map((row) => states.pointer + row * width * 4));
          const from = [paramPointers.pointer, statePointers.pointer, gradients.pointer] as const;
          kernels[kernel](rows, dim, ...from, 0.1, 1e-8);
          assertClose(params.floats, p, { relative: 1e-5, absolute: 1e-5 });
          if (dim > 0) assertClose(states.floats, s, { relative: 1e-5, absolute: 1e-6 });
          paramPointers.free();
          statePointers.free();
        });
      }),
    );
  });
}
