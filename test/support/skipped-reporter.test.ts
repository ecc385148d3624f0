// What a run says of the suites that it could not run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { optionalProgram } from './optional-programs.ts';
import skippedReporter from './skipped-reporter.ts';

test('each reason for skipping is told once, at the end', async () => {
  const events = [
    { type: 'test:pass', data: { name: 'a', skip: 'x is not installed; enable it: get x' } },
    { type: 'test:pass', data: { name: 'b' } },
    { type: 'test:pass', data: { name: 'c', skip: 'x is not installed; enable it: get x' } },
    { type: 'test:diagnostic', data: {} },
  ];
  const lines: string[] = [];
  for await (const line of skippedReporter(from(events))) lines.push(line);
  assert.deepEqual(lines, ['skipped: 2 tests: x is not installed; enable it: get x\n']);
});

async function* from<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

test('a program that is absent names the command that installs it', () => {
  assert.deepEqual(optionalProgram('no-such-program', 'get it'), {
    skip: 'no-such-program is not installed; enable it: get it',
  });
  assert.equal(optionalProgram('sh', 'get it').skip, false);
});
