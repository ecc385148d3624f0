// What a bench is made of: its definition, which the runner reads, and the two helpers with which a
// contestant reads its workload and reports its figures. Rounds and medians belong to `runner.ts`.
import { createHash } from 'node:crypto';

/** Input of a bench: plain JSON, small; a contestant derives its data from it (seeds, counts). */
export type Workload = Readonly<Record<string, number | string | boolean | readonly number[]>>;

/** One side of a comparison, run in a fresh process each round. */
export interface Contestant<W extends Workload = Workload> {
  readonly name: string;
  /**
   * The command line. It ends by printing one JSON line: `{"figures": {"NAME": number, ...}}`, with
   * `"input": "<sha-256>"` of the data it worked on where contestants must share that, or
   * `{"unavailable": "why"}` where it finds out only then that it cannot take part.
   */
  command(workload: W): readonly string[];
  /** Added to the environment of the process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Runs once before the rounds (builds a C peer, say). Gives the reason if it cannot run. */
  prepare?(): string | undefined | Promise<string | undefined>;
}

/** A figure of a contestant: its name, and the name of the figure in its JSON line. */
export type Figure = readonly [contestant: string, figure: string];

/** A goal of TARGETS.md: one figure over another's, or one figure that is a ratio by itself. */
export interface Ratio {
  /** What is compared, for the table. */
  readonly title: string;
  readonly of: Figure;
  readonly over?: Figure;
  readonly target: { readonly atLeast: number } | { readonly atMost: number };
}

export interface Bench<W extends Workload = Workload> {
  /** Name of the folder. */
  readonly name: string;
  /** What is measured, in one line. */
  readonly summary: string;
  /** What a machine needs for all contestants to take part. */
  readonly needs: string;
  readonly workload: W;
  /** Tiny input for a smoke run of about a second; its ratios mean nothing. */
  readonly quickWorkload: W;
  /** Fresh processes per contestant. @default 5 (1 with `--quick`) */
  readonly rounds?: number;
  /** Limit for one process. @default 120 000 */
  readonly timeoutMs?: number;
  readonly contestants: readonly Contestant<W>[];
  /** By id of TARGETS.md (`R1`; `M3a` and `M3b` for a row with two figures). */
  readonly ratios: Readonly<Record<string, Ratio>>;
}

/** Types a definition; `bench.ts` exports the result as `bench`. */
export function defineBench<W extends Workload>(bench: Bench<W>): Bench {
  return bench;
}

/** A contestant written for Node: `node FILE WORKLOAD`. `file` is absolute. */
export function nodeContestant(name: string, file: string, mode = ''): Contestant {
  return {
    name,
    command: (workload) => [process.execPath, file, JSON.stringify(workload), mode],
  };
}

/** In a Node contestant: the workload that the runner passed. */
export function readWorkload<W extends Workload>(): W {
  return JSON.parse(process.argv[2] ?? '{}') as W;
}

/** In a Node contestant: the `mode` of `nodeContestant`. */
export function readMode(): string {
  return process.argv[3] ?? '';
}

/** In a Node contestant: prints its one JSON line. */
export function report(figures: Readonly<Record<string, number>>, input?: string): void {
  process.stdout.write(`${JSON.stringify({ figures, ...(input && { input }) })}\n`);
}

/** In a Node contestant: says why it cannot take part. */
export function reportUnavailable(reason: string): void {
  process.stdout.write(`${JSON.stringify({ unavailable: reason })}\n`);
}

/** SHA-256 of the data that a contestant worked on. */
export function digestOf(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** The middle value; the mean of the two in the middle of an even number. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
