// The interference bench on tiny input: it ends with the line that scripts read; what needs a
// network that loses packets takes part where one can be had.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quickRun } from './quick-run.ts';

test('the interference bench runs on tiny input', () => {
  const result = quickRun('interference');
  assert.match(result.workload, /^[0-9a-f]{64}$/);
  assert.deepEqual(Object.keys(result.ratios), ['I1', 'I2', 'I3']);
  for (const figure of ['idleP50Us', 'idleP99Us', 'busyP50Us', 'busyP99Us', 'mibPerSecond']) {
    assert.ok((result.medians['tls']?.[figure] ?? 0) > 0, figure);
  }
  for (const [id, ratio] of Object.entries(result.ratios)) {
    if (typeof ratio === 'string') assert.match(ratio, /^not measured: /, id);
    else assert.ok(ratio > 0, `${id} is ${ratio}`);
  }
});
