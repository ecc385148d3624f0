// AssemblyScript. Softmax and cross-entropy over a positive and its negatives, with exp and log as
// polynomials: no tables, no imports, no state.
import { scal, sumLanes } from './vectors';

// V8 builds a vector constant anew, from immediates, wherever it is used. Fourteen of them in a loop
// take more time than the arithmetic, so the constants of exp are loaded from a constant data segment.
/** Below this, e^x leaves the normal floats; the result is 0. */
const EXP_UNDERFLOW: f32 = -87.3;
/** Added and subtracted, it rounds a small float to an integer, which stands in its low bits. */
const ROUNDER: f32 = 12582912;
const EXP = memory.data<f32>([
  EXP_UNDERFLOW, EXP_UNDERFLOW, EXP_UNDERFLOW, EXP_UNDERFLOW,
  1.44269504088896341, 1.44269504088896341, 1.44269504088896341, 1.44269504088896341,
  ROUNDER, ROUNDER, ROUNDER, ROUNDER,
  -0.693359375, -0.693359375, -0.693359375, -0.693359375,
  2.12194440e-4, 2.12194440e-4, 2.12194440e-4, 2.12194440e-4,
  1.9875691500e-4, 1.9875691500e-4, 1.9875691500e-4, 1.9875691500e-4,
  1.3981999507e-3, 1.3981999507e-3, 1.3981999507e-3, 1.3981999507e-3,
  8.3334519073e-3, 8.3334519073e-3, 8.3334519073e-3, 8.3334519073e-3,
  4.1665795894e-2, 4.1665795894e-2, 4.1665795894e-2, 4.1665795894e-2,
  1.6666665459e-1, 1.6666665459e-1, 1.6666665459e-1, 1.6666665459e-1,
  5.0000001201e-1, 5.0000001201e-1, 5.0000001201e-1, 5.0000001201e-1,
  1, 1, 1, 1,
]);

/**
 * e^x for x ≤ 0, relative error below 1e-6 (Cephes expf: x = n·ln 2 + r, ln 2 in two parts,
 * degree 5 in r). −Infinity gives 0, not-a-number stays.
 */
@inline
function exp(x: v128): v128 {
  const underflow = v128.load(EXP);
  const rounder = v128.load(EXP, 32);
  const safe = f32x4.pmax(x, underflow);
  const shifted = f32x4.relaxed_madd(safe, v128.load(EXP, 16), rounder);
  const n = f32x4.sub(shifted, rounder);
  let r = f32x4.relaxed_madd(n, v128.load(EXP, 48), safe);
  r = f32x4.relaxed_madd(n, v128.load(EXP, 64), r);
  let y = f32x4.relaxed_madd(v128.load(EXP, 80), r, v128.load(EXP, 96));
  y = f32x4.relaxed_madd(y, r, v128.load(EXP, 112));
  y = f32x4.relaxed_madd(y, r, v128.load(EXP, 128));
  y = f32x4.relaxed_madd(y, r, v128.load(EXP, 144));
  y = f32x4.relaxed_madd(y, r, v128.load(EXP, 160));
  y = f32x4.relaxed_madd(f32x4.mul(y, r), r, f32x4.add(r, v128.load(EXP, 176)));
  // y · 2^n, by adding n to the exponent: y ≥ 1 where n is smallest, so the result is normal.
  y = i32x4.add(y, i32x4.shl(shifted, 23));
  return v128.andnot(y, f32x4.lt(x, underflow));
}

/** ln x for a normal x > 0, not-a-number for that: x = m·2^e with m in [√½, √2), then 2·artanh((m − 1)/(m + 1)). */
function log(x: f64): f64 {
  if (x != x) return x;
  const bits = reinterpret<u64>(x);
  let e = ((bits >> 52) as i32) - 1023;
  let m = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    e++;
  }
  const s = (m - 1) / (m + 1);
  const q = s * s;
  let sum: f64 = (1.0 / 19) * q + 1.0 / 17;
  sum = sum * q + 1.0 / 15;
  sum = sum * q + 1.0 / 13;
  sum = sum * q + 1.0 / 11;
  sum = sum * q + 1.0 / 9;
  sum = sum * q + 1.0 / 7;
  sum = sum * q + 1.0 / 5;
  sum = sum * q + 1.0 / 3;
  sum = sum * q + 1.0;
  return (e as f64) * 0.6931471805599453 + 2 * s * sum;
}

