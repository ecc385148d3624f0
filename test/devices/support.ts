// What the tests of the kernels share: one memory, blocks that are freed after use, random floats
// that fast-check can shrink, and comparison with double-precision references.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createPrng } from '../../src/core/index.ts';
import { Kernels } from '../../src/devices/index.ts';

export const kernels = await Kernels.create();

/** A value around a block of the kernels' memory. */
export interface Block {
  readonly pointer: number;
  readonly floats: Float32Array;
}

/** Bytes of a pattern on both sides of a block, which no kernel may touch. */
const GUARD_FLOATS = 16;
const GUARD = 12345.5;

/** Runs `body` with a function that makes blocks; then checks their guards and frees them. */
export function withBlocks<T>(body: (block: (values: ArrayLike<number>) => Block) => T): T {
  const made: { pointer: number; length: number }[] = [];
  const block = (values: ArrayLike<number>): Block => {
    const length = values.length + 2 * GUARD_FLOATS;
    const pointer = kernels.alloc(length * 4);
    made.push({ pointer, length });
    kernels.floats(pointer, length).fill(GUARD);
    const inner = pointer + GUARD_FLOATS * 4;
    const floats = kernels.floats(inner, values.length);
    floats.set(values);
    return { pointer: inner, floats };
  };
  try {
    const result = body(block);
    for (const { pointer, length } of made) {
      const all = kernels.floats(pointer, length);
      const guards = [...all.subarray(0, GUARD_FLOATS), ...all.subarray(length - GUARD_FLOATS)];
      assert.ok(
        guards.every((value) => value === GUARD),
        'a kernel wrote outside its block',
      );
    }
    return result;
  } finally {
    for (const { pointer } of made) kernels.free(pointer);
  }
}

/** Normal draws as float32. */
export function normals(length: number, seed: number, deviation = 1): Float32Array {
  const prng = createPrng(seed);
  return Float32Array.from({ length }, () => prng.normal() * deviation);
}

/** A block of 32-bit pointers. */
export function pointerBlock(pointers: readonly number[]): { pointer: number; free(): void } {
  const pointer = kernels.alloc(pointers.length * 4);
  kernels.words(pointer, pointers.length).set(pointers);
  return { pointer, free: () => kernels.free(pointer) };
}

export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: { relative: number; absolute: number },
): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < actual.length; i++) {
    const [got, want] = [actual[i]!, expected[i]!];
    const limit = tolerance.absolute + tolerance.relative * Math.abs(want);
    if (!(Math.abs(got - want) <= limit)) assert.fail(`element ${i} is ${got}, expected ${want}`);
  }
}

export const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
/** Sizes around the edges of vectors and tiles. */
export const sizes = fc.integer({ min: 0, max: 37 });
