// The fixed fields of relayed messages and of the notices about them, little-endian.
import { isUtf8 } from 'node:buffer';
import { frameInvalid, readU32, writeU32 } from '../wire/index.ts';
import { FIELDS_AT, scratch } from './message-writer.ts';

export const RELAY = { message: 1, delivered: 2, undeliverable: 3 } as const;

/** `[type u8][hops u8][source length u8][target length u8][id u32]`, source, target, body. */
const FIXED_BYTES = 8;

/** What every node on the way reads. */
export interface RelayHeader {
  readonly type: number;
  /** Links that the message may still take. */
  readonly hops: number;
  /** The source's number for its message; a notice repeats it. */
  readonly id: number;
  /** Who sent it first. */
  readonly source: string;
  /** Who it is for. */
  readonly target: string;
}

/** Writes the fields; returns where they end in the scratch. Names have at most 255 bytes each. */
export function writeRelayHeader({ type, hops, id, source, target }: RelayHeader): number {
  const from = Buffer.from(source);
  const to = Buffer.from(target);
  scratch[FIELDS_AT] = type;
  scratch[FIELDS_AT + 1] = hops;
  scratch[FIELDS_AT + 2] = from.length;
  scratch[FIELDS_AT + 3] = to.length;
  writeU32(scratch, FIELDS_AT + 4, id);
  scratch.set(from, FIELDS_AT + FIXED_BYTES);
  scratch.set(to, FIELDS_AT + FIXED_BYTES + from.length);
  return FIELDS_AT + FIXED_BYTES + from.length + to.length;
}

/** The fields at the start of a head, and where the body begins. Throws `frame_invalid`. */
export function readRelayHeader(
  buffer: Uint8Array,
  start: number,
  end: number,
): { header: RelayHeader; bodyAt: number } {
  const type = buffer[start] ?? 0;
  const sourceAt = start + FIXED_BYTES;
  const targetAt = sourceAt + (buffer[start + 2] ?? 0);
  const bodyAt = targetAt + (buffer[start + 3] ?? 0);
  const known = type >= RELAY.message && type <= RELAY.undeliverable;
  if (!known || sourceAt > end || bodyAt > end || targetAt === sourceAt || bodyAt === targetAt) {
    throw frameInvalid(`a relayed message of type ${type} and ${end - start} bytes`);
  }
  // Other bytes would grow when they are written again, and break the next connection on the way.
  if (!isUtf8(buffer.subarray(sourceAt, bodyAt)) || !isUtf8(buffer.subarray(targetAt, bodyAt))) {
    throw frameInvalid('a relayed message with names that are no UTF-8');
  }
  const header = {
    type,
    hops: buffer[start + 1]!,
    id: readU32(buffer, start + 4),
    source: textOf(buffer, sourceAt, targetAt),
    target: textOf(buffer, targetAt, bodyAt),
  };
  return { header, bodyAt };
}

function textOf(buffer: Uint8Array, start: number, end: number): string {
  return Buffer.from(buffer.buffer, buffer.byteOffset + start, end - start).toString('utf8');
}
