import { FlotillaError } from '../core/index.ts';
import type { ErrorCodes, ErrorDetails } from '../core/index.ts';

export const ADMISSION_ERRORS = {
  rate_limited:
    'The client has used up its requests or tokens per minute; retry after the time told.',
  gateway_rate_limited: 'All clients together have used up the rate of the gateway.',
  too_many_running:
    'As many requests of the client run as it may have at once, and none ended in time.',
  too_many_waiting:
    'The queue is full, and more than the client’s share of it are its own requests.',
  overloaded: 'The queue of requests is full; retry after the time told, or ask another node.',
  queue_timeout: 'The request waited for its turn until its deadline.',
  api_key_refused: 'The API key is missing, wrong or revoked; which, is not said.',
  api_keys_unknown: 'The node has not read the API keys of the fleet yet; retry, or ask another.',
  model_refused: 'The API key is not for this model.',
  api_key_unknown: 'No API key has the id.',
  api_keys_full: 'The fleet has as many API keys as it can; none of them is revoked.',
} as const satisfies ErrorCodes;

export type AdmissionCode = keyof typeof ADMISSION_ERRORS;

/** The HTTP status of each: 429 where it is up to the client, 503 where it is up to the fleet. */
export const ADMISSION_STATUS: Readonly<Record<AdmissionCode, number>> = {
  rate_limited: 429,
  gateway_rate_limited: 503,
  too_many_running: 429,
  too_many_waiting: 429,
  overloaded: 503,
  queue_timeout: 503,
  api_key_refused: 401,
  api_keys_unknown: 503,
  model_refused: 403,
  api_key_unknown: 404,
  api_keys_full: 409,
};

/** An error that says when to come back: `details.retryAfterS` is the header `retry-after`. */
export function refusal(
  code: AdmissionCode,
  message: string,
  details: ErrorDetails & { readonly retryAfterS: number },
): FlotillaError {
  const status = ADMISSION_STATUS[code];
  return new FlotillaError(code, message, { details: { status, ...details } });
}
