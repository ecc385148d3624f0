// The ring's bench runs on tiny input and ends with the line that scripts read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quickRun } from './quick-run.ts';

test('the ring bench prints workload, machine, medians and ratios as its last line', () => {
  const line = quickRun('ring');
  assert.deepEqual(Object.keys(line), ['workload', 'machine', 'medians', 'ratios']);
  assert.match(String(line['workload']), /^[0-9a-f]{64}$/);
  assert.match(String(line['machine']), /cores.*Node v/);
  assert.deepEqual(Object.keys(line['medians'] as object), ['flotilla', 'hashring']);
  const ratios = Object.entries(line['ratios'] as Record<string, unknown>);
  assert.deepEqual(
    ratios.map(([id]) => id),
    ['R1', 'R2', 'R3'],
  );
  for (const [id, ratio] of ratios) assert.ok(Number.isFinite(ratio), `${id} is ${ratio}`);
});
