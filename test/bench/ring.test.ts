// The ring's bench runs on tiny input and ends with the line that scripts read.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

const root = path.dirname(path.dirname(import.meta.dirname));

test('the ring bench prints workload, machine, medians and ratios as its last line', () => {
  const run = spawnSync(process.execPath, ['bench/run.ts', 'ring', '--quick', '--json'], {
    cwd: root,
    encoding: 'utf8',
    timeout: 120_000,
  });
  assert.equal(run.status, 0, run.stderr);
  const line = JSON.parse(run.stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
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
