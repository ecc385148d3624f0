// AssemblyScript. C[m×n] = op(A)·op(B), blocked and packed as in Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008). Every element of C is summed over k by the same
// operations in the same order whatever m, n and its position: edges run padded through the one tile.
import { MR, NR, packA, packB } from './pack';

/** Depth of a block: a panel of B (8 × KC floats) and one of A (6 × KC) stay in the L1 cache. */
const KC: usize = 512;
/** Rows of a packed block of A, a multiple of MR: MC × KC floats stay in the L2 cache. */
const MC: usize = 192;
/** Columns of a packed block of B, a multiple of NR. */
const NC: usize = 1024;

/** Bytes of scratch that `sgemm` needs: an edge tile, a block of A, a block of B. */
export function sgemmScratchBytes(): usize {
  return 256 + (MC + NC) * KC * 4;
}

/** C[6×8] = (accumulate ? C : 0) + the product of a panel of A and one of B. `ldc` in bytes. */
function tile(k: usize, a: usize, b: usize, c: usize, ldc: usize, accumulate: bool): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let c31 = f32x4.splat(0);
  let c40 = f32x4.splat(0);
  let c41 = f32x4.splat(0);
  let c50 = f32x4.splat(0);
  let c51 = f32x4.splat(0);
  const end = b + k * (NR * 4);
  while (b != end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let s = v128.load_splat<f32>(a);
    c00 = f32x4.relaxed_madd(s, b0, c00);
    c01 = f32x4.relaxed_madd(s, b1, c01);
    s = v128.load_splat<f32>(a, 4);
    c10 = f32x4.relaxed_madd(s, b0, c10);
    c11 = f32x4.relaxed_madd(s, b1, c11);
    s = v128.load_splat<f32>(a, 8);
    c20 = f32x4.relaxed_madd(s, b0, c20);
    c21 = f32x4.relaxed_madd(s, b1, c21);
    s = v128.load_splat<f32>(a, 12);
    c30 = f32x4.relaxed_madd(s, b0, c30);
    c31 = f32x4.relaxed_madd(s, b1, c31);
    s = v128.load_splat<f32>(a, 16);
    c40 = f32x4.relaxed_madd(s, b0, c40);
    c41 = f32x4.relaxed_madd(s, b1, c41);
    s = v128.load_splat<f32>(a, 20);
    c50 = f32x4.relaxed_madd(s, b0, c50);
    c51 = f32x4.relaxed_madd(s, b1, c51);
    a += MR * 4;
    b += NR * 4;
  }
  if (accumulate) {
    storeSum(c, c00, c01);
    storeSum(c + ldc, c10, c11);
    storeSum(c + 2 * ldc, c20, c21);
    storeSum(c + 3 * ldc, c30, c31);
    storeSum(c + 4 * ldc, c40, c41);
    storeSum(c + 5 * ldc, c50, c51);
  } else {
    storePair(c, c00, c01);
    storePair(c + ldc, c10, c11);
    storePair(c + 2 * ldc, c20, c21);
    storePair(c + 3 * ldc, c30, c31);
    storePair(c + 4 * ldc, c40, c41);
    storePair(c + 5 * ldc, c50, c51);
  }
}

@inline
function storePair(c: usize, left: v128, right: v128): void {
  v128.store(c, left);
  v128.store(c, right, 16);
}

@inline
function storeSum(c: usize, left: v128, right: v128): void {
  v128.store(c, f32x4.add(v128.load(c), left));
  v128.store(c, f32x4.add(v128.load(c, 16), right), 16);
}

/** Brings the valid part of an edge tile to C. `ldc` in bytes. */
function copyEdge(
  edge: usize,
  c: usize,
  ldc: usize,
  rows: usize,
  columns: usize,
  accumulate: bool,
): void {
  for (let i: usize = 0; i < rows; i++) {
    for (let j: usize = 0; j < columns; j++) {
      const sum = load<f32>(edge + (j << 2));
      const at = c + (j << 2);
      store<f32>(at, accumulate ? load<f32>(at) + sum : sum);
    }
    edge += NR * 4;
    c += ldc;
  }
}

/** All tiles of one packed block of A and one of B. `ldc` in bytes. */
function block(
  rows: usize,
  columns: usize,
  k: usize,
  packedA: usize,
  packedB: usize,
  c: usize,
  ldc: usize,
  accumulate: bool,
  edge: usize,
): void {
  for (let j: usize = 0; j < columns; j += NR) {
    const b = packedB + j * k * 4;
    const width = min(NR, columns - j);
    for (let i: usize = 0; i < rows; i += MR) {
      const a = packedA + i * k * 4;
      const at = c + i * ldc + (j << 2);
      const height = min(MR, rows - i);
      if (width == NR && height == MR) {
        tile(k, a, b, at, ldc, accumulate);
      } else {
        tile(k, a, b, edge, NR * 4, false);
        copyEdge(edge, at, ldc, height, width, accumulate);
      }
    }
  }
}

/** Leading dimensions in floats; `scratch` has `sgemmScratchBytes()` bytes that no other thread uses. */
export function sgemm(
  transA: bool,
  transB: bool,
  accumulate: bool,
  m: usize,
  n: usize,
  k: usize,
  a: usize,
  lda: usize,
  b: usize,
  ldb: usize,
  c: usize,
  ldc: usize,
  scratch: usize,
): void {
  if (k == 0 && !accumulate) {
    for (let i: usize = 0; i < m; i++) memory.fill(c + ((i * ldc) << 2), 0, n << 2);
    return;
  }
  const packedA = scratch + 256;
  const packedB = packedA + MC * KC * 4;
  for (let j: usize = 0; j < n; j += NC) {
    const columns = min(NC, n - j);
    for (let p: usize = 0; p < k; p += KC) {
      const depth = min(KC, k - p);
      packB(transB, b + ((transB ? j * ldb + p : p * ldb + j) << 2), ldb, columns, depth, packedB);
      for (let i: usize = 0; i < m; i += MC) {
        const rows = min(MC, m - i);
        packA(transA, a + ((transA ? p * lda + i : i * lda + p) << 2), lda, rows, depth, packedA);
        const at = c + ((i * ldc + j) << 2);
        block(rows, columns, depth, packedA, packedB, at, ldc << 2, accumulate || p > 0, scratch);
      }
    }
  }
}
