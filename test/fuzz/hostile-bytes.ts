// Frames and messages put together by hand, as an enemy would.
import { encodeBody, MUX_HEADER_BYTES, writeMuxHeader } from '../../src/wire/index.ts';

/** One frame: `[stream u32][length u24][flag u8][payload]`. */
export function frameOf(stream: number, flag: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(MUX_HEADER_BYTES + payload.length);
  writeMuxHeader(bytes, 0, { stream, flag, length: payload.length });
  bytes.set(payload, MUX_HEADER_BYTES);
  return bytes;
}

/** A framed message: `[length u64][head length u32][head][bytes]`. */
export function framedMessage(head: Buffer, bytes: Buffer = Buffer.alloc(0)): Buffer {
  const prefix = Buffer.alloc(12);
  prefix.writeBigUInt64LE(BigInt(4 + head.length + bytes.length), 0);
  prefix.writeUInt32LE(head.length, 8);
  return Buffer.concat([prefix, head, bytes]);
}

/** The start of a raw message: `[length u64]`. */
export function rawPrefix(length: number): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(length), 0);
  return prefix;
}

/** The preamble of a tag's stream. */
export function tagPreamble(tag: number): Buffer {
  const preamble = Buffer.alloc(9);
  preamble[0] = 4;
  preamble.writeUInt32LE(tag, 1);
  return preamble;
}

export function bodyOf(value: unknown): Buffer {
  const { buffer, start, end } = encodeBody(value);
  return Buffer.from(buffer.subarray(start, end));
}

/** A hello: the frames of stream 1. */
export function helloOf(fields: object): Buffer {
  return Buffer.concat([
    frameOf(1, 1, Buffer.from('\x01\x01hello')),
    frameOf(1, 0, framedMessage(bodyOf(fields))),
    frameOf(1, 2),
  ]);
}

export const GREETING = {
  name: 'node-x',
  instance: 'x',
  versions: [1, 1],
  maxMessageBytes: 1e6,
  attempt: 0,
};
