// AssemblyScript. Rows of complex numbers as ComplEx keeps them: dim floats, the real halves first, then
// the imaginary ones. `dim` is even.
import { sumLanes } from './vectors';

/** out = a ∘ b, or a ∘ conj(b). `out` may be `a` or `b`. */
@inline
function multiply(rows: usize, dim: usize, a: usize, b: usize, out: usize, conj: bool): void {
  const half = dim >> 1;
  const bytes = half << 2;
  const vectors = half & ~3;
  for (let row: usize = 0; row < rows; row++) {
    let i: usize = 0;
    for (; i < vectors; i += 4) {
      const ar = v128.load(a);
      const ai = v128.load(a + bytes);
      const br = v128.load(b);
      const bi = v128.load(b + bytes);
      const rr = f32x4.mul(ar, br);
      const ri = f32x4.mul(ar, bi);
      const ii = f32x4.mul(ai, bi);
      const ir = f32x4.mul(ai, br);
      v128.store(out, conj ? f32x4.add(rr, ii) : f32x4.sub(rr, ii));
      v128.store(out + bytes, conj ? f32x4.sub(ir, ri) : f32x4.add(ir, ri));
      a += 16;
      b += 16;
      out += 16;
    }
    for (; i < half; i++) {
      const ar = load<f32>(a);
      const ai = load<f32>(a + bytes);
      const br = load<f32>(b);
      const bi = load<f32>(b + bytes);
      store<f32>(out, conj ? ar * br + ai * bi : ar * br - ai * bi);
      store<f32>(out + bytes, conj ? ai * br - ar * bi : ai * br + ar * bi);
      a += 4;
      b += 4;
      out += 4;
    }
    a += bytes;
    b += bytes;
    out += bytes;
  }
}

export function complexMultiply(rows: usize, dim: usize, a: usize, b: usize, out: usize): void {
  multiply(rows, dim, a, b, out, false);
}

export function complexMultiplyConj(rows: usize, dim: usize, a: usize, b: usize, out: usize): void {
  multiply(rows, dim, a, b, out, true);
}

/**
 * The N3 regulariser (Lacroix, Usunier and Obozinski, 2018): gradients += 3 · scale · |x| · x with the
 * complex modulus; returns Σ|x|³, without the scale.
 */
export function n3(rows: usize, dim: usize, x: usize, gradients: usize, scale: f32): f64 {
  const half = dim >> 1;
  const bytes = half << 2;
  const vectors = half & ~3;
  const factor: f32 = 3 * scale;
  const factors = f32x4.splat(factor);
  let total: f64 = 0;
  for (let row: usize = 0; row < rows; row++) {
    let cubes = f32x4.splat(0);
    let i: usize = 0;
    for (; i < vectors; i += 4) {
      const re = v128.load(x);
      const im = v128.load(x + bytes);
      const square = f32x4.add(f32x4.mul(re, re), f32x4.mul(im, im));
      const modulus = f32x4.sqrt(square);
      cubes = f32x4.add(cubes, f32x4.mul(square, modulus));
      const f = f32x4.mul(factors, modulus);
      const other = gradients + bytes;
      v128.store(gradients, f32x4.add(v128.load(gradients), f32x4.mul(f, re)));
      v128.store(other, f32x4.add(v128.load(other), f32x4.mul(f, im)));
      x += 16;
      gradients += 16;
    }
    let sum = sumLanes(cubes);
    for (; i < half; i++) {
      const re = load<f32>(x);
      const im = load<f32>(x + bytes);
      const square = re * re + im * im;
      const modulus = sqrt<f32>(square);
      sum += square * modulus;
      const f = factor * modulus;
      const other = gradients + bytes;
      store<f32>(gradients, load<f32>(gradients) + f * re);
      store<f32>(other, load<f32>(other) + f * im);
      x += 4;
      gradients += 4;
    }
    total += sum as f64;
    x += bytes;
    gradients += bytes;
  }
  return total;
}
