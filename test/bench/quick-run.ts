// Runs a bench on tiny input, as scripts do, and reads its last line.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const ROOT = path.dirname(path.dirname(import.meta.dirname));

export interface BenchResult {
  readonly workload: string;
  readonly machine: string;
  readonly medians: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly ratios: Readonly<Record<string, number | string>>;
}

/**
 * The object that `--quick --json` prints; fails with the bench's words when it does not end well.
 */
export function quickRun(bench: string): BenchResult {
  const run = spawnSync(process.execPath, ['bench/run.ts', bench, '--quick', '--json'], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 120_000,
  });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout.trimEnd().split('\n').at(-1) ?? '') as BenchResult;
}
