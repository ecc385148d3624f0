// The join exchange: what a node without a certificate and a node with the CA say to each other, in
// one `[length u32][MessagePack]` of at most 64 KiB each way. Whom to admit is not decided here.
import { FlotillaError, hasCode } from '../core/index.ts';
import { decodeBody, encodeBody, readU32, writeU32 } from '../wire/index.ts';
import { JOIN_MESSAGE_BYTES } from './defaults.ts';

export interface JoinRequest {
  /** Id and secret of the join token. */
  readonly id: string;
  readonly secret: string;
  /** The name that the joiner wants to bear. */
  readonly name: string;
  readonly csrPem: string;
}

export interface JoinReply {
  readonly certificatePem: string;
  readonly caPem: string;
}

/** Decides about a joiner; what it throws reaches the joiner as code and message. */
export type OnJoin = (request: JoinRequest) => Promise<JoinReply>;

const LENGTH_BYTES = 4;

export function encodeJoinMessage(message: unknown): Buffer {
  const { buffer, start, end } = encodeBody(message);
  const frame = Buffer.alloc(LENGTH_BYTES + end - start);
  writeU32(frame, 0, end - start);
  frame.set(buffer.subarray(start, end), LENGTH_BYTES);
  return frame;
}

/** Collects one message; a length over the limit or bytes after the message are `frame_invalid`. */
export class JoinMessageReader {
  #bytes = Buffer.alloc(0);

  /** The message once it is whole. */
  push(chunk: Buffer): unknown {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (this.#bytes.length < LENGTH_BYTES) return undefined;
    const length = readU32(this.#bytes, 0);
    const excess = this.#bytes.length - LENGTH_BYTES - length;
    if (length > JOIN_MESSAGE_BYTES || length === 0 || excess > 0) {
      throw new FlotillaError('frame_invalid', `a join message of ${length} bytes was refused`);
    }
    return excess < 0 ? undefined : decodeBody(this.#bytes, LENGTH_BYTES);
  }
}

function fieldsOf(message: unknown, ...names: readonly string[]): Record<string, string> {
  const record = (message ?? {}) as Record<string, unknown>;
  const fields: Record<string, string> = {};
  for (const name of names) {
    const value = record[name];
    if (typeof value !== 'string') {
      throw new FlotillaError('frame_invalid', `a join message lacks the text "${name}"`);
    }
    fields[name] = value;
  }
  return fields;
}

export function readJoinRequest(message: unknown): JoinRequest {
  return fieldsOf(message, 'id', 'secret', 'name', 'csrPem') as unknown as JoinRequest;
}

/** The reply; an error in its place is thrown. */
export function readJoinReply(message: unknown): JoinReply {
  const error = (message as { error?: unknown } | null)?.error;
  if (error !== undefined) {
    const fields = fieldsOf(error, 'code', 'message');
    throw new FlotillaError(fields['code']!, fields['message']!);
  }
  return fieldsOf(message, 'certificatePem', 'caPem') as unknown as JoinReply;
}

/** An error as the joiner may see it: unexpected ones keep their text to this side's log. */
export function joinErrorMessage(error: unknown): object {
  const shown = hasCode(error)
    ? { code: error.code, message: error.message }
    : { code: 'join_refused', message: 'the node that was asked could not admit this one' };
  return { error: shown };
}
