import { FlotillaError } from '../core/index.ts';
import type { ErrorCodes } from '../core/index.ts';

export const LOAD_ERRORS = {
  load_invalid: 'A load record breaks a rule; the message names the field, the rule and the value.',
  probe_failed: 'This machine could not be measured; the message says what was missing.',
} as const satisfies ErrorCodes;

/** `load_invalid` with the three facts that its reader needs. */
export function loadInvalid(field: string, rule: string, actual: unknown): FlotillaError {
  const shown = String(actual).slice(0, 80);
  return new FlotillaError('load_invalid', `${field} of a load record must be ${rule}: ${shown}`, {
    details: { field, rule, actual: shown },
  });
}
