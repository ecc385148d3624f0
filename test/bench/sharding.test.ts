// The sharding bench runs on tiny input and ends with the line that scripts read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quickRun } from './quick-run.ts';

test('the sharding bench prints workload, machine, medians and ratios as its last line', () => {
  const line = quickRun('sharding');
  assert.deepEqual(Object.keys(line), ['workload', 'machine', 'medians', 'ratios']);
  const ratios = line['ratios'] as Record<string, unknown>;
  assert.deepEqual(Object.keys(ratios), ['Z1', 'Z2a', 'Z2b', 'Z7', 'P1', 'P2', 'P3']);
  for (const id of ['Z1', 'Z2a', 'Z2b', 'Z7']) assert.ok(Number.isFinite(ratios[id]), id);
  assert.equal(ratios['Z2b'], 0);
});
