// The gateway bench on tiny input: it ends with the line that scripts read, and what needs nothing
// but this repository and a compiler takes part.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quickRun } from './quick-run.ts';

test('the gateway bench runs on tiny input', () => {
  const result = quickRun('gateway');
  assert.match(result.workload, /^[0-9a-f]{64}$/);
  assert.deepEqual(Object.keys(result.ratios), ['G1', 'G2a', 'G2b', 'G3', 'G4', 'G5a', 'G5b']);
  for (const [id, ratio] of Object.entries(result.ratios)) {
    if (typeof ratio === 'string') assert.match(ratio, /^not measured: /, id);
    // G5 is a difference: a busy machine can make it anything.
    else assert.ok(id.startsWith('G5') ? Number.isFinite(ratio) : ratio > 0, `${id} is ${ratio}`);
  }
});
