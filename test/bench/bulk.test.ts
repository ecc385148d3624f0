// The bulk bench on tiny input: it ends with the line that scripts read, and what needs nothing but
// this repository takes part.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quickRun } from './quick-run.ts';

test('the bulk bench runs on tiny input', () => {
  const result = quickRun('bulk');
  assert.match(result.workload, /^[0-9a-f]{64}$/);
  assert.deepEqual(Object.keys(result.ratios), ['B1', 'B2', 'B3']);
  for (const figure of ['mibPerSecond', 'receiverDialsMibPerSecond', 'rpcMibPerSecond']) {
    assert.ok((result.medians['flotilla']?.[figure] ?? 0) > 0, figure);
  }
  for (const [id, ratio] of Object.entries(result.ratios)) {
    if (typeof ratio === 'string') assert.match(ratio, /^not measured: /, id);
    else assert.ok(ratio > 0, `${id} is ${ratio}`);
  }
});
