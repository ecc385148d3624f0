// Puts framed messages on streams: prefix, fixed fields and a small body go out in one copy.
import { FlotillaError } from '../core/index.ts';
import { FRAMED_PREFIX_BYTES, WIRE_DEFAULTS, writeFramedPrefix } from '../wire/index.ts';
import type { SendStream } from '../transport/index.ts';
import type { EncodedBody } from '../wire/index.ts';

const SCRATCH_BYTES = 16 * 1024;

/** Where callers write a message's fixed fields, from `FIELDS_AT` on, before they send it. */
export const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
export const FIELDS_AT = FRAMED_PREFIX_BYTES;

/** Fixed fields, with a name, never exceed this; what is left of the scratch takes small bodies. */
const NO_BODY: EncodedBody = { buffer: new Uint8Array(0), start: 0, end: 0 };

export interface OutgoingMessage {
  /** Where the fixed fields end in the scratch. */
  readonly fieldsEnd: number;
  readonly body?: EncodedBody;
  readonly bytes?: Uint8Array | undefined;
}

/** Bytes that a message takes on its lane, prefix not counted. */
export function sizeOf({ fieldsEnd, body = NO_BODY, bytes }: OutgoingMessage): number {
  return fieldsEnd - FIELDS_AT + body.end - body.start + (bytes?.length ?? 0);
}

/** Throws `message_too_large` before anything is sent. */
export function checkSize(bytes: number, limit: number): void {
  if (bytes <= limit) return;
  const message = `the message has ${bytes} bytes, the limit is ${limit}`;
  throw new FlotillaError('message_too_large', message, { details: { bytes, limit } });
}

/** The receiver bounds heads apart. Throws `message_too_large` before anything is sent. */
export function checkHead({ fieldsEnd, body = NO_BODY }: OutgoingMessage): void {
  checkSize(fieldsEnd - FIELDS_AT + body.end - body.start, WIRE_DEFAULTS.maxHeadBytes);
}

export function writeMessage(stream: SendStream, message: OutgoingMessage): void {
  const { fieldsEnd, body = NO_BODY, bytes } = message;
  const bodyBytes = body.end - body.start;
  const headBytes = fieldsEnd - FIELDS_AT + bodyBytes;
  writeFramedPrefix(scratch, 0, { headBytes, bytes: bytes?.length ?? 0 });
  if (bodyBytes <= SCRATCH_BYTES - fieldsEnd) {
    copyBody(body, fieldsEnd);
    stream.write(scratch, 0, fieldsEnd + bodyBytes);
  } else {
    stream.write(scratch, 0, fieldsEnd);
    // The encoder reuses its buffer, and a long chunk may wait: it gets memory of its own.
    stream.write(Uint8Array.prototype.slice.call(body.buffer, body.start, body.end));
  }
  if (bytes !== undefined && bytes.length > 0) stream.write(bytes);
}

function copyBody({ buffer, start, end }: EncodedBody, at: number): void {
  if (end - start > 48) {
    scratch.set(buffer.subarray(start, end), at);
    return;
  }
  for (let i = start, to = at; i < end; i++, to++) scratch[to] = buffer[i]!;
}
