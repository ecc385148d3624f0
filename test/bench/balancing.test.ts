// The balancing bench runs on tiny input, and its simulation is the same for the same seed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { POLICIES } from '../../bench/balancing/policies.ts';
import { scenarios } from '../../bench/balancing/scenarios.ts';
import { simulate } from '../../bench/balancing/simulation.ts';
import { quickRun } from './quick-run.ts';
import type { Policy } from '../../bench/balancing/simulation.ts';

test('the balancing bench compares every policy, and measures what it costs', () => {
  const { workload, medians, ratios } = quickRun('balancing');
  assert.match(workload, /^[0-9a-f]{64}$/);
  assert.deepEqual(Object.keys(medians), [...Object.keys(POLICIES), 'decision', 'cost']);
  assert.deepEqual(Object.keys(ratios), ['L1', 'L1a', 'L1b', 'L2', 'L2a', 'L2b', 'L3c']);
  for (const [id, ratio] of Object.entries(ratios)) {
    assert.ok(Number.isFinite(ratio), `${id} is ${ratio}`);
  }
});

test('a simulation is replayed by its seed, and every policy meets the same requests', () => {
  const [equal] = scenarios(20_000);
  assert.ok(equal);
  const run = (name: string, seed: number) => simulate(equal, POLICIES[name] as Policy, seed);
  assert.deepEqual(run('least-outstanding', 3), run('least-outstanding', 3));
  assert.notDeepEqual(run('least-outstanding', 3), run('least-outstanding', 4));
  const [oracle, least] = [run('oracle', 3), run('least-outstanding', 3)];
  assert.ok(oracle.p99Ms <= least.p99Ms, `${oracle.p99Ms} and ${least.p99Ms}`);
  assert.ok(least.p99Ms * 2 <= run('strict-minimum', 3).p99Ms, 'seed 3: twice as good');
});
