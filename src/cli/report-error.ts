// How a failed command ends: one clear line on standard error, and an exit code.
import { CommanderError } from 'commander';
import { hasCode, messageOf } from '../core/index.ts';

export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** Codes that say the command was written wrongly, not that it failed. */
const USAGE_CODES = ['usage_invalid', 'config_invalid', 'invalid_option', 'token_malformed'];

/** The line, without its line break; undefined when commander has said everything. */
export function errorLine(error: unknown): string | undefined {
  if (error instanceof CommanderError) return undefined;
  return `flotilla: ${oneLine(messageOf(error))}`;
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (hasCode(error, 'cancelled')) return EXIT.interrupted;
  return hasCode(error, ...USAGE_CODES) ? EXIT.usage : EXIT.failed;
}

/** What lies behind the error, for --verbose: a line per cause, codes first. */
export function causeLines(error: unknown): string[] {
  const lines: string[] = [];
  const seen = new Set<unknown>();
  const named = (thrown: unknown) => {
    const { code } = thrown as { code?: unknown };
    return typeof code === 'string' ? `${code}: ${messageOf(thrown)}` : messageOf(thrown);
  };
  if (hasCode(error)) lines.push(`  code: ${error.code}`);
  let cause = error instanceof Error ? error.cause : undefined;
  while (cause !== undefined && cause !== null && !seen.has(cause)) {
    seen.add(cause);
    lines.push(`  caused by ${oneLine(named(cause))}`);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return lines;
}

export function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim();
}
