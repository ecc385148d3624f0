// Jump consistent hashing (Lamping and Veach, 2014) and the shard of an id, which is built on it.
import { invalidOption } from '../core/index.ts';
import { multiplyHigh } from './hash64.ts';
import { xxh64 } from './xxh64.ts';

// The paper's generator: key × 2862933555777941757 + 1, modulo 2^64.
const MULTIPLIER_HI = 0x27bb2ee6;
const MULTIPLIER_LO = 0x87b0b0fd;

const TWO_31 = 2 ** 31;

/** Takes a BigInt apart without BigInt arithmetic. */
const parts = new DataView(new ArrayBuffer(8));

/**
 * The bucket of `key` among `buckets` (1 to 2^31). Going from n to n + 1 buckets moves 1 / (n + 1)
 * of the keys, all of them to the new bucket. `key` counts modulo 2^64.
 */
export function jumpHash(key: bigint, buckets: number): number {
  if (!(Number.isInteger(buckets) && buckets >= 1 && buckets <= TWO_31)) {
    throw invalidOption('buckets', 'an integer from 1 to 2147483648', buckets);
  }
  parts.setBigUint64(0, key);
  let hi = parts.getInt32(0);
  let lo = parts.getInt32(4);
  let bucket = 0;
  let next = 0;
  while (next < buckets) {
    bucket = next;
    const cross = Math.imul(hi, MULTIPLIER_LO) + Math.imul(lo, MULTIPLIER_HI);
    hi = (cross + multiplyHigh(lo, MULTIPLIER_LO)) | 0;
    lo = (Math.imul(lo, MULTIPLIER_LO) + 1) | 0;
    if (lo === 0) hi = (hi + 1) | 0;
    next = Math.floor((bucket + 1) * (TWO_31 / ((hi >>> 1) + 1)));
  }
  return bucket;
}

/** The shard of `id` among `shards`: the jump hash of its xxHash64. */
export function shardOf(id: string, shards: number): number {
  return jumpHash(xxh64(id), shards);
}
