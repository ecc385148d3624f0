// Batches of rows cut by owner and by size, and the one way to send such pieces: owners side by
// side, the pieces of one owner in order.
import type { Payload } from '../peer/index.ts';
import type { OwnerCall, Owners } from './owners.ts';
import type { CallLimits } from './table.ts';

/** The rows of a batch that one owner has. */
export interface RowGroup {
  /** Index of the owner. */
  readonly owner: number;
  readonly count: number;
  /** Where the group begins in the batch. */
  readonly start: number;
  /** Where each row of the group is in the batch; undefined when they are side by side. */
  readonly positions: Uint32Array | undefined;
  /** Some shard of the group, to name in errors. */
  readonly shard: number;
}

/** Rows `from` to `to` of a group: as many as fit one request. */
export interface Slice {
  readonly group: RowGroup;
  readonly from: number;
  readonly to: number;
}

/** What to ask of an owner about a slice, and what to do with the answer. */
export interface Step {
  readonly call: Omit<OwnerCall, 'owner' | 'shard'>;
  readonly receive?: (reply: Payload) => void;
}

export interface Batch {
  readonly owners: Owners;
  readonly handles: Uint32Array;
  readonly rowsPerRequest: number;
  readonly limits: CallLimits;
}

/**
 * Does `step` for all slices of a batch; this node's own come last, while the others answer. A step
 * of undefined is done already. After a failure nothing more is sent or received.
 */
export async function forEachSlice(
  batch: Batch,
  step: (slice: Slice) => Step | undefined,
): Promise<void> {
  const { owners, handles, rowsPerRequest, limits } = batch;
  let failed = false;
  const run = async (group: RowGroup) => {
    const { owner, shard, count } = group;
    for (let from = 0; from < count && !failed; from += rowsPerRequest) {
      const next = step({ group, from, to: Math.min(from + rowsPerRequest, count) });
      if (next === undefined) continue;
      const reply = await owners.call({ owner, shard, ...next.call }, limits);
      if (!failed) next.receive?.(reply);
    }
  };
  const groups = owners.group(handles);
  const own = groups.findIndex(({ owner }) => owner === owners.self);
  if (own >= 0) groups.push(...groups.splice(own, 1));
  try {
    await Promise.all(groups.map(run));
  } catch (error) {
    failed = true;
    throw error;
  }
}

/** Where row `i` of a slice is in the batch. */
export function placeOf({ group, from }: Slice, i: number): number {
  return group.positions?.[from + i] ?? group.start + from + i;
}

/** The handles of a slice side by side: a view where they are, else a copy. */
export function handlesOf(slice: Slice, handles: Uint32Array): Uint32Array {
  const count = slice.to - slice.from;
  const first = placeOf(slice, 0);
  if (slice.group.positions === undefined) return handles.subarray(2 * first, 2 * (first + count));
  const own = new Uint32Array(2 * count);
  for (let i = 0; i < count; i++) {
    const place = 2 * placeOf(slice, i);
    own[2 * i] = handles[place]!;
    own[2 * i + 1] = handles[place + 1]!;
  }
  return own;
}

/** The rows of a slice side by side: a view where they are, else a copy. */
export function floatsOf(slice: Slice, values: Float32Array, dim: number): Float32Array {
  const count = slice.to - slice.from;
  const first = placeOf(slice, 0);
  if (slice.group.positions === undefined) {
    return values.subarray(first * dim, (first + count) * dim);
  }
  const own = new Float32Array(count * dim);
  for (let i = 0; i < count; i++) {
    const place = placeOf(slice, i) * dim;
    own.set(values.subarray(place, place + dim), i * dim);
  }
  return own;
}

/** Brings rows that lie side by side to the places of a slice's rows in the batch. */
export function scatter(slice: Slice, rows: Float32Array, into: Float32Array, dim: number): void {
  for (let i = 0; i < slice.to - slice.from; i++) {
    into.set(rows.subarray(i * dim, (i + 1) * dim), placeOf(slice, i) * dim);
  }
}
