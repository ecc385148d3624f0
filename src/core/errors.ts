// The base of every error that Flotilla raises on purpose. A caller tells errors apart by `code`,
// never by class or message, so that an error keeps its meaning when it crosses a connection.

/** Numbers and names that explain an error: the limit, the actual value, the node concerned. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** Codes that one folder can raise, each with the sentence that `docs/errors.md` shows. */
export type ErrorCodes = Readonly<Record<string, string>>;

export interface FlotillaErrorOptions {
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
}

/**
 * An operation that could not be done. `code` is stable across versions; the message is for people.
 */
export class FlotillaError extends Error {
  readonly code: string;
  readonly details: ErrorDetails;

  constructor(code: string, message: string, options: FlotillaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FlotillaError';
    this.code = code;
    this.details = options.details ?? {};
  }
}

/**
 * True when `error` is a `FlotillaError` with one of `codes` (with any code when none is named).
 */
export function hasCode(error: unknown, ...codes: readonly string[]): error is FlotillaError {
  return error instanceof FlotillaError && (codes.length === 0 || codes.includes(error.code));
}

export const CORE_ERRORS = {
  invalid_option: 'An option is outside its rule. The message names option, rule and actual value.',
  deadline_exceeded: 'The operation did not finish before its deadline.',
  cancelled: 'The caller cancelled the operation.',
  queue_full: 'A bounded queue is full; the sender has to slow down or retry later.',
  queue_closed: 'The queue was closed while somebody waited on it.',
  internal: 'A fault inside a node that no other code describes; its log has the cause.',
} as const satisfies ErrorCodes;

/** `invalid_option` with the three facts that its reader needs. */
export function invalidOption(option: string, rule: string, actual: unknown): FlotillaError {
  return new FlotillaError(
    'invalid_option',
    `${option} must be ${rule}, but is ${String(actual)}`,
    {
      details: { option, rule, actual: String(actual) },
    },
  );
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
