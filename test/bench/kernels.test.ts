// The kernels bench on tiny input: it runs to the end, all contestants that can take part work on
// the same data, and the ratio that needs nothing but this repository is a number.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

const ROOT = path.dirname(path.dirname(import.meta.dirname));

test('the kernels bench runs on tiny input', () => {
  const run = spawnSync(process.execPath, ['bench/run.ts', 'kernels', '--quick', '--json'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  assert.equal(run.status, 0, run.stderr);
  const result = JSON.parse(run.stdout.trimEnd().split('\n').at(-1) ?? '') as {
    workload: string;
    medians: Record<string, Record<string, number>>;
    ratios: Record<string, number | string>;
  };
  assert.match(result.workload, /^[0-9a-f]{64}$/);
  assert.deepEqual(Object.keys(result.ratios), ['K1a', 'K1b', 'K2a', 'K2b', 'K3']);
  assert.equal(typeof result.ratios['K3'], 'number');
  for (const figure of ['square', 'scores', 'rankingTable', 'dot', 'axpy']) {
    assert.ok((result.medians['flotilla']?.[figure] ?? 0) > 0, figure);
  }
  assert.ok((result.medians['flotilla-2']?.['square'] ?? 0) > 0);
});
