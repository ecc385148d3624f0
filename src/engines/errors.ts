import { FlotillaError } from '../core/index.ts';
import type { ErrorCodes } from '../core/index.ts';

export const ENGINE_ERRORS = {
  engine_unreachable: 'The engine does not answer, or not as one that can take requests.',
  engine_failed: 'The engine’s process cannot be started, ended, or hangs; it is started again.',
  engine_refused: 'The simulated engine refuses a request; the details name the HTTP status.',
  engine_listen_failed: 'The simulated engine cannot listen on its address; the message says why.',
} as const satisfies ErrorCodes;

/** What the simulated engine answers to a request that it does not serve, in vLLM’s words. */
export function refusal(
  status: number,
  type: 'BadRequestError' | 'NotFoundError' | 'ServiceUnavailableError',
  { message, param }: { message: string; param?: string },
): FlotillaError {
  return new FlotillaError('engine_refused', message, {
    details: { status, type, ...(param !== undefined && { param }) },
  });
}
