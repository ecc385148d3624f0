// `npm run sim -- --seed N` replays one history, `--seeds A..B` runs many; `USAGE` has the rest.
// Progress goes to stderr; the last line of stdout is the hash of what happened; the status is 1
// when an invariant broke and 2 when the arguments make no sense.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { simulateMany } from './many.ts';
import { DEFAULT_MINUTES, DEFAULT_NODES, MIN_MINUTES, MUTATIONS } from './plan.ts';
import { simulate } from './simulation.ts';
import type { Mutation } from './plan.ts';
import type { Outcome } from './simulation.ts';

const USAGE = `npm run sim -- --seed N [--nodes K] [--minutes M] [--mutation NAME] [--verbose]
npm run sim -- --seeds A..B [--jobs J] [--max-failures F] [--nodes K] [--minutes M]

--seed N          replay one history; the last line is the hash of its trace
--seeds A..B      run many; the last line is the hash of their hashes
--nodes K         machines (${DEFAULT_NODES})
--minutes M       simulated minutes (${DEFAULT_MINUTES})
--jobs J          worker threads (as many as processors)
--max-failures F  stop after so many failing seeds (10)
--mutation NAME   put in a bug that has to be found: ${MUTATIONS.join(', ')}
--verbose         every line of the trace, on stderr
--help            this`;

const BAR_WIDTH = 24;
const TELL_EVERY_MS = 10_000;

const say = (text: string) => void process.stderr.write(`${text}\n`);
const isTerminal = process.stderr.isTTY === true;

/** Redraws one line where a person watches; elsewhere prints one now and then. */
function progress(total: number): (done: number, text: string) => void {
  let toldAt = performance.now();
  return (done, text) => {
    const filled = Math.round((BAR_WIDTH * done) / total);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    if (isTerminal) {
      process.stderr.write(`\r${bar} ${text}\u001b[K${done >= total ? '\n' : ''}`);
    } else if (done >= total || performance.now() - toldAt > TELL_EVERY_MS) {
      toldAt = performance.now();
      say(`${Math.round((100 * done) / total)} %  ${text}`);
    }
  };
}

/** FNV-1a over the hashes in the order of seeds. */
function hashOf(hashes: readonly string[]): string {
  let hash = 0x811c9dc5;
  for (const char of hashes.join()) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

function shown(outcome: Outcome): string {
  const { steps, counters, convergedMs } = outcome;
  const counts = Object.entries(counters).map(([name, count]) => `${name} ${count}`);
  const converged = convergedMs === undefined ? '' : `, converged in ${convergedMs / 1000} s`;
  return `${steps} steps, ${counts.join(', ')}${converged}`;
}

interface Arguments {
  readonly nodes: number;
  readonly minutes: number;
  readonly mutation: Mutation | undefined;
}

async function runOne(seed: number, options: Arguments & { verbose: boolean }): Promise<Outcome> {
  const bar = progress(options.minutes * 60);
  const outcome = await simulate({
    ...options,
    seed,
    onLine: options.verbose ? say : undefined,
    onProgress: options.verbose
      ? undefined
      : (at) => bar(at / 1000, `${(at / 1000).toFixed(1)} simulated seconds`),
  });
  say(shown(outcome));
  if (outcome.violation !== undefined) say(`\n${outcome.report}\n`);
  return outcome;
}

async function runMany(
  range: { first: number; last: number },
  options: Arguments & { jobs: number; maxFailures: number },
): Promise<{ hash: string; failed: number }> {
  const total = range.last - range.first + 1;
  const bar = progress(total);
  const outcomes = new Map<number, Outcome>();
  const startedAt = performance.now();
  let failed = 0;
  await simulateMany({
    ...range,
    ...options,
    onOutcome(outcome) {
      outcomes.set(outcome.seed, outcome);
      if (outcome.violation !== undefined) {
        failed++;
        say(`\n${outcome.report}\n`);
      }
      const perSecond = (1000 * outcomes.size) / (performance.now() - startedAt);
      const leftSeconds = Math.ceil((total - outcomes.size) / perSecond);
      const rate = `${perSecond.toFixed(1)} seeds/s, ${leftSeconds} s left, ${failed} failed`;
      bar(outcomes.size, `${outcomes.size} of ${total} seeds, ${rate}`);
    },
  });
  const ordered = [...outcomes.values()].sort((a, b) => a.seed - b.seed);
  const converged = ordered.map(({ convergedMs = 0 }) => convergedMs).sort((a, b) => a - b);
  const at = (share: number) => (converged[Math.floor(share * (converged.length - 1))] ?? 0) / 1000;
  const sum = (name: string) =>
    ordered.reduce((total, { counters }) => total + (counters[name] ?? 0), 0);
  say(`${ordered.length} seeds, ${failed} failed`);
  say(`faults ${sum('faults')}, effects accepted ${sum('accepted')}, refused ${sum('refused')}`);
  say(`converged after the last fault: median ${at(0.5)} s, p99 ${at(0.99)} s, max ${at(1)} s`);
  const failing = ordered.filter(({ violation }) => violation !== undefined);
  for (const { seed, violation } of failing) say(`seed ${seed}: ${violation?.invariant}`);
  return { hash: hashOf(ordered.map(({ hash }) => hash)), failed };
}

function whole(name: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new TypeError(`--${name} must be a whole number, but is ${text}`);
}

function read() {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      nodes: { type: 'string' },
      minutes: { type: 'string' },
      jobs: { type: 'string' },
      'max-failures': { type: 'string' },
      mutation: { type: 'string' },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const minutes = Number(values.minutes ?? DEFAULT_MINUTES);
  if (!(minutes >= MIN_MINUTES)) {
    throw new TypeError(`--minutes must be at least ${MIN_MINUTES}, but is ${values.minutes}`);
  }
  const mutation = MUTATIONS.find((known) => known === values.mutation);
  if (mutation !== values.mutation) throw new TypeError(`--mutation has no ${values.mutation}`);
  const [, first, last] = /^(\d+)\.\.(\d+)$/.exec(values.seeds ?? '') ?? [];
  if (values.seeds !== undefined && first === undefined) {
    throw new TypeError(`--seeds must be A..B, but is ${values.seeds}`);
  }
  if (values.seed === undefined && first === undefined) throw new TypeError('which seed?');
  return {
    seed: whole('seed', values.seed, 1),
    range: first === undefined ? undefined : { first: Number(first), last: Number(last) },
    jobs: whole('jobs', values.jobs, availableParallelism()),
    maxFailures: whole('max-failures', values['max-failures'], 10),
    nodes: whole('nodes', values.nodes, DEFAULT_NODES),
    minutes,
    mutation,
    verbose: values.verbose,
  };
}

async function main(): Promise<void> {
  let options: ReturnType<typeof read>;
  try {
    options = read();
  } catch (error) {
    say(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  if (options === undefined) {
    process.stdout.write(`${USAGE}\n`);
    return;
  }
  const { seed, range, jobs, maxFailures, verbose, ...rest } = options;
  if (range !== undefined) {
    const { hash, failed } = await runMany(range, { ...rest, jobs, maxFailures });
    if (failed > 0) process.exitCode = 1;
    process.stdout.write(`${hash}\n`);
    return;
  }
  const { hash, violation } = await runOne(seed, { ...rest, verbose });
  if (violation !== undefined) process.exitCode = 1;
  process.stdout.write(`${hash}\n`);
}

await main();
