// The sharding bench runs on tiny input and ends with the line that scripts read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quickRun } from './quick-run.ts';

test('the sharding bench prints workload, machine, medians and ratios as its last line', () => {
  const line = quickRun('sharding');
  assert.deepEqual(Object.keys(line), ['workload', 'machine', 'medians', 'ratios']);
  const ratios = line['ratios'] as Record<string, unknown>;
  const measured = ['Z1', 'Z2a', 'Z2b', 'Z2c', 'Z2d', 'Z7'];
  const peers = ['P1', 'P2', 'P3', 'P4', 'P5', 'P6'];
  assert.deepEqual(Object.keys(ratios), [...measured, ...peers]);
  for (const id of measured) assert.ok(Number.isFinite(ratios[id]), id);
  assert.equal(ratios['Z2b'], 0);
  assert.equal(ratios['Z2d'], 0);
});
