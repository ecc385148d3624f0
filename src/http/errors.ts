// What can go wrong between an HTTP client and an HTTP server, whatever the request asks for.
import { FlotillaError } from '../core/index.ts';
import type { ErrorCodes, FlotillaErrorOptions } from '../core/index.ts';

export const HTTP_ERRORS = {
  http_malformed: 'A message breaks the rules of HTTP/1.1; the details name rule and section.',
  http_head_too_large: 'A head has more bytes or more header fields than allowed.',
  http_body_too_large: 'A body is longer than its reader allows.',
  http_unsupported: 'A message asks for what this side does not do: CONNECT, an expectation, ...',
  http_timeout: 'The other side took too long; the details name what was waited for.',
  http_client_gone: 'The client closed its connection, or reset it, before its answer was whole.',
  http_server_stopped: 'The server was stopped before the answer was whole.',
  http_header_invalid: 'A header field to be sent is malformed, or is one that framing owns.',
  http_connect_failed: 'No connection to the origin could be made; nothing was sent.',
  http_connection_lost: 'The connection to the origin ended before its answer was whole.',
  http_client_closed: 'The HTTP client was closed.',
  http_listen_failed: 'The server cannot listen on the address that it was given.',
} as const satisfies ErrorCodes;

/** A broken rule: `section` is one of RFC 9112, or of the RFC that it names. */
export function malformed(rule: string, section: string): FlotillaError {
  return new FlotillaError('http_malformed', `malformed message: ${rule} (${section})`, {
    details: { rule, section, status: 400 },
  });
}

export function headTooLarge(what: string, limit: number): FlotillaError {
  return new FlotillaError('http_head_too_large', `a head may have at most ${limit} ${what}`, {
    details: { what, limit, status: 431 },
  });
}

export function unsupported(what: string, status: number): FlotillaError {
  return new FlotillaError('http_unsupported', `${what} is not supported`, {
    details: { what, status },
  });
}

export function timedOut(waitedFor: string, limitMs: number): FlotillaError {
  return new FlotillaError('http_timeout', `waited ${limitMs} ms for ${waitedFor}`, {
    details: { waitedFor, limitMs, status: 408 },
  });
}

export function bodyTooLarge(limit: number): FlotillaError {
  return new FlotillaError('http_body_too_large', `a body may have at most ${limit} bytes`, {
    details: { limit, status: 413 },
  });
}

export function connectionLost(why: string, options?: FlotillaErrorOptions): FlotillaError {
  return new FlotillaError('http_connection_lost', why, options);
}

/** For whoever still reads a body that its own handler has answered. */
export function answeredEarly(): FlotillaError {
  return connectionLost('the request was answered before its body was read');
}

/** The status with which a server answers an error of this folder. */
export function statusOf(error: FlotillaError): number {
  return typeof error.details['status'] === 'number' ? error.details['status'] : 500;
}
