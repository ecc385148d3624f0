// AssemblyScript. Packs operands for the sgemm microkernel: panels of 6 rows of op(A) and of 8 columns
// of op(B), in which the elements of one k lie side by side. Missing rows are zeros.

/** Rows of one panel of op(A), and of the tile that the microkernel computes. */
export const MR: usize = 6;
/** Columns of one panel of op(B), and of the tile that the microkernel computes. */
export const NR: usize = 8;

/** target[p·width + r] = source[r·ld + p] for four rows r: transposes four by four. */
@inline
function transpose4(source: usize, ld: usize, k: usize, target: usize, width: usize): void {
  const s1 = source + ld;
  const s2 = s1 + ld;
  const s3 = s2 + ld;
  let p: usize = 0;
  for (const end = (k & ~3) << 2; p < end; p += 16) {
    const r0 = v128.load(source + p);
    const r1 = v128.load(s1 + p);
    const r2 = v128.load(s2 + p);
    const r3 = v128.load(s3 + p);
    const a = i32x4.shuffle(r0, r1, 0, 4, 1, 5);
    const b = i32x4.shuffle(r2, r3, 0, 4, 1, 5);
    const c = i32x4.shuffle(r0, r1, 2, 6, 3, 7);
    const d = i32x4.shuffle(r2, r3, 2, 6, 3, 7);
    v128.store(target, i64x2.shuffle(a, b, 0, 2));
    v128.store(target + width, i64x2.shuffle(a, b, 1, 3));
    v128.store(target + 2 * width, i64x2.shuffle(c, d, 0, 2));
    v128.store(target + 3 * width, i64x2.shuffle(c, d, 1, 3));
    target += 4 * width;
  }
  for (; p < k << 2; p += 4) {
    store<f32>(target, load<f32>(source + p));
    store<f32>(target, load<f32>(s1 + p), 4);
    store<f32>(target, load<f32>(s2 + p), 8);
    store<f32>(target, load<f32>(s3 + p), 12);
    target += width;
  }
}

/** The same for two rows. */
@inline
function transpose2(source: usize, ld: usize, k: usize, target: usize, width: usize): void {
  const s1 = source + ld;
  let p: usize = 0;
  for (const end = (k & ~3) << 2; p < end; p += 16) {
    const r0 = v128.load(source + p);
    const r1 = v128.load(s1 + p);
    const a = i32x4.shuffle(r0, r1, 0, 4, 1, 5);
    const c = i32x4.shuffle(r0, r1, 2, 6, 3, 7);
    v128.store_lane<i64>(target, a, 0);
    v128.store_lane<i64>(target + width, a, 1);
    v128.store_lane<i64>(target + 2 * width, c, 0);
    v128.store_lane<i64>(target + 3 * width, c, 1);
    target += 4 * width;
  }
  for (; p < k << 2; p += 4) {
    store<f32>(target, load<f32>(source + p));
    store<f32>(target, load<f32>(s1 + p), 4);
    target += width;
  }
}

/** A panel with missing rows, element by element. Steps in bytes: along the panel and along k. */
function packEdge(
  source: usize,
  rowStep: usize,
  kStep: usize,
  rows: usize,
  k: usize,
  target: usize,
  width: usize,
): void {
  for (let p: usize = 0; p < k; p++) {
    let r: usize = 0;
    for (; r < rows; r++) store<f32>(target + (r << 2), load<f32>(source + r * rowStep + p * kStep));
    for (; r < width; r++) store<f32>(target + (r << 2), 0);
    target += width << 2;
  }
}

/** Packs op(A)[rows × k]. `ld` in floats. Stored as rows × k, or as k × rows when transposed. */
export function packA(
  transposed: bool,
  source: usize,
  ld: usize,
  rows: usize,
  k: usize,
  target: usize,
): void {
  const step = ld << 2;
  const panel = MR * k * 4;
  while (rows >= MR) {
    if (transposed) {
      let s = source;
      for (let t = target, end = target + panel; t < end; t += MR * 4) {
        v128.store(t, v128.load(s));
        store<u64>(t, load<u64>(s, 16), 16);
        s += step;
      }
      source += MR * 4;
    } else {
      transpose4(source, step, k, target, MR * 4);
      transpose2(source + 4 * step, step, k, target + 16, MR * 4);
      source += MR * step;
    }
    target += panel;
    rows -= MR;
  }
  if (rows > 0) packEdge(source, transposed ? 4 : step, transposed ? step : 4, rows, k, target, MR);
}

/** Packs op(B)[k × columns]. `ld` in floats. Stored as k × columns, or as columns × k when transposed. */
export function packB(
  transposed: bool,
  source: usize,
  ld: usize,
  columns: usize,
  k: usize,
  target: usize,
): void {
  const step = ld << 2;
  const panel = NR * k * 4;
  while (columns >= NR) {
    if (transposed) {
      transpose4(source, step, k, target, NR * 4);
      transpose4(source + 4 * step, step, k, target + 16, NR * 4);
      source += NR * step;
    } else {
      let s = source;
      for (let t = target, end = target + panel; t < end; t += NR * 4) {
        v128.store(t, v128.load(s));
        v128.store(t, v128.load(s, 16), 16);
        s += step;
      }
      source += NR * 4;
    }
    target += panel;
    columns -= NR;
  }
  if (columns > 0) {
    packEdge(source, transposed ? step : 4, transposed ? 4 : step, columns, k, target, NR);
  }
}
