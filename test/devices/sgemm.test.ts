import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { assertClose, kernels, normals, seeds, sizes, withBlocks } from './support.ts';

interface Shape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transA: boolean;
  readonly transB: boolean;
  readonly accumulate: boolean;
  /** Floats between rows beyond the row itself. */
  readonly pad: number;
  readonly seed: number;
}

const shapes: fc.Arbitrary<Shape> = fc.record({
  m: sizes,
  n: sizes,
  k: sizes,
  transA: fc.boolean(),
  transB: fc.boolean(),
  accumulate: fc.boolean(),
  pad: fc.constantFrom(0, 1, 3),
  seed: seeds,
});

/** Operands of a shape, with their leading dimensions. */
function operands({ m, n, k, transA, transB, pad, seed }: Shape) {
  const lda = (transA ? m : k) + pad;
  const ldb = (transB ? k : n) + pad;
  const ldc = n + pad;
  return {
    lda,
    ldb,
    ldc,
    a: normals((transA ? k : m) * lda, seed),
    b: normals((transB ? n : k) * ldb, seed + 1),
    c: normals(m * ldc, seed + 2),
  };
}

type Operands = ReturnType<typeof operands>;

/** What C becomes, in double precision; what lies between its rows stays. */
function reference(shape: Shape, { a, b, c, lda, ldb, ldc }: Operands): Float64Array {
  const { m, n, k, transA, transB, accumulate } = shape;
  const out = Float64Array.from(c);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = accumulate ? c[i * ldc + j]! : 0;
      for (let p = 0; p < k; p++) {
        sum += a[transA ? p * lda + i : i * lda + p]! * b[transB ? j * ldb + p : p * ldb + j]!;
      }
      out[i * ldc + j] = sum;
    }
  }
  return out;
}

/** A rectangle of C, from the kernel. */
interface Piece {
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
}

function product(shape: Shape, given: Operands, piece?: Piece): Float32Array {
  const { row, column, rows, columns } = piece ?? {
    row: 0,
    column: 0,
    rows: shape.m,
    columns: shape.n,
  };
  return withBlocks((block) => {
    const [a, b, c] = [block(given.a), block(given.b), block(given.c)];
    const aPointer = a.pointer + 4 * row * (shape.transA ? 1 : given.lda);
    const bPointer = b.pointer + 4 * column * (shape.transB ? given.ldb : 1);
    const cPointer = c.pointer + 4 * (row * given.ldc + column);
    const { lda, ldb, ldc } = given;
    kernels.sgemm(shape, rows, columns, shape.k, aPointer, lda, bPointer, ldb, cPointer, ldc);
    assert.deepEqual(a.floats, given.a);
    assert.deepEqual(b.floats, given.b);
    return c.floats.slice();
  });
}

test('sgemm agrees with a double-precision product for every flag and odd size', () => {
  fc.assert(
    fc.property(shapes, (shape) => {
      const given = operands(shape);
      const expected = reference(shape, given);
      assertClose(product(shape, given), expected, { relative: 1e-5, absolute: 1e-4 });
    }),
    { numRuns: 300 },
  );
});

test('sgemm crosses its cache blocks without a seam', () => {
  for (const [m, n, k] of [
    [200, 9, 530],
    [7, 1030, 11],
    [193, 17, 1025],
  ] as const) {
    for (const accumulate of [false, true]) {
      for (const transposed of [false, true]) {
        const shape = {
          m,
          n,
          k,
          transA: transposed,
          transB: !transposed,
          accumulate,
          pad: 0,
          seed: 5,
        };
        const given = operands(shape);
        const expected = reference(shape, given);
        assertClose(product(shape, given), expected, { relative: 1e-4, absolute: 1e-3 });
      }
    }
  }
});

test('an element is the same bit for bit whatever piece of C is asked for', () => {
  const pieces = fc.tuple(shapes, fc.nat(), fc.nat(), fc.nat(), fc.nat());
  fc.assert(
    fc.property(pieces, ([shape, top, left, height, width]) => {
      fc.pre(shape.m > 0 && shape.n > 0);
      const given = operands(shape);
      const row = top % shape.m;
      const column = left % shape.n;
      const rows = 1 + (height % (shape.m - row));
      const columns = 1 + (width % (shape.n - column));
      const whole = product(shape, given);
      const part = product(shape, given, { row, column, rows, columns });
      for (let i = row; i < row + rows; i++) {
        for (let j = column; j < column + columns; j++) {
          const at = i * given.ldc + j;
          assert.ok(Object.is(part[at], whole[at]), `element ${i}, ${j}`);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('single rows and columns of a product over several blocks are the same bit for bit', () => {
  const shape = {
    m: 200,
    n: 1027,
    k: 520,
    transA: false,
    transB: true,
    accumulate: false,
    pad: 0,
    seed: 9,
  };
  const given = operands(shape);
  const whole = product(shape, given);
  for (const row of [0, 5, 6, 191, 192, 199]) {
    const part = product(shape, given, { row, column: 0, rows: 1, columns: shape.n });
    const [from, to] = [row * shape.n, (row + 1) * shape.n];
    assert.deepEqual(part.subarray(from, to), whole.subarray(from, to));
  }
  for (const column of [0, 7, 1023, 1024, 1026]) {
    const part = product(shape, given, { row: 0, column, rows: shape.m, columns: 1 });
    for (let i = 0; i < shape.m; i++) {
      assert.equal(part[i * shape.n + column], whole[i * shape.n + column]);
    }
  }
});

test('how the operands are stored does not change a bit', () => {
  const base = { m: 31, n: 27, k: 45, accumulate: false, pad: 0, seed: 3 };
  const plain = operands({ ...base, transA: false, transB: false });
  const turned = operands({ ...base, transA: true, transB: true });
  for (let i = 0; i < base.m; i++) {
    for (let p = 0; p < base.k; p++) turned.a[p * turned.lda + i] = plain.a[i * plain.lda + p]!;
  }
  for (let j = 0; j < base.n; j++) {
    for (let p = 0; p < base.k; p++) turned.b[j * turned.ldb + p] = plain.b[p * plain.ldb + j]!;
  }
  assert.deepEqual(
    product({ ...base, transA: true, transB: true }, turned),
    product({ ...base, transA: false, transB: false }, plain),
  );
});

test('a product over no k is zero, or leaves C when it accumulates', () => {
  const shape = { m: 3, n: 5, k: 0, transA: false, transB: false, pad: 0, seed: 1 };
  const given = operands({ ...shape, accumulate: false });
  assert.ok(product({ ...shape, accumulate: false }, given).every((value) => value === 0));
  assert.deepEqual(product({ ...shape, accumulate: true }, given), given.c);
});