function maximum(n: usize, s: usize, start: f32): f32 {
  let best = f32x4.splat(start);
  let other = best;
  let third = best;
  let i: usize = 0;
  for (const end = n - (n % 12); i < end; i += 12) {
    const at = s + (i << 2);
    best = f32x4.pmax(best, v128.load(at));
    other = f32x4.pmax(other, v128.load(at, 16));
    third = f32x4.pmax(third, v128.load(at, 32));
  }
  best = f32x4.pmax(f32x4.pmax(best, other), third);
  for (const end = n & ~3; i < end; i += 4) best = f32x4.pmax(best, v128.load(s + (i << 2)));
  let most = max(
    max(f32x4.extract_lane(best, 0), f32x4.extract_lane(best, 1)),
    max(f32x4.extract_lane(best, 2), f32x4.extract_lane(best, 3)),
  );
  for (; i < n; i++) most = max(most, load<f32>(s + (i << 2)));
  return most;
}

@inline
function expOne(x: f32): f32 {
  return f32x4.extract_lane(exp(f32x4.splat(x)), 0);
}

/** scores[i] = e^(scores[i] − most); returns their sum. */
function exponentials(n: usize, s: usize, most: f32): f64 {
  const shift = f32x4.splat(most);
  let sums = f32x4.splat(0);
  for (const end = s + ((n & ~3) << 2); s != end; s += 16) {
    const y = exp(f32x4.sub(v128.load(s), shift));
    v128.store(s, y);
    sums = f32x4.add(sums, y);
  }
  const rest = n & 3;
  if (rest > 0) {
    let v = f32x4.splat(-f32(Infinity));
    v = v128.load_lane<f32>(s, v, 0);
    if (rest > 1) v = v128.load_lane<f32>(s, v, 1, 4);
    if (rest > 2) v = v128.load_lane<f32>(s, v, 2, 8);
    v = exp(f32x4.sub(v, shift));
    v128.store_lane<f32>(s, v, 0);
    if (rest > 1) v128.store_lane<f32>(s, v, 1, 4);
    if (rest > 2) v128.store_lane<f32>(s, v, 2, 8);
    sums = f32x4.add(sums, v);
  }
  return sumLanes(sums) as f64;
}

/**
 * One row: scores and the positive become d(loss)/d(score) · scale; returns the loss. All masked: no
 * loss, no gradient.
 */
function crossEntropy(n: usize, scores: usize, positive: usize, scale: f32): f64 {
  const own = load<f32>(positive);
  const most = maximum(n, scores, own);
  if (most == -f32(Infinity)) {
    memory.fill(scores, 0, n << 2);
    store<f32>(positive, 0);
    return 0;
  }
  const others = exponentials(n, scores, most);
  const sum = others + (expOne(own - most) as f64);
  // p − 1 = −(the others' share): no cancellation when p is close to 1.
  store<f32>(positive, (-(others / sum) * (scale as f64)) as f32);
  scal(n, ((scale as f64) / sum) as f32, scores);
  return log(sum) - ((own as f64) - (most as f64));
}

/**
 * Softmax over [positive | n negatives] of each row. Scores and positives become d(loss)/d(score) ·
 * scale, with loss = −log p(positive); returns the sum of the losses, without the scale. A score of
 * −Infinity is masked: its gradient is 0. A row in which all is masked has no loss and no gradient.
 * `ld` in floats.
 */
export function softmaxCrossEntropy(
  rows: usize,
  n: usize,
  scores: usize,
  ld: usize,
  positives: usize,
  scale: f32,
): f64 {
  let loss: f64 = 0;
  for (let row: usize = 0; row < rows; row++) {
    loss += crossEntropy(n, scores + row * (ld << 2), positives + (row << 2), scale);
  }
  return loss;
}

/** The same over rows that lie one after the other, with the loss of each row in `losses`. */
export function softmaxCrossEntropyRows(
  rows: usize,
  n: usize,
  scores: usize,
  positives: usize,
  losses: usize,
  scale: f32,
): void {
  for (let row: usize = 0; row < rows; row++) {
    const at = row << 2;
    store<f32>(losses + at, crossEntropy(n, scores + row * (n << 2), positives + at, scale) as f32);
  }
}
