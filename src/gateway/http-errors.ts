// How an error becomes an HTTP answer: a status by its code, and OpenAI's error body. Stacks and
// causes stay in the log.
import { ADMISSION_STATUS } from '../admission/index.ts';
import { FlotillaError } from '../core/index.ts';

/** OpenAI's error body. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: 'invalid_request_error' | 'server_error';
    readonly param: string | null;
    readonly code: string;
  };
}

/** Statuses by error code. A code that is not here is a fault of the server. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  ...ADMISSION_STATUS,
  invalid_option: 400,
  request_invalid: 400,
  body_malformed: 400,
  graph_broken: 400,
  graph_empty: 400,
  graph_too_small: 400,
  dimension_invalid: 400,
  operator_required: 403,
  member_unknown: 404,
  row_unknown: 404,
  relation_unknown: 404,
  model_unknown: 404,
  table_unknown: 404,
  route_unknown: 404,
  method_not_allowed: 405,
  table_exists: 409,
  training_busy: 409,
  body_too_large: 413,
  graph_too_large: 413,
  message_too_large: 413,
  content_type_unsupported: 415,
  cancelled: 499,
  engine_broke_off: 502,
  engine_unavailable: 503,
  queue_full: 503,
  lane_full: 503,
  gateway_stopped: 503,
  owner_unreachable: 503,
  no_workers: 503,
  store_unavailable: 503,
  peer_disconnected: 503,
  peer_unreachable: 503,
  deadline_exceeded: 504,
};

/** Fastify's own refusals, by its code. */
const CODE_BY_FASTIFY: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'content_type_unsupported',
};

export function statusOf(code: string): number {
  return STATUS_BY_CODE[code] ?? 500;
}

/** The error as a client may see it. What was not raised on purpose becomes `internal`. */
export function publicError(error: unknown): FlotillaError {
  if (error instanceof FlotillaError) return error;
  const {
    code = '',
    statusCode,
    message = '',
  } = (error ?? {}) as Partial<Error & { code: string; statusCode: number }>;
  if (typeof code === 'string' && code.startsWith('FST_') && statusCode && statusCode < 500) {
    return new FlotillaError(CODE_BY_FASTIFY[code] ?? 'request_invalid', message);
  }
  const text = 'an unexpected fault inside the node; its log has the cause';
  return new FlotillaError('internal', text, { cause: error });
}

export function errorBody(error: FlotillaError): ErrorBody {
  const { param, option } = error.details;
  return {
    error: {
      message: error.message,
      type: statusOf(error.code) < 500 ? 'invalid_request_error' : 'server_error',
      param: String(param ?? option ?? '') || null,
      code: error.code,
    },
  };
}
