// The affinity bench runs on tiny input, and its simulation repeats itself and loses no request.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CROWD_FROM, CROWD_UNTIL, SCENARIOS } from '../../bench/affinity/scenarios.ts';
import { simulate } from '../../bench/affinity/simulation.ts';
import { sessionsOf } from '../../bench/affinity/workload.ts';
import { POLICY_NAMES } from '../../src/routing/index.ts';
import { quickRun } from './quick-run.ts';

test('the affinity bench compares every policy on one workload', () => {
  const { workload, medians, ratios } = quickRun('affinity');
  assert.match(workload, /^[0-9a-f]{64}$/);
  assert.deepEqual(Object.keys(medians), [...POLICY_NAMES]);
  assert.deepEqual(Object.keys(ratios), ['A1', 'A1a', 'A2', 'A2a', 'A3', 'A4', 'A5']);
  for (const [id, ratio] of Object.entries(ratios)) {
    assert.ok(Number.isFinite(ratio), `${id} is ${ratio}`);
  }
});

test('equal runs give equal outcomes, and prompts are found where they were sent', () => {
  const durationMs = 60_000;
  const scenario = SCENARIOS.find(({ id }) => id === 'mixed8')!;
  const crowd = { crowdFrom: CROWD_FROM, crowdUntil: CROWD_UNTIL };
  const run = (policy: (typeof POLICY_NAMES)[number]) => {
    const sessions = sessionsOf({ rates: scenario.rates, durationMs, ...crowd }, 1);
    return simulate({ scenario, policy, sessions, durationMs, seed: 1 });
  };
  const first = run('prefix-affinity');
  assert.deepEqual(run('prefix-affinity'), first);
  const blind = run('round-robin');
  assert.ok(first.hitRate > blind.hitRate, `${first.hitRate} is not above ${blind.hitRate}`);
});
