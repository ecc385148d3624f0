import { FlotillaError } from '../core/index.ts';
import type { ErrorCodes } from '../core/index.ts';

export const LOAD_ERRORS = {
  load_invalid: 'A load record breaks a rule; the message names the field, the rule and the value.',
  probe_failed: 'This machine could not be measured; the message says what was missing.',
} as const satisfies ErrorCodes;

/** `load_invalid` with the three facts that its reader needs. */
export function loadInvalid(field: string, rule: string, actual: unknown): FlotillaError {
  const shown = shownOf(actual);
  return new FlotillaError('load_invalid', `${field} of a load record must be ${rule}: ${shown}`, {
    details: { field, rule, actual: shown },
  });
}

/** Asks no object for its text: what a peer sent may have a `toString` that is no function. */
function shownOf(actual: unknown): string {
  if (Array.isArray(actual)) return `a list of ${actual.length}`;
  if (typeof actual === 'object' && actual !== null) return 'an object';
  return String(actual).slice(0, SHOWN_CHARACTERS);
}

const SHOWN_CHARACTERS = 80;
