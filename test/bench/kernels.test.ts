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
  const ids = ['K1a', 'K1b', 'K2a', 'K2b', 'K3', 'K4a', 'K4b', 'K5a', 'K5b'];
  assert.deepEqual(Object.keys(result.ratios), ids);
  for (const id of ['K3', 'K4a', 'K4b']) assert.equal(typeof result.ratios[id], 'number', id);
  for (const figure of ['square', 'scores', 'rankingTable', 'dot', 'axpy']) {
    assert.ok((result.medians['flotilla']?.[figure] ?? 0) > 0, figure);
  }
  assert.ok((result.medians['device-2']?.['gather'] ?? 0) > 0);
  assert.ok((result.medians['flotilla-2']?.['square'] ?? 0) > 0);
});
