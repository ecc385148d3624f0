// The points of a ring: sorted hashes in typed arrays, and an index in front that makes a search
// short. A change makes new arrays, in one pass; whose points they are is known here by slot only.
import { INDEX_BITS } from './defaults.ts';
import type { Hash64 } from '../hash/index.ts';

/** Points in ascending order of hash; never changed once made. */
export interface Points {
  readonly hi: Uint32Array;
  readonly lo: Uint32Array;
  /** Slot of the node that a point belongs to. */
  readonly owners: Uint32Array;
  /** By the upper bits of a hash: the first point in that bucket or after it. One entry more. */
  readonly index: Uint32Array;
}

const BUCKETS = 1 << INDEX_BITS;
const BUCKET_SHIFT = 32 - INDEX_BITS;

export const EMPTY_POINTS: Points = allocate(0);

function allocate(length: number): Points {
  return {
    hi: new Uint32Array(length),
    lo: new Uint32Array(length),
    owners: new Uint32Array(length),
    index: new Uint32Array(BUCKETS + 1),
  };
}

/** Position of the first point at or after `hash`, wrapping. There has to be one. */
export function searchPoints(points: Points, hash: Hash64): number {
  const { hi, lo, index } = points;
  const bucket = hash.hi >>> BUCKET_SHIFT;
  let first = index[bucket] as number;
  let last = index[bucket + 1] as number;
  while (first < last) {
    const middle = (first + last) >>> 1;
    const upper = hi[middle] as number;
    if (upper < hash.hi || (upper === hash.hi && (lo[middle] as number) < hash.lo)) {
      first = middle + 1;
    } else last = middle;
  }
  return first === hi.length ? 0 : first;
}

/**
 * `points` with one more of `slot` for each of `hashes`, which it sorts. Among equal hashes the new
 * one goes before those whose owner it `precedes`.
 */
export function mergePoints(
  points: Points,
  { slot, hashes }: { slot: number; hashes: Hash64[] },
  precedes: (other: number) => boolean,
): Points {
  hashes.sort((a, b) => a.hi - b.hi || a.lo - b.lo);
  const { hi, lo, owners } = points;
  const merged = allocate(hi.length + hashes.length);
  const goesBefore = (hash: Hash64, at: number) => {
    if (at === hi.length) return true;
    const order = hash.hi - (hi[at] as number) || hash.lo - (lo[at] as number);
    return order < 0 || (order === 0 && precedes(owners[at] as number));
  };
  let from = 0;
  for (let to = 0, next = 0; to < merged.hi.length; to++) {
    const hash = hashes[next];
    if (hash !== undefined && goesBefore(hash, from)) {
      merged.hi[to] = hash.hi;
      merged.lo[to] = hash.lo;
      merged.owners[to] = slot;
      next++;
    } else {
      merged.hi[to] = hi[from] as number;
      merged.lo[to] = lo[from] as number;
      merged.owners[to] = owners[from] as number;
      from++;
    }
  }
  return indexed(merged);
}

/** `points` without those of `slot`. */
export function withoutSlot(points: Points, slot: number): Points {
  const { hi, lo, owners } = points;
  const kept = allocate(owners.reduce((count, owner) => count + (owner === slot ? 0 : 1), 0));
  let to = 0;
  for (let from = 0; from < owners.length; from++) {
    if (owners[from] === slot) continue;
    kept.hi[to] = hi[from] as number;
    kept.lo[to] = lo[from] as number;
    kept.owners[to++] = owners[from] as number;
  }
  return indexed(kept);
}

/** Fills the index. */
function indexed(points: Points): Points {
  const { hi, index } = points;
  let at = 0;
  for (let bucket = 0; bucket <= BUCKETS; bucket++) {
    while (at < hi.length && (hi[at] as number) >>> BUCKET_SHIFT < bucket) at++;
    index[bucket] = at;
  }
  return points;
}
