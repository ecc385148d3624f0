// The access log: a line for each request that is over, when it is asked for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../src/core/index.ts';
import { ask, post } from './fakes.ts';
import { answering, chat, MODEL, withEngines } from './engine-site.ts';

const PATH = '/v1/chat/completions';

interface Line {
  readonly id: string;
  readonly client: string;
  readonly status: number;
  readonly seconds: number;
  readonly [field: string]: unknown;
}

async function linesOf(accessLog: boolean): Promise<Line[]> {
  const lines: Line[] = [];
  const info = (fields: object, message: string) => {
    if (message === 'answered') lines.push(fields as Line);
  };
  const parts = { log: { ...silentLogger, info } };
  const setup = { engines: [answering('one')], options: { accessLog }, parts };
  await withEngines(setup, async ({ url }) => {
    await post(url + PATH, chat('Hello'));
    await post(url + PATH, '{');
    await ask(`${url}/health`);
  });
  return lines;
}

test('every request is a line with who asked, what for, and how it went', async () => {
  const lines = await linesOf(true);
  assert.deepEqual(
    lines.map(({ client, status }) => [client, status]),
    [
      ['127.0.0.1', 200],
      ['127.0.0.1', 400],
      ['127.0.0.1', 200],
    ],
  );
  for (const { id, seconds } of lines) {
    assert.match(id, /^node-0-/);
    assert.ok(seconds >= 0 && seconds < 60);
  }
  const [first] = lines;
  assert.deepEqual([first?.['path'], first?.['model']], [PATH, MODEL]);
  assert.deepEqual([first?.['endpoint'], first?.['tries']], ['node/e0', 1]);
  assert.equal(typeof first?.['reason'], 'string');
  const usage = { promptTokens: 3, cachedTokens: undefined, totalTokens: 5 };
  assert.deepEqual(first?.['usage'], usage);
  assert.equal(lines[2]?.['route'], '/health');
});

test('without it nothing is written', async () => {
  assert.deepEqual(await linesOf(false), []);
});
