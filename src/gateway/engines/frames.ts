// What travels back on the tag of an engine call: head, data, end, or an error. The first byte is
// the type; head and error are JSON, data is what the engine sent.
import { FlotillaError } from '../../core/index.ts';
import { HeaderBlock } from '../../http/index.ts';
import type { EngineHead } from '../proxy/engine-route.ts';

const HEAD = 0;
const DATA = 1;
const END = 2;
const ERROR = 3;

export type Frame =
  | ({ readonly type: 'head' } & EngineHead)
  | { readonly type: 'data'; readonly bytes: Buffer }
  | { readonly type: 'end' }
  | { readonly type: 'error'; readonly code: string; readonly message: string };

export function headFrame({ status, headers, contentType, retryAfterMs }: EngineHead): Uint8Array {
  const { text, contentLength, hasDate } = headers;
  const head = { status, headers: text, contentLength, hasDate, contentType, retryAfterMs };
  return jsonFrame(HEAD, head);
}

export function dataFrame(chunk: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(chunk.length + 1);
  frame[0] = DATA;
  frame.set(chunk, 1);
  return frame;
}

export function endFrame(): Uint8Array {
  return Uint8Array.of(END);
}

export function errorFrame({ code, message }: FlotillaError): Uint8Array {
  return jsonFrame(ERROR, { code, message });
}

/** Errors: `request_invalid` for what no node of this version sends. */
export function readFrame(bytes: Uint8Array): Frame {
  if (bytes.length === 0) throw broken();
  const rest = Buffer.from(bytes.buffer, bytes.byteOffset + 1, bytes.byteLength - 1);
  switch (bytes[0]) {
    case DATA:
      return { type: 'data', bytes: rest };
    case END:
      return { type: 'end' };
    case HEAD:
      return { type: 'head', ...readHead(parse(rest)) };
    case ERROR: {
      const { code, message } = parse(rest);
      return { type: 'error', code: String(code), message: String(message) };
    }
    default:
      throw broken();
  }
}

/**
 * Header fields that came from another node: its word that they are well-formed is not taken, or it
 * could end a head, or frame a body, where it likes. Errors: `request_invalid`.
 */
export function readFields(text: unknown, contentLength: unknown, hasDate: unknown): HeaderBlock {
  if (typeof text !== 'string') throw broken();
  const lines = text.split('\r\n');
  if (lines.pop() !== '') throw broken();
  const pairs = lines.flatMap((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  try {
    const length = Number.isSafeInteger(contentLength) ? Math.max(-1, contentLength as number) : -1;
    return HeaderBlock.trusted(HeaderBlock.from(pairs).text, length, hasDate === true);
  } catch (error) {
    throw broken(error);
  }
}

function readHead(fields: Record<string, unknown>): EngineHead {
  const { status, headers, contentLength, hasDate, contentType, retryAfterMs } = fields;
  if (!(Number.isInteger(status) && (status as number) >= 200 && (status as number) < 600)) {
    throw broken();
  }
  return {
    status: status as number,
    headers: readFields(headers, contentLength, hasDate),
    contentType: typeof contentType === 'string' ? contentType : '',
    retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : undefined,
  };
}

function jsonFrame(type: number, value: object): Uint8Array {
  const json = JSON.stringify(value);
  const frame = Buffer.allocUnsafe(Buffer.byteLength(json) + 1);
  frame[0] = type;
  frame.write(json, 1);
  return frame;
}

function parse(bytes: Buffer): Record<string, unknown> {
  try {
    return Object(JSON.parse(bytes.toString('utf8'))) as Record<string, unknown>;
  } catch (error) {
    throw broken(error);
  }
}

function broken(cause?: unknown): FlotillaError {
  const message = 'the other node sent what is no engine frame';
  return new FlotillaError('request_invalid', message, { cause });
}
