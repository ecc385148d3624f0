// Whole fleets under faults drawn from seeds: some hundred histories hold, equal seeds give equal
// histories, and a bug that is put in on purpose is found. docs/testing.md tells how to replay one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { testFound } from './found.ts';
import { simulate } from './simulation.ts';
import { FLEET } from './subject.ts';
import type { Found } from './found.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

/** Histories of five nodes and one minute. */
const SEEDS = 200;

/** A bug on purpose is found within so many seeds. */
const MUTATION_SEEDS = 30;

function run(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
  });
  return { status, hash: stdout.trimEnd().split('\n').at(-1), stderr };
}

test(`${SEEDS} histories of five nodes hold every invariant`, { timeout: 600_000 }, async () => {
  let refused = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violation, report, counters } = await simulate({ seed });
    assert.equal(violation, undefined, report);
    refused += counters.refused ?? 0;
  }
  assert.ok(refused > 0, 'no stale effect ever came: the faults are too mild to show anything');
});

/** Seeds that broke an invariant once, each by a bug that had to be fixed. */
const REGRESSIONS: readonly (readonly [number, string])[] = [
  [15_042, 'a new life reached the incarnation at which its earlier one was leaving, unheard'],
  [18_621, 'the same, and an exchange of views was what told the others'],
];

for (const [seed, what] of REGRESSIONS) {
  test(`seed ${seed}: ${what}`, async () => {
    const { violation, report } = await simulate({ seed });
    assert.equal(violation, undefined, report);
  });
}

test('fleets of other sizes hold every invariant', async () => {
  for (const nodes of [1, 2, 3, 9, 24]) {
    const { violation, report } = await simulate({ seed: 1000 + nodes, nodes });
    assert.equal(violation, undefined, report);
  }
});

test('the same seed gives the same history, another seed another one', async () => {
  const first = await simulate({ seed: 7 });
  const again = await simulate({ seed: 7 });
  const other = await simulate({ seed: 8 });
  assert.equal(again.hash, first.hash);
  assert.equal(again.steps, first.steps);
  assert.notEqual(other.hash, first.hash);
  assert.equal(run('--seed', '7').hash, first.hash, 'in a process of its own');
});

const FOUND: readonly Found[] = [
  ['late-fence', /after its fence|fences itself before/],
  ['no-tombstones', /removed incarnations stay removed/],
  ['no-epoch-check', /stale epoch/],
  ['no-patience', /nobody who lives is declared dead/],
];

testFound(FLEET, FOUND, MUTATION_SEEDS);

test('a violation tells invariant, step, state and how to replay, and fails the command', () => {
  const args = ['--seed', '1', '--mutation', 'no-tombstones'];
  const { status, stderr, hash } = run(...args);
  assert.equal(status, 1);
  assert.match(hash ?? '', /^[0-9a-f]{16}$/);
  assert.match(stderr, /violated: removed incarnations stay removed/);
  assert.match(stderr, /step \d+, [\d.]+ s, seed 1/);
  assert.match(stderr, /members n\d@/);
  assert.match(stderr, /npm run sim -- --seed 1 --nodes 5 --minutes 1 --mutation no-tombstones/);
  assert.equal(run(...args).hash, hash);
});

test('many seeds in worker threads give one hash, whatever their number', () => {
  const one = run('--seeds', '1..6', '--jobs', '1');
  assert.equal(one.status, 0, one.stderr);
  assert.match(one.stderr, /seeds\/s/);
  assert.equal(run('--seeds', '1..6', '--jobs', '3').hash, one.hash);
});

test('arguments that make no sense are told apart from a violation', () => {
  assert.equal(run('--seed', 'x').status, 2);
  assert.equal(run('--seeds', '5').status, 2);
  assert.equal(run('--seed', '1', '--mutation', 'none-such').status, 2);
  assert.equal(run('--seed', '1', '--of', 'none-such').status, 2);
  assert.equal(run('--seed', '1', '--of', 'sharding', '--nodes', '3').status, 2);
  assert.equal(run('--seeds', '1..2', '--jobs', '0').status, 2);
  assert.equal(run().status, 2);
  const { status, stdout } = spawnSync(process.execPath, [MAIN, '--help'], { encoding: 'utf8' });
  assert.equal(status, 0);
  assert.match(stdout, /--seeds A\.\.B/);
});
