// What the two ends of a QUIC connection say to each other beside the lanes: records
// `[length u32][MessagePack]` on the first stream, and 9-byte signals on the way back of the
// others.
import { decodeBody, encodeBody, frameInvalid, readU32, writeU32 } from '../wire/index.ts';
import { MAX_PREAMBLE_BYTES, QUIC_RECORD_BYTES, TRANSPORT_DEFAULTS } from './defaults.ts';

const LENGTH_BYTES = 4;

export function encodeRecord(record: object): Buffer {
  const { buffer, start, end } = encodeBody(record);
  const bytes = Buffer.alloc(LENGTH_BYTES + end - start);
  writeU32(bytes, 0, end - start);
  bytes.set(buffer.subarray(start, end), LENGTH_BYTES);
  return bytes;
}

/** Collects bytes until a whole unit is there. Holds at most one unit and one read. */
export class ByteCollector {
  #bytes: Uint8Array = new Uint8Array(0);

  get length(): number {
    return this.#bytes.length;
  }

  push(chunk: Uint8Array): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
  }

  /** The next `count` bytes, taken off; undefined when they are not there yet. */
  take(count: number): Uint8Array | undefined {
    if (this.#bytes.length < count) return undefined;
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  /** A u32 or u16 at `at`, left where it is. */
  peekU32(at: number): number {
    return readU32(this.#bytes, at);
  }

  peekU16(at: number): number {
    return this.#bytes[at]! | (this.#bytes[at + 1]! << 8);
  }
}

/** The next record. Throws `frame_invalid`. */
export function takeRecord(collector: ByteCollector): unknown {
  if (collector.length < LENGTH_BYTES) return undefined;
  const length = collector.peekU32(0);
  if (length === 0 || length > QUIC_RECORD_BYTES) throw frameInvalid(`a record of ${length} bytes`);
  const record = collector.take(LENGTH_BYTES + length);
  return record === undefined ? undefined : decodeBody(record, LENGTH_BYTES);
}

/** How a connection ends: why, and what the other end has to have read before it may. */
export interface CloseRecord {
  readonly reason: Uint8Array;
  /** True: at once. */
  readonly now: boolean;
  /** Streams that were ended or reset. */
  readonly ended: number;
  /** Streams that were not, and the bytes sent on each: `[id, bytes]`. */
  readonly streams: readonly (readonly [number, number])[];
}

/** A close record in the record, if it is one. Throws `frame_invalid`. */
export function decodeClose(body: unknown): CloseRecord | undefined {
  const { reason, now, ended, streams } = (body ?? {}) as Record<string, unknown>;
  if (reason === undefined) return undefined;
  const sound =
    reason instanceof Uint8Array &&
    typeof now === 'boolean' &&
    typeof ended === 'number' &&
    Array.isArray(streams) &&
    streams.length <= TRANSPORT_DEFAULTS.maxInboundStreams &&
    streams.every(isPair);
  if (!sound) throw frameInvalid('a close that lacks a field');
  return { reason, now, ended, streams: streams as [number, number][] };
}

function isPair(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && value.every((n) => typeof n === 'number');
}

/** What precedes a stream's bytes: `[id u32][ended u32][preamble length u16][preamble]`. */
export interface StreamHeader {
  readonly id: number;
  /** Streams that its opener had ended or reset before: they are delivered first. */
  readonly ended: number;
  readonly preamble: Uint8Array;
}

const HEADER_BYTES = 10;

export function encodeHeader({ id, ended, preamble }: StreamHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + preamble.length);
  writeU32(bytes, 0, id);
  writeU32(bytes, 4, ended);
  bytes[8] = preamble.length;
  bytes[9] = preamble.length >>> 8;
  bytes.set(preamble, HEADER_BYTES);
  return bytes;
}

/** The header, once it is whole. Throws `frame_invalid`. */
export function takeHeader(collector: ByteCollector): StreamHeader | undefined {
  if (collector.length < HEADER_BYTES) return undefined;
  const length = collector.peekU16(8);
  if (length > MAX_PREAMBLE_BYTES) throw frameInvalid('a preamble that is too long');
  const id = collector.peekU32(0);
  const ended = collector.peekU32(4);
  const bytes = collector.take(HEADER_BYTES + length);
  return bytes === undefined ? undefined : { id, ended, preamble: bytes.subarray(HEADER_BYTES) };
}

/** A reader's word to the writer: `[kind u8][messages u32][bytes u32]`. */
export const SIGNAL_BYTES = 9;
export const CREDIT_SIGNAL = 1;
export const REFUSE_SIGNAL = 2;

export function encodeSignal(kind: number, messages = 0, bytes = 0): Uint8Array {
  const signal = new Uint8Array(SIGNAL_BYTES);
  signal[0] = kind;
  writeU32(signal, 1, messages);
  writeU32(signal, 5, bytes);
  return signal;
}
