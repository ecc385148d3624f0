import { FlotillaError } from '../../core/index.ts';

export function engineUnavailable(message: string, cause?: unknown): FlotillaError {
  const details = { status: 503, retryAfterS: 1 };
  return new FlotillaError('engine_unavailable', message, { details, cause });
}

export function modelUnknown(model: string | undefined, known: readonly string[]): FlotillaError {
  const details = { param: 'model' };
  if (model === undefined && known.length > 0) {
    const message = 'the request names no model; GET /v1/models lists those there are';
    return new FlotillaError('request_invalid', message, { details });
  }
  const message =
    known.length === 0
      ? 'there is no inference engine; add one to the configuration of a node'
      : `there is no model "${model}"; GET /v1/models lists those there are`;
  return new FlotillaError('model_unknown', message, { details });
}
