// Whole fleets that shard, under faults drawn from seeds: one owner at a time, order for each pair,
// nothing twice, nothing lost when it is planned, every ask settled, an end to rebalancing. Nodes
// crash at each step of a handoff. `npm run sim -- --of sharding --seed N` replays one history.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { hasCode, silentLogger } from '../../src/core/index.ts';
import { FileJournal } from '../../src/sharding/index.ts';
import { testFound } from '../sim/found.ts';
import { totalsOf } from '../sim/history.ts';
import { JournalServer } from './sim/journal.ts';
import { simulate } from './sim/simulation.ts';
import { STEPS } from './sim/steps.ts';
import { SHARDING } from './sim/subject.ts';
import type { Found } from '../sim/found.ts';
import type { Outcome } from '../sim/history.ts';

const MAIN = fileURLToPath(new URL('../sim/main.ts', import.meta.url));
const SEEDS = 80;

/** A bug on purpose is found within so many seeds. */
const MUTATION_SEEDS = 150;

function run(...args: readonly string[]) {
  return spawnSync(process.execPath, [MAIN, '--of', 'sharding', ...args], { encoding: 'utf8' });
}

test(`${SEEDS} histories hold every invariant`, { timeout: 300_000 }, async () => {
  const outcomes: Outcome[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = await simulate({ seed });
    assert.equal(outcome.violation, undefined, outcome.report);
    outcomes.push(outcome);
  }
  const totals = totalsOf(outcomes);
  const steps = STEPS.map((step) => `reached at ${step}`);
  const looks = ['answered', 'unknown', 'moves', 'recovered', 'remembered', 'probed', 'drained'];
  for (const name of [...steps, ...looks]) {
    assert.ok((totals.get(name) ?? 0) > 0, `the faults are too mild to show anything: ${name}`);
  }
  const hit = STEPS.filter((step) => totals.has(`crash at ${step}`));
  assert.ok(hit.length > STEPS.length / 2, `somebody crashed at ${hit.join(', ')} only`);
});

test('the same seed gives the same history, another seed another one', async () => {
  const first = await simulate({ seed: 7 });
  assert.equal((await simulate({ seed: 7 })).hash, first.hash);
  assert.notEqual((await simulate({ seed: 8 })).hash, first.hash);
  const replay = run('--seed', '7');
  assert.equal(replay.stdout.trim(), first.hash, replay.stderr);
});

test('many seeds give one hash, and what happened in all of them by name and by step', () => {
  const many = run('--seeds', '1..3', '--jobs', '2');
  assert.equal(many.status, 0, many.stderr);
  assert.match(many.stderr, /3 seeds, 0 failed/);
  assert.match(many.stderr, /^messages +\d{3,}$/m);
  assert.match(many.stderr, /^step of a handoff +reached +crash +pause +reset$/m);
  assert.match(many.stderr, /^stage arrived( +\d+){4}$/m);
  assert.equal(run('--seeds', '1..3', '--jobs', '1').stdout, many.stdout);
});

test('a violation tells what broke and how to replay it', () => {
  const { status, stderr } = run('--seed', '1', '--mutation', 'reorder');
  assert.equal(status, 1);
  assert.match(stderr, /violated: messages of a pair keep their order/);
  assert.match(stderr, /npm run sim -- --of sharding --seed 1 --mutation reorder$/m);
});

const FOUND: readonly Found[] = [
  ['late-fence', /only the owner|before its session ends/],
  ['resend', /handled twice|was not handled/],
  ['reorder', /keep their order/],
  ['no-journal-fence', /acknowledged is|kept twice/],
];

testFound(SHARDING, FOUND, MUTATION_SEEDS);

test('the journal of the simulation answers as the one on disk does', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-journal-'));
  t.after(() => rm(folder, { recursive: true }));
  const calls = fc.array(
    fc.record({
      kind: fc.constantFrom('open', 'load', 'append'),
      shard: fc.nat(1),
      epoch: fc.nat(4),
      id: fc.constantFrom('a', 'b'),
    }),
    { maxLength: 30 },
  );
  let runs = 0;
  const check = fc.asyncProperty(calls, async (list) => {
    const journal = await FileJournal.open(join(folder, `${runs++}`), { log: silentLogger });
    const model = new JournalServer(true);
    for (const [index, { kind, shard, epoch, id }] of list.entries()) {
      const key = { type: 't', shard, epoch };
      const state = Buffer.from(`${index}`);
      const real = await outcomeOf(async () => {
        if (kind === 'open') return [...(await journal.open(key))].sort();
        if (kind === 'append') return journal.append(key, id, state);
        return text(await journal.load(key, id));
      });
      const simulated = await outcomeOf(async () => {
        const states = model.at(key);
        if (kind === 'open') return [...states.keys()].sort();
        if (kind === 'append') return void states.set(id, state);
        return text(states.get(id));
      });
      assert.deepEqual(simulated, real);
    }
    await journal.close();
  });
  await fc.assert(check, { numRuns: 60 });
});

const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();

async function outcomeOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    return { value: await work() };
  } catch (error) {
    return hasCode(error) ? error.code : error;
  }
}
