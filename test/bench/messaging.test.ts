// The messaging bench on tiny input: it ends with the line that scripts read, and what needs
// nothing but this repository takes part.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quickRun } from './quick-run.ts';

test('the messaging bench runs on tiny input', () => {
  const result = quickRun('messaging');
  assert.match(result.workload, /^[0-9a-f]{64}$/);
  assert.deepEqual(Object.keys(result.ratios), ['M1', 'M2', 'M3a', 'M3b', 'M4a', 'M4b', 'M5']);
  for (const contestant of ['flotilla', 'framed-tls']) {
    for (const figure of ['roundTripUs', 'callsPerSecondAt100', 'callsPerSecondAt1000']) {
      assert.ok((result.medians[contestant]?.[figure] ?? 0) > 0, `${contestant} ${figure}`);
    }
  }
  for (const [id, ratio] of Object.entries(result.ratios)) {
    if (typeof ratio === 'string') assert.match(ratio, /^not measured: /, id);
    else assert.ok(ratio > 0, `${id} is ${ratio}`);
  }
});
