#!/usr/bin/env node
// The entry of the command line: gives the program its process, and ends with one line and an exit
// code when it fails.
import { fileURLToPath } from 'node:url';
import { systemClock } from '../core/index.ts';
import { createProgram } from './program.ts';
import { causeLines, EXIT, errorLine, exitCodeOf } from './report-error.ts';
import { Terminal } from './terminal.ts';
import type { CliContext } from './context.ts';

async function main(args: readonly string[]): Promise<number> {
  const context: CliContext = {
    out: new Terminal(process.stdout, process.env),
    err: new Terminal(process.stderr, process.env),
    env: process.env,
    clock: systemClock,
    entry: fileURLToPath(import.meta.url),
  };
  try {
    await createProgram(context).parseAsync([...args], { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    const line = errorLine(error);
    if (line !== undefined) context.err.line(line);
    if (args.includes('--verbose')) for (const cause of causeLines(error)) context.err.line(cause);
    return exitCodeOf(error);
  }
}

// Whoever reads the output may stop reading: `flotilla status | head -1`.
process.stdout.on('error', () => process.exit(EXIT.ok));

process.exit(await main(process.argv.slice(2)));
