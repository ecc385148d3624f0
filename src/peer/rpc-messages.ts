// The fixed fields of calls and answers, little-endian, and errors as they cross a connection.
import { FlotillaError } from '../core/index.ts';
import { writeU32 } from '../wire/index.ts';
import { MAX_ERROR_DETAILS, MAX_ERROR_MESSAGE_LENGTH } from './defaults.ts';
import { FIELDS_AT, scratch } from './message-writer.ts';
import type { ErrorDetails } from '../core/index.ts';

export const RPC = { request: 1, cancel: 2, answer: 3, error: 4 } as const;

/** Flag of a request: the procedure's name follows, and the number means it from now on. */
export const NAMED = 1;

/** `[type u8][flags u8][procedure u16][id u32][remaining ms u32]` */
export const REQUEST_BYTES = 12;

/** `[type u8][0 u8][0 u16][id u32]`: cancellations, answers and errors. */
export const ANSWER_BYTES = 8;

/** Writes a request's fields; returns where they end. */
export function writeRequest(request: {
  id: number;
  procedure: number;
  remainingMs: number;
  /** UTF-8, on the first use of the number. */
  name: Uint8Array | undefined;
}): number {
  const { id, procedure, remainingMs, name } = request;
  scratch[FIELDS_AT] = RPC.request;
  scratch[FIELDS_AT + 1] = name === undefined ? 0 : NAMED;
  scratch[FIELDS_AT + 2] = procedure;
  scratch[FIELDS_AT + 3] = procedure >>> 8;
  writeU32(scratch, FIELDS_AT + 4, id);
  writeU32(scratch, FIELDS_AT + 8, remainingMs);
  let end = FIELDS_AT + REQUEST_BYTES;
  if (name !== undefined) {
    scratch[end++] = name.length;
    scratch.set(name, end);
    end += name.length;
  }
  return end;
}

/** Writes the fields of a cancellation, an answer or an error; returns where they end. */
export function writeAnswer(type: number, id: number): number {
  writeU32(scratch, FIELDS_AT, type);
  writeU32(scratch, FIELDS_AT + 4, id);
  return FIELDS_AT + ANSWER_BYTES;
}

/** An error as a body. What is no FlotillaError crosses as `handler_failed`, without its stack. */
export function errorBody(error: unknown, procedure: string): object {
  if (error instanceof FlotillaError) {
    const message = error.message.slice(0, MAX_ERROR_MESSAGE_LENGTH);
    return { code: error.code, message, details: error.details };
  }
  const reason = error instanceof Error ? error.message : String(error);
  const message = `${procedure} failed: ${reason}`.slice(0, MAX_ERROR_MESSAGE_LENGTH);
  return { code: 'handler_failed', message, details: { procedure } };
}

/** The error in a body from outside; odd parts are replaced, never trusted. */
export function readError(body: unknown): FlotillaError {
  const record = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const { code, message, details } = record;
  return new FlotillaError(
    typeof code === 'string' && code.length > 0 && code.length <= 64 ? code : 'handler_failed',
    typeof message === 'string'
      ? message.slice(0, MAX_ERROR_MESSAGE_LENGTH)
      : 'no message was given',
    { details: readDetails(details) },
  );
}

function readDetails(details: unknown): ErrorDetails {
  if (typeof details !== 'object' || details === null) return {};
  const kept = Object.entries(details).filter(([, value]) => isDetail(value));
  return Object.fromEntries(kept.slice(0, MAX_ERROR_DETAILS));
}

function isDetail(value: unknown): boolean {
  if (Array.isArray(value)) return value.every((item) => typeof item === 'string');
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
