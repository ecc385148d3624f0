// `npm run sim -- --seed N` replays one history, `--seeds A..B` runs many: `USAGE` has the rest.
// Progress goes to stderr; the last line of stdout is the hash of what happened; the status is 1
// when an invariant broke and 2 when the arguments make no sense.
import { readArguments, USAGE } from './arguments.ts';
import { simulateMany } from './many.ts';
import { SUBJECTS } from './subjects.ts';
import type { Arguments } from './arguments.ts';
import type { Outcome } from './history.ts';

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

interface Result {
  readonly hash: string;
  readonly failed: number;
}

async function runOne({ of, seed, shared, verbose }: Arguments): Promise<Result> {
  let bar: ReturnType<typeof progress> | undefined;
  const outcome = await SUBJECTS[of].simulate({
    ...shared,
    seed,
    onLine: verbose ? say : undefined,
    onProgress(atMs, totalMs) {
      if (verbose) return;
      bar ??= progress(totalMs);
      bar(atMs, `${(atMs / 1000).toFixed(1)} simulated seconds`);
    },
  });
  for (const line of SUBJECTS[of].summary([outcome])) say(line);
  const { hash, violation, report } = outcome;
  if (violation !== undefined) say(`\n${report}\n`);
  return { hash, failed: violation === undefined ? 0 : 1 };
}

async function runMany(
  range: { first: number; last: number },
  { of, jobs, maxFailures, shared }: Arguments,
): Promise<Result> {
  const total = range.last - range.first + 1;
  const bar = progress(total);
  const outcomes = new Map<number, Outcome>();
  const startedAt = performance.now();
  let failed = 0;
  await simulateMany({
    ...range,
    of,
    jobs,
    maxFailures,
    shared,
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
  say(`${ordered.length} seeds, ${failed} failed`);
  for (const line of SUBJECTS[of].summary(ordered)) say(line);
  const failing = ordered.filter(({ violation }) => violation !== undefined);
  for (const { seed, violation } of failing) say(`seed ${seed}: ${violation?.invariant}`);
  return { hash: hashOf(ordered.map(({ hash }) => hash)), failed };
}

async function main(): Promise<void> {
  let told: Arguments | undefined;
  try {
    told = readArguments();
  } catch (error) {
    say(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  if (told === undefined) {
    process.stdout.write(`${USAGE}\n`);
    return;
  }
  const { hash, failed } = await (told.range ? runMany(told.range, told) : runOne(told));
  if (failed > 0) process.exitCode = 1;
  process.stdout.write(`${hash}\n`);
}

await main();
