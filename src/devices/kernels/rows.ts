// AssemblyScript. What moves and updates rows of tables: rows that lie anywhere are named by arrays of
// 32-bit pointers, rows of a batch lie one after the other. `dim` is in floats.
import { sumLanes } from './vectors';

@inline
function pointerAt(pointers: usize, i: usize): usize {
  return load<u32>(pointers + (i << 2)) as usize;
}

/** From here on the engine's own copy is faster than a loop, though it is a call. */
const LONG_ROW_BYTES: usize = 256;

/** target = source, `dim` floats. */
@inline
export function copyRow(dim: usize, source: usize, target: usize): void {
  const bytes = dim << 2;
  if (bytes >= LONG_ROW_BYTES) {
    memory.copy(target, source, bytes);
    return;
  }
  for (const end = source + (bytes & ~63); source != end; source += 64) {
    const a = v128.load(source);
    const b = v128.load(source, 16);
    const c = v128.load(source, 32);
    const d = v128.load(source, 48);
    v128.store(target, a);
    v128.store(target, b, 16);
    v128.store(target, c, 32);
    v128.store(target, d, 48);
    target += 64;
  }
  for (const end = source + (bytes & 48); source != end; source += 16) {
    v128.store(target, v128.load(source));
    target += 16;
  }
  for (const end = source + (bytes & 12); source != end; source += 4) {
    store<f32>(target, load<f32>(source));
    target += 4;
  }
}

/** target += source, `dim` floats. */
@inline
export function addRow(dim: usize, source: usize, target: usize): void {
  const vectors = dim & ~3;
  let j: usize = 0;
  for (; j < vectors; j += 4) {
    v128.store(target, f32x4.add(v128.load(target), v128.load(source)));
    source += 16;
    target += 16;
  }
  for (; j < dim; j++) {
    store<f32>(target, load<f32>(target) + load<f32>(source));
    source += 4;
    target += 4;
  }
}

/** s += g², p −= rate · g / (√s + ε) over `dim` floats at p, s and g. */
@inline
export function adagradRow(
  dim: usize,
  p: usize,
  s: usize,
  gradients: usize,
  rate: f32,
  epsilon: f32,
): void {
  const rates = f32x4.splat(rate);
  const epsilons = f32x4.splat(epsilon);
  const vectors = dim & ~3;
  let j: usize = 0;
  for (; j < vectors; j += 4) {
    const g = v128.load(gradients);
    const sum = f32x4.add(v128.load(s), f32x4.mul(g, g));
    const step = f32x4.div(f32x4.mul(rates, g), f32x4.add(f32x4.sqrt(sum), epsilons));
    v128.store(s, sum);
    v128.store(p, f32x4.sub(v128.load(p), step));
    gradients += 16;
    s += 16;
    p += 16;
  }
  for (; j < dim; j++) {
    const g = load<f32>(gradients);
    const sum = load<f32>(s) + g * g;
    store<f32>(s, sum);
    store<f32>(p, load<f32>(p) - (rate * g) / (sqrt<f32>(sum) + epsilon));
    gradients += 4;
    s += 4;
    p += 4;
  }
}

/** target[i] = *sources[i] */
export function gather(rows: usize, dim: usize, sources: usize, target: usize): void {
  const bytes = dim << 2;
  for (let i: usize = 0; i < rows; i++) {
    copyRow(dim, pointerAt(sources, i), target);
    target += bytes;
  }
}

/** *targets[i] += source[i], in order, so that a target may appear twice. */
export function scatterAdd(rows: usize, dim: usize, source: usize, targets: usize): void {
  const bytes = dim << 2;
  for (let i: usize = 0; i < rows; i++) {
    addRow(dim, source, pointerAt(targets, i));
    source += bytes;
  }
}

/** Adagrad (Duchi et al., 2011): s += g², p −= rate · g / (√s + ε), element by element. */
export function adagrad(
  rows: usize,
  dim: usize,
  params: usize,
  states: usize,
  gradients: usize,
  rate: f32,
  epsilon: f32,
): void {
  const bytes = dim << 2;
  for (let i: usize = 0; i < rows; i++) {
    adagradRow(dim, pointerAt(params, i), pointerAt(states, i), gradients, rate, epsilon);
    gradients += bytes;
  }
}

/** Adagrad with one float of state a row: s += mean(g²), p −= rate · g / (√s + ε). */
export function adagradRowWise(
  rows: usize,
  dim: usize,
  params: usize,
  states: usize,
  gradients: usize,
  rate: f32,
  epsilon: f32,
): void {
  if (dim == 0) return;
  const vectors = dim & ~3;
  for (let i: usize = 0; i < rows; i++) {
    let squares = f32x4.splat(0);
    let j: usize = 0;
    for (; j < vectors; j += 4) {
      const g = v128.load(gradients + (j << 2));
      squares = f32x4.add(squares, f32x4.mul(g, g));
    }
    let sum = sumLanes(squares);
    for (; j < dim; j++) {
      const g = load<f32>(gradients + (j << 2));
      sum += g * g;
    }
    const state = pointerAt(states, i);
    sum = load<f32>(state) + sum / (dim as f32);
    store<f32>(state, sum);
    const step = rate / (sqrt<f32>(sum) + epsilon);
    const steps = f32x4.splat(step);
    let p = pointerAt(params, i);
    for (j = 0; j < vectors; j += 4) {
      v128.store(p, f32x4.sub(v128.load(p), f32x4.mul(steps, v128.load(gradients))));
      gradients += 16;
      p += 16;
    }
    for (; j < dim; j++) {
      store<f32>(p, load<f32>(p) - step * load<f32>(gradients));
      gradients += 4;
      p += 4;
    }
  }
}
