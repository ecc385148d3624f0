// Moves rows between a caller's arrays and their owners: the hot path of training. Rows of this
// node skip the network; the rows of one owner that stand side by side in the batch are copied in
// one go.
import { TABLE_TUNING } from './defaults.ts';
import { requestInvalid } from './errors.ts';
import { PROCEDURES, bytesOf, joinBytes } from './messages.ts';
import { floatsOf, forEachSlice, handlesOf, placeOf, scatter } from './row-groups.ts';
import type { Payload } from '../peer/index.ts';
import type { HostedTable } from './hosted-table.ts';
import type { Owners } from './owners.ts';
import type { Slice } from './row-groups.ts';
import type { CallLimits } from './table.ts';

const FLOAT = Float32Array.BYTES_PER_ELEMENT;
const NOTHING = new Uint8Array(0);

export interface Transfer {
  readonly owners: Owners;
  readonly dim: number;
  /** This node's part of the table, when it is in memory. */
  readonly local: HostedTable | undefined;
  readonly handles: Uint32Array;
  readonly limits: CallLimits;
}

/** Writes the rows of all handles to `into`. */
export function pullRows(transfer: Transfer, into: Float32Array): Promise<void> {
  const { dim, handles, local, owners } = transfer;
  return forEachSlice(batchOf(transfer), (slice) => {
    const own = handlesOf(slice, handles);
    if (local !== undefined && slice.group.owner === owners.self) {
      const landing = landingOf(slice, into, dim) ?? new Float32Array((own.length / 2) * dim);
      local.pull(own, landing);
      if (slice.group.positions !== undefined) scatter(slice, landing, into, dim);
      return undefined;
    }
    // A copy, as handles may be on shared memory, and their sender may go on to change them.
    const call = { procedure: PROCEDURES.pull, bytes: bytesOf(own.slice()) };
    const receive = (reply: Payload) => land(slice, reply.bytes ?? NOTHING, into, dim);
    return { call, receive };
  });
}

/** Has every owner step its rows by their gradients. */
export function pushRows(transfer: Transfer, gradients: Float32Array, rate: number): Promise<void> {
  const { dim, handles, local, owners } = transfer;
  return forEachSlice(batchOf(transfer), (slice) => {
    const own = handlesOf(slice, handles);
    const steps = floatsOf(slice, gradients, dim);
    if (local !== undefined && slice.group.owner === owners.self) {
      local.push(own, steps, rate);
      return undefined;
    }
    const body = { rows: own.length / 2, rate };
    return { call: { procedure: PROCEDURES.push, body, bytes: joinBytes(own, steps) } };
  });
}

function batchOf({ owners, handles, dim, limits }: Transfer) {
  const rowsPerRequest = Math.max(1, Math.floor(TABLE_TUNING.rowBytesPerRequest / (dim * FLOAT)));
  return { owners, handles, rowsPerRequest, limits };
}

/** The part of `into` that a slice's rows fill, when they are side by side there. */
function landingOf(slice: Slice, into: Float32Array, dim: number): Float32Array | undefined {
  if (slice.group.positions !== undefined) return undefined;
  const first = placeOf(slice, 0);
  return into.subarray(first * dim, (first + slice.to - slice.from) * dim);
}

/** Copies a reply to its places, byte by byte, as its own place in memory may be odd. */
function land(slice: Slice, rows: Uint8Array, into: Float32Array, dim: number): void {
  const floats = (slice.to - slice.from) * dim;
  if (rows.length !== floats * FLOAT) {
    throw requestInvalid(`${rows.length} bytes of rows instead of ${floats * FLOAT}`);
  }
  const landing = landingOf(slice, into, dim);
  if (landing !== undefined) {
    bytesOf(landing).set(rows);
    return;
  }
  const aligned = new Float32Array(floats);
  bytesOf(aligned).set(rows);
  scatter(slice, aligned, into, dim);
}
