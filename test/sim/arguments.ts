// What `npm run sim` is told: which simulation, which seeds, and the options that this one has.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { SUBJECT_NAMES, SUBJECTS } from './subjects.ts';
import type { NumberOption, Subject } from './history.ts';
import type { SubjectName } from './subjects.ts';

const [USUAL] = SUBJECT_NAMES;

const line = (flag: string, what: string) => `${flag.padEnd(18)}${what}`;

export const USAGE = `npm run sim -- [--of WHAT] --seed N [--mutation NAME] [--verbose]
npm run sim -- [--of WHAT] --seeds A..B [--jobs J] [--max-failures F] [--mutation NAME]

${[
  line('--of WHAT', `what is simulated: ${SUBJECT_NAMES.join(' or ')} (${USUAL})`),
  line('--seed N', 'replay one history; the last line is the hash of its trace'),
  line('--seeds A..B', 'run many; the last line is the hash of their hashes'),
  line('--jobs J', 'worker threads (as many as processors)'),
  line('--max-failures F', 'stop after so many failing seeds (10)'),
  line('--mutation NAME', 'put in a bug that has to be found'),
  line('--verbose', 'every line of the trace, on stderr'),
  line('--help', 'this'),
  ...SUBJECT_NAMES.flatMap((name) => ['', `--of ${name}`, ...usageOf(SUBJECTS[name])]),
].join('\n')}`;

function usageOf({ mutations, options }: Subject): string[] {
  const numbers = Object.entries(options).map(([name, { what, usual }]) =>
    line(`--${name} ${name[0]!.toUpperCase()}`, `${what} (${usual})`),
  );
  return [...numbers, line('--mutation', mutations.join(', '))];
}

export interface Arguments {
  readonly of: SubjectName;
  readonly seed: number;
  /** Many seeds rather than the one. */
  readonly range: { readonly first: number; readonly last: number } | undefined;
  readonly jobs: number;
  readonly maxFailures: number;
  readonly verbose: boolean;
  /** What every history is given besides its seed. */
  readonly shared: Readonly<Record<string, number | string | undefined>>;
}

const MAX_FAILURES = { usual: 10, least: 1, isWhole: true };

/** The numbers that one simulation or the other takes. */
const NUMBERS = [...new Set(SUBJECT_NAMES.flatMap((name) => Object.keys(SUBJECTS[name].options)))];

/** Undefined when help is wanted; throws when the arguments make no sense. */
export function readArguments(): Arguments | undefined {
  const { values } = parseArgs({
    options: {
      of: { type: 'string', default: USUAL },
      seed: { type: 'string' },
      seeds: { type: 'string' },
      jobs: { type: 'string' },
      'max-failures': { type: 'string' },
      mutation: { type: 'string' },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      ...Object.fromEntries(NUMBERS.map((name) => [name, { type: 'string' } as const])),
    },
  });
  const { verbose, help, ...texts } = values;
  if (help) return undefined;
  const of = SUBJECT_NAMES.find((name) => name === values.of);
  if (of === undefined) throw new TypeError(`--of has no ${values.of}`);
  const [, first, last] = /^(\d+)\.\.(\d+)$/.exec(values.seeds ?? '') ?? [];
  if (values.seeds !== undefined && first === undefined) {
    throw new TypeError(`--seeds must be A..B, but is ${values.seeds}`);
  }
  if (values.seed === undefined && first === undefined) throw new TypeError('which seed?');
  const jobs = { usual: availableParallelism(), least: 1, isWhole: true };
  return {
    of,
    seed: numberOf('seed', values.seed, { usual: 1, least: 0, isWhole: true }),
    range: first === undefined ? undefined : { first: Number(first), last: Number(last) },
    jobs: numberOf('jobs', values.jobs, jobs),
    maxFailures: numberOf('max-failures', values['max-failures'], MAX_FAILURES),
    verbose,
    shared: sharedOf(of, texts),
  };
}

/** What only this simulation takes. */
function sharedOf(
  of: SubjectName,
  values: Readonly<Record<string, string | undefined>>,
): Arguments['shared'] {
  const { mutations, options }: Subject = SUBJECTS[of];
  const { mutation } = values;
  if (mutation !== undefined && !mutations.includes(mutation)) {
    throw new TypeError(`--mutation has no ${mutation} for ${of}`);
  }
  const foreign = NUMBERS.find((name) => values[name] !== undefined && !(name in options));
  if (foreign !== undefined) throw new TypeError(`--${foreign} is not for ${of}`);
  const numbers = Object.entries(options).map(([name, option]) => {
    return [name, numberOf(name, values[name], option)] as const;
  });
  return { ...Object.fromEntries(numbers), mutation };
}

type Limits = Omit<NumberOption, 'what'>;

function numberOf(name: string, text: string | undefined, limits: Limits): number {
  const { usual, least, isWhole } = limits;
  const value = text === undefined ? usual : Number(text);
  if (value >= least && (isWhole ? Number.isSafeInteger(value) : Number.isFinite(value))) {
    return value;
  }
  const kind = isWhole ? 'a whole number' : 'a number';
  throw new TypeError(`--${name} must be ${kind} of at least ${least}, but is ${text}`);
}
