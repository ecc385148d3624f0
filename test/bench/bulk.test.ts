// The bulk bench on tiny input: it ends with the line that scripts read, and what needs nothing but
// this repository takes part.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

const ROOT = path.dirname(path.dirname(import.meta.dirname));

test('the bulk bench runs on tiny input', () => {
  const run = spawnSync(process.execPath, ['bench/run.ts', 'bulk', '--quick', '--json'], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 120_000,
  });
  assert.equal(run.status, 0, run.stderr);
  const result = JSON.parse(run.stdout.trimEnd().split('\n').at(-1) ?? '') as {
    workload: string;
    medians: Record<string, Record<string, number>>;
    ratios: Record<string, number | string>;
  };
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
