// What all simulations have in common: what one is, what it says of a seed, how a history runs from
// look to look until it ends or an invariant breaks, and how that is reported.
import { messageOf } from '../../src/core/index.ts';
import type { Trace } from './trace.ts';
import type { World } from './world.ts';

export interface HistoryOptions {
  readonly seed: number;
  readonly onLine?: ((line: string) => void) | undefined;
  /** Hears the simulated time now and then. */
  readonly onProgress?: ((simulatedMs: number, totalMs: number) => void) | undefined;
}

export interface Violation {
  readonly invariant: string;
  readonly details: string;
  /** Whom it concerns; all of them when empty. */
  readonly nodes: readonly string[];
  readonly atMs: number;
}

export interface Outcome {
  readonly seed: number;
  readonly hash: string;
  readonly steps: number;
  readonly violation: Violation | undefined;
  /** What a violation's reader needs; empty without one. */
  readonly report: string;
  readonly counters: Readonly<Record<string, number>>;
  /** From the last fault until all views agreed, where that is looked at. */
  readonly convergedMs?: number | undefined;
}

/** A number that the command takes for one simulation: `--name`. */
export interface NumberOption {
  readonly what: string;
  readonly usual: number;
  readonly least: number;
  readonly isWhole: boolean;
}

/** One of the simulations that `npm run sim` knows. */
export interface Subject {
  /** Deliberate bugs, to prove that they are found. */
  readonly mutations: readonly string[];
  readonly options: Readonly<Record<string, NumberOption>>;
  simulate(options: HistoryOptions & { mutation?: string | undefined }): Promise<Outcome>;
  /** What happened in all of them, in lines to read. */
  summary(outcomes: readonly Outcome[]): string[];
}

export interface Course {
  readonly world: World;
  /** Keeps the first violation. */
  readonly judge: {
    readonly violation: Violation | undefined;
    violate(invariant: string, details: string): void;
  };
  readonly durationMs: number;
  /** Between two looks: more is a busy loop. */
  readonly mostEvents: number;
  /** Looks at what is too dear to look at after every step. */
  look(atMs: number): void;
  atEnd(): void;
}

/** How often whole states are looked at. */
const LOOK_EVERY_MS = 500;

/** Runs to the end, or to the first violation. Returns how many steps it took. */
export async function play(
  course: Course,
  onProgress: HistoryOptions['onProgress'],
): Promise<number> {
  const { world, judge, durationMs, mostEvents } = course;
  let steps = 0;
  const afterStep = () => {
    steps++;
    if (judge.violation !== undefined) throw judge.violation;
  };
  // Whatever the code under test threw that nobody caught is a bug of it; or of the simulation.
  const fault = (error: unknown) => {
    const stack = error instanceof Error ? (error.stack ?? messageOf(error)) : String(error);
    judge.violate('nothing throws past its caller', stack);
  };
  process.on('unhandledRejection', fault);
  try {
    for (let at = LOOK_EVERY_MS; at <= durationMs; at += LOOK_EVERY_MS) {
      await world.run(at, mostEvents, afterStep);
      course.look(at);
      onProgress?.(at, durationMs);
    }
    course.atEnd();
  } catch (error) {
    fault(error);
  } finally {
    process.off('unhandledRejection', fault);
  }
  return steps;
}

export interface Report {
  readonly violation: Violation;
  readonly steps: number;
  readonly plan: object;
  readonly trace: Trace;
  /** Lines on the nodes that it concerns. */
  readonly nodes?: readonly string[];
  /** What the command is given to replay it. */
  readonly replay: Readonly<Record<string, string | number | undefined>> & {
    readonly seed: number;
  };
}

export function reportOf({ violation, steps, plan, trace, nodes = [], replay }: Report): string {
  const flags = Object.entries(replay).filter(([, value]) => value !== undefined);
  return [
    `violated: ${violation.invariant}`,
    `  ${violation.details}`,
    `step ${steps}, ${(violation.atMs / 1000).toFixed(4)} s, seed ${replay.seed}`,
    `plan: ${JSON.stringify(plan)}`,
    'last lines:',
    ...trace.lines().map((line) => `  ${line}`),
    ...(nodes.length === 0 ? [] : ['nodes:', ...nodes]),
    `replay: npm run sim --${flags.map(([name, value]) => ` --${name} ${value}`).join('')}`,
  ].join('\n');
}

/** The counters of all of them together. */
export function totalsOf(outcomes: readonly Outcome[]): Map<string, number> {
  const totals = new Map<string, number>();
  for (const { counters, steps } of outcomes) {
    for (const [name, count] of Object.entries({ steps, ...counters })) {
      totals.set(name, (totals.get(name) ?? 0) + count);
    }
  }
  return totals;
}
