// The hash of one block of a prompt, chained to the hash of everything before it. Four lanes of
// xxHash32 (Collet), folded to 64 bits in two halves: a published xxHash64 would take its products
// apart into sixteen-bit pieces here, which costs four times as much, and nobody outside the
// gateways of one fleet ever compares these hashes.
import { finalise64 } from '../hash/index.ts';
import type { Hash64 } from '../hash/index.ts';

const PRIME_1 = 0x9e3779b1 | 0;
const PRIME_2 = 0x85ebca77 | 0;
const PRIME_3 = 0xc2b2ae3d | 0;

/** Replaces `chain` by the hash of it and of the first `count` of `words`, a multiple of 4. */
export function chainBlock(chain: Hash64, words: Uint32Array, count: number): void {
  let a = (chain.hi + PRIME_1 + PRIME_2) | 0;
  let b = (chain.lo + PRIME_2) | 0;
  let c = chain.hi ^ PRIME_3;
  let d = (chain.lo - PRIME_1) | 0;
  for (let i = 0; i < count; i += 4) {
    a = (a + Math.imul(words[i]!, PRIME_2)) | 0;
    b = (b + Math.imul(words[i + 1]!, PRIME_2)) | 0;
    c = (c + Math.imul(words[i + 2]!, PRIME_2)) | 0;
    d = (d + Math.imul(words[i + 3]!, PRIME_2)) | 0;
    a = Math.imul((a << 13) | (a >>> 19), PRIME_1);
    b = Math.imul((b << 13) | (b >>> 19), PRIME_1);
    c = Math.imul((c << 13) | (c >>> 19), PRIME_1);
    d = Math.imul((d << 13) | (d >>> 19), PRIME_1);
  }
  chain.hi = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) >>> 0;
  chain.lo = (Math.imul(a ^ rotate(b, 15), PRIME_3) + Math.imul(c ^ rotate(d, 11), PRIME_2)) >>> 0;
  finalise64(chain);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
