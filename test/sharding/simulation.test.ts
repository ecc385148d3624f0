// Whole fleets that shard, under faults drawn from seeds: one owner at a time, order for each pair,
// nothing twice, nothing lost when it is planned, every ask settled, an end to rebalancing. Nodes
// crash at each step of a handoff. `node test/sharding/sim/main.ts SEED` replays one history.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { simulate } from './sim/simulation.ts';
import type { Mutation } from './sim/plan.ts';

const MAIN = fileURLToPath(new URL('./sim/main.ts', import.meta.url));
const SEEDS = 80;

/** A bug on purpose is found within so many seeds. */
const MUTATION_SEEDS = 60;

test(`${SEEDS} histories hold every invariant`, { timeout: 300_000 }, async () => {
  const totals = { answered: 0, unknown: 0, refused: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violation, report, counters } = await simulate({ seed });
    assert.equal(violation, undefined, report);
    totals.answered += counters.answered ?? 0;
    totals.unknown += counters.unknown ?? 0;
    totals.refused += counters.refused ?? 0;
  }
  assert.ok(totals.answered > 0 && totals.unknown > 0, 'the faults are too mild to show anything');
});

test('the same seed gives the same history, another seed another one', async () => {
  const first = await simulate({ seed: 7 });
  assert.equal((await simulate({ seed: 7 })).hash, first.hash);
  assert.notEqual((await simulate({ seed: 8 })).hash, first.hash);
  const replay = spawnSync(process.execPath, [MAIN, '7'], { encoding: 'utf8' });
  assert.equal(replay.stdout.trim(), first.hash, replay.stderr);
});

const FOUND: readonly (readonly [Mutation, RegExp])[] = [
  ['late-fence', /only the owner|before its session ends/],
  ['resend', /handled twice|was not handled/],
  ['reorder', /keep their order/],
  ['no-journal-fence', /acknowledged is kept|kept twice/],
];

for (const [mutation, invariant] of FOUND) {
  test(`with ${mutation} an invariant breaks within ${MUTATION_SEEDS} seeds`, async () => {
    for (let seed = 1; seed <= MUTATION_SEEDS; seed++) {
      const { violation } = await simulate({ seed, mutation });
      if (violation === undefined) continue;
      assert.match(violation.invariant, invariant, `seed ${seed}`);
      return;
    }
    assert.fail('nothing was found');
  });
}
