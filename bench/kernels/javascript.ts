// Contestant: the best plain JavaScript sgemm that was found. Of the register tiles 2×2 to 4×4,
// packed as float32 or float64, 2×4 with operands packed as float64 is fastest: no conversion in
// the loop.
import { fill, gigaflops, measure, productOf, reportKernels } from './workload.ts';
import type { Product } from './workload.ts';

const MR = 2;
const NR = 4;
const KC = 256;

/** C[m×n] = A[m×k] · B[k×n], all row-major. */
function sgemm(
  { m, n, k }: Product,
  a: Float32Array,
  b: Float32Array,
  c: Float32Array,
  packed: { a: Float64Array; b: Float64Array },
): void {
  for (let p = 0; p < k; p += KC) {
    const depth = Math.min(KC, k - p);
    for (let j = 0, at = 0; j < n; j += NR) {
      for (let q = 0; q < depth; q++) {
        for (let r = 0; r < NR; r++) packed.b[at++] = j + r < n ? b[(p + q) * n + j + r]! : 0;
      }
    }
    for (let i = 0, at = 0; i < m; i += MR) {
      for (let q = 0; q < depth; q++) {
        for (let r = 0; r < MR; r++) packed.a[at++] = i + r < m ? a[(i + r) * k + p + q]! : 0;
      }
    }
    for (let j = 0; j < n; j += NR) {
      for (let i = 0; i < m; i += MR) {
        tile(depth, packed.a, i * depth, packed.b, j * depth);
        for (let r = 0; r < Math.min(MR, m - i); r++) {
          const row = (i + r) * n + j;
          for (let s = 0; s < Math.min(NR, n - j); s++) {
            c[row + s] = (p > 0 ? c[row + s]! : 0) + sums[r * NR + s]!;
          }
        }
      }
    }
  }
}

const sums = new Float64Array(MR * NR);

function tile(
  depth: number,
  pa: Float64Array,
  fromA: number,
  pb: Float64Array,
  fromB: number,
): void {
  let c00 = 0;
  let c01 = 0;
  let c02 = 0;
  let c03 = 0;
  let c10 = 0;
  let c11 = 0;
  let c12 = 0;
  let c13 = 0;
  let a = fromA;
  let b = fromB;
  for (let p = 0; p < depth; p++) {
    const b0 = pb[b]!;
    const b1 = pb[b + 1]!;
    const b2 = pb[b + 2]!;
    const b3 = pb[b + 3]!;
    const a0 = pa[a]!;
    c00 += a0 * b0;
    c01 += a0 * b1;
    c02 += a0 * b2;
    c03 += a0 * b3;
    const a1 = pa[a + 1]!;
    c10 += a1 * b0;
    c11 += a1 * b1;
    c12 += a1 * b2;
    c13 += a1 * b3;
    a += MR;
    b += NR;
  }
  sums[0] = c00;
  sums[1] = c01;
  sums[2] = c02;
  sums[3] = c03;
  sums[4] = c10;
  sums[5] = c11;
  sums[6] = c12;
  sums[7] = c13;
}

const product = productOf('square');
const { m, n, k } = product;
const [a, b] = [fill(new Float32Array(m * k)), fill(new Float32Array(k * n))];
const c = new Float32Array(m * n);
const packed = { a: new Float64Array((m + MR) * KC), b: new Float64Array((n + NR) * KC) };
const ms = await measure(() => sgemm(product, a, b, c, packed));
reportKernels({ square: gigaflops(product, ms) });
