// Which fields of a client's request its engine gets.
import { HeaderBlock } from '../../http/index.ts';
import type { HeaderFields } from '../../http/index.ts';

/** Fields that are the gateway's: credentials, what it says itself, what browsers add. */
const DROPPED = ['authorization', 'accept-encoding', 'x-request-id', 'origin', 'cookie', 'referer'];
const DROPPED_WHEN_TRACED = [...DROPPED, 'traceparent'];

/** @param idLine the field of the request's id; what is checked already, as the trace is */
export function engineHeaders(
  headers: HeaderFields,
  idLine: string,
  traceparent: string | undefined,
): HeaderBlock {
  if (traceparent === undefined) return headers.forwardable(DROPPED).plus(idLine);
  const lines = `${idLine}traceparent: ${traceparent}\r\n`;
  return headers.forwardable(DROPPED_WHEN_TRACED).plus(lines);
}

const TRACEPARENT = /^traceparent:[ \t]*([^\r\n]*?)[ \t]*\r\n/im;

/** What the fields that a gateway passed on say of a trace. */
export function traceparentIn({ text }: HeaderBlock): string | undefined {
  return TRACEPARENT.exec(text)?.[1];
}

/** The same fields for the next one that the trace comes to. */
export function withTraceparent(headers: HeaderBlock, traceparent: string): HeaderBlock {
  const { text, contentLength, hasDate } = headers;
  const line = `traceparent: ${traceparent}\r\n`;
  return HeaderBlock.trusted(text.replace(TRACEPARENT, '') + line, contentLength, hasDate);
}
