// AssemblyScript. Level-1 operations over contiguous floats: dot, axpy, scale, and the counting that
// ranks a target among scores.

/** The sum of the four lanes, pairwise. */
export function sumLanes(v: v128): f32 {
  const pairs = f32x4.add(v, i64x2.shuffle(v, v, 1, 0));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

export function dot(n: usize, x: usize, y: usize): f32 {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  let i: usize = 0;
  for (const end = n & ~15; i < end; i += 16) {
    s0 = f32x4.relaxed_madd(v128.load(x), v128.load(y), s0);
    s1 = f32x4.relaxed_madd(v128.load(x, 16), v128.load(y, 16), s1);
    s2 = f32x4.relaxed_madd(v128.load(x, 32), v128.load(y, 32), s2);
    s3 = f32x4.relaxed_madd(v128.load(x, 48), v128.load(y, 48), s3);
    x += 64;
    y += 64;
  }
  for (const end = n & ~3; i < end; i += 4) {
    s0 = f32x4.relaxed_madd(v128.load(x), v128.load(y), s0);
    x += 16;
    y += 16;
  }
  let sum = sumLanes(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  for (; i < n; i++) {
    sum += load<f32>(x) * load<f32>(y);
    x += 4;
    y += 4;
  }
  return sum;
}

/** partials[i] = the dot product of the i-th run of `chunk` floats; the last run may be shorter. */
export function dotChunks(n: usize, chunk: usize, x: usize, y: usize, partials: usize): void {
  for (let i: usize = 0; i < n; i += chunk) {
    store<f32>(partials, dot(min(chunk, n - i), x + (i << 2), y + (i << 2)));
    partials += 4;
  }
}

/** y += alpha · x */
export function axpy(n: usize, alpha: f32, x: usize, y: usize): void {
  const factor = f32x4.splat(alpha);
  let i: usize = 0;
  for (const end = n & ~15; i < end; i += 16) {
    v128.store(y, f32x4.relaxed_madd(factor, v128.load(x), v128.load(y)));
    v128.store(y, f32x4.relaxed_madd(factor, v128.load(x, 16), v128.load(y, 16)), 16);
    v128.store(y, f32x4.relaxed_madd(factor, v128.load(x, 32), v128.load(y, 32)), 32);
    v128.store(y, f32x4.relaxed_madd(factor, v128.load(x, 48), v128.load(y, 48)), 48);
    x += 64;
    y += 64;
  }
  for (const end = n & ~3; i < end; i += 4) {
    v128.store(y, f32x4.relaxed_madd(factor, v128.load(x), v128.load(y)));
    x += 16;
    y += 16;
  }
  for (; i < n; i++) {
    store<f32>(y, load<f32>(y) + alpha * load<f32>(x));
    x += 4;
    y += 4;
  }
}

/** x *= alpha */
export function scal(n: usize, alpha: f32, x: usize): void {
  const factor = f32x4.splat(alpha);
  let i: usize = 0;
  for (const end = n & ~3; i < end; i += 4) {
    v128.store(x, f32x4.mul(factor, v128.load(x)));
    x += 16;
  }
  for (; i < n; i++) {
    store<f32>(x, alpha * load<f32>(x));
    x += 4;
  }
}

/**
 * Per row of n scores: greater[row] += scores over targets[row], equal[row] += scores that equal it.
 * A score that is not a number is neither; a target that is not a number is beaten by every score.
 * `ld` in floats.
 */
export function countGreater(
  rows: usize,
  n: usize,
  scores: usize,
  ld: usize,
  targets: usize,
  greater: usize,
  equal: usize,
): void {
  for (let row: usize = 0; row < rows; row++) {
    const at = row << 2;
    const target = load<f32>(targets + at);
    if (target != target) {
      store<u32>(greater + at, load<u32>(greater + at) + (n as u32));
      continue;
    }
    let s = scores + row * (ld << 2);
    const bar = f32x4.splat(target);
    // A true lane is −1, so that subtraction counts.
    let over = i32x4.splat(0);
    let same = i32x4.splat(0);
    let i: usize = 0;
    for (const end = n & ~3; i < end; i += 4) {
      const v = v128.load(s);
      over = i32x4.sub(over, f32x4.gt(v, bar));
      same = i32x4.sub(same, f32x4.eq(v, bar));
      s += 16;
    }
    let overs = sumCounts(over);
    let sames = sumCounts(same);
    for (; i < n; i++) {
      const v = load<f32>(s);
      overs += u32(v > target);
      sames += u32(v == target);
      s += 4;
    }
    store<u32>(greater + at, load<u32>(greater + at) + overs);
    store<u32>(equal + at, load<u32>(equal + at) + sames);
  }
}

function sumCounts(v: v128): u32 {
  return (
    i32x4.extract_lane(v, 0) +
    i32x4.extract_lane(v, 1) +
    i32x4.extract_lane(v, 2) +
    i32x4.extract_lane(v, 3)
  );
}
