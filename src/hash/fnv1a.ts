// FNV-1a 64 over the UTF-8 bytes of a string (Fowler, Noll, Vo), without encoding it first.
import type { Hash64 } from './hash64.ts';

// Basis 0xcbf29ce484222325; prime 2^40 + 0x1b3, so that a product is a shift and a small multiple.
const BASIS_HI = 0xcbf29ce4 | 0;
const BASIS_LO = 0x84222325 | 0;
const PRIME_LO = 0x1b3;

/** U+FFFD in UTF-8, first byte lowest: what a surrogate without its partner becomes. */
const REPLACEMENT = 0xbdbfef;

/** Hashes the UTF-8 bytes of `text` into `out`, which it returns. Allocates nothing. */
export function fnv1a64(text: string, out: Hash64): Hash64 {
  let hi = BASIS_HI;
  let lo = BASIS_LO;
  let i = 0;
  // Four characters a turn are a third faster than one. The steps are written out because a
  // function could not return both halves without an allocation.
  for (const end = text.length - 3; i < end; i += 4) {
    const a = text.charCodeAt(i);
    const b = text.charCodeAt(i + 1);
    const c = text.charCodeAt(i + 2);
    const d = text.charCodeAt(i + 3);
    if ((a | b | c | d) >= 0x80) return hashAnyText(text, out);
    lo ^= a;
    hi = (Math.imul(hi, PRIME_LO) + (lo << 8) + carryOf(lo)) | 0;
    lo = Math.imul(lo, PRIME_LO) ^ b;
    hi = (Math.imul(hi, PRIME_LO) + (lo << 8) + carryOf(lo)) | 0;
    lo = Math.imul(lo, PRIME_LO) ^ c;
    hi = (Math.imul(hi, PRIME_LO) + (lo << 8) + carryOf(lo)) | 0;
    lo = Math.imul(lo, PRIME_LO) ^ d;
    hi = (Math.imul(hi, PRIME_LO) + (lo << 8) + carryOf(lo)) | 0;
    lo = Math.imul(lo, PRIME_LO);
  }
  for (; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return hashAnyText(text, out);
    lo ^= unit;
    hi = (Math.imul(hi, PRIME_LO) + (lo << 8) + carryOf(lo)) | 0;
    lo = Math.imul(lo, PRIME_LO);
  }
  out.hi = hi >>> 0;
  out.lo = lo >>> 0;
  return out;
}

/** The same for any text. Apart from the loop above, which is slower with this in it. */
function hashAnyText(text: string, out: Hash64): Hash64 {
  let hi = BASIS_HI;
  let lo = BASIS_LO;
  for (let i = 0; i < text.length; i++) {
    let bytes = text.charCodeAt(i);
    if (bytes >= 0x80) {
      bytes = utf8At(text, i);
      // Only a surrogate pair takes four bytes, and two units of the string.
      if (bytes >>> 24 !== 0) i++;
    }
    // One byte a turn. No byte of a sequence is 0, so what is left tells when to stop.
    do {
      lo ^= bytes & 0xff;
      hi = (Math.imul(hi, PRIME_LO) + (lo << 8) + carryOf(lo)) | 0;
      lo = Math.imul(lo, PRIME_LO);
      bytes >>>= 8;
    } while (bytes !== 0);
  }
  out.hi = hi >>> 0;
  out.lo = lo >>> 0;
  return out;
}

/** What the lower half times the small multiple carries into the upper half. */
function carryOf(lo: number): number {
  const low = Math.imul(lo & 0xffff, PRIME_LO) >>> 16;
  return (Math.imul(lo >>> 16, PRIME_LO) + low) >>> 16;
}

/** The UTF-8 bytes of the character at `i` (not ASCII), first byte lowest. */
function utf8At(text: string, i: number): number {
  const unit = text.charCodeAt(i);
  if (unit < 0x800) return 0xc0 | (unit >>> 6) | ((0x80 | (unit & 0x3f)) << 8);
  if (unit < 0xd800 || unit > 0xdfff) {
    return (
      0xe0 | (unit >>> 12) | ((0x80 | ((unit >>> 6) & 0x3f)) << 8) | ((0x80 | (unit & 0x3f)) << 16)
    );
  }
  // NaN past the end compares false, so a leading surrogate at the end is alone too.
  const next = text.charCodeAt(i + 1);
  if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return REPLACEMENT;
  const point = 0x10000 + ((unit - 0xd800) << 10) + (next - 0xdc00);
  return (
    0xf0 |
    (point >>> 18) |
    ((0x80 | ((point >>> 12) & 0x3f)) << 8) |
    ((0x80 | ((point >>> 6) & 0x3f)) << 16) |
    ((0x80 | (point & 0x3f)) << 24)
  );
}
