// An engine somewhere else as the gateway sees it: where it is, what it serves, whether it is up.
// Against real servers, the simulated engine among them.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { createPrng, silentLogger, systemClock } from '../../src/core/index.ts';
import { HealthRule } from '../../src/engines/health-watch.ts';
import { OpenAiEngine, ProcessEngine, startSimulatedEngine } from '../../src/engines/index.ts';
import { changesOf } from './changes.ts';
import type { AddressInfo } from 'node:net';
import type { OpenAiEngineOptions } from '../../src/engines/index.ts';

const QUICK = { checkIntervalMs: 5, retryIntervalMs: 5, checkTimeoutMs: 2_000 };

async function withEngine(
  options: Partial<OpenAiEngineOptions> & { baseUrl: string },
  use: (engine: OpenAiEngine, until: ReturnType<typeof changesOf>['until']) => Promise<void>,
): Promise<void> {
  const { onChange, until } = changesOf();
  const all = { name: 'engine', ...QUICK, ...options };
  const engine = new OpenAiEngine({ clock: systemClock, onChange }, all);
  try {
    engine.start();
    await use(engine, until);
  } finally {
    await engine.stop();
  }
}

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

async function withServer(handler: Handler, use: (url: string) => Promise<void>): Promise<void> {
  const server = http.createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const listOf = (...ids: string[]) => JSON.stringify({ data: ids.map((id) => ({ id })) });

test('an engine says what it serves; aliases are further names for that', async () => {
  await using server = await startSimulatedEngine(
    { clock: systemClock },
    { port: 0, models: ['llama-8b', 'qwen'] },
  );
  const aliases = { 'gpt-4o': 'llama-8b', absent: 'not-there' };
  await withEngine({ baseUrl: server.url, aliases, apiKey: 'key' }, async (engine, until) => {
    assert.deepEqual([engine.state, engine.models], ['starting', []]);
    await until(engine, ({ state }) => state === 'up');
    assert.deepEqual(engine.models, ['gpt-4o', 'llama-8b', 'qwen']);
    assert.equal(engine.modelNamed('gpt-4o'), 'llama-8b');
    assert.equal(engine.modelNamed('qwen'), 'qwen');
    assert.equal(engine.modelNamed('absent'), undefined);
    const headers = { authorization: 'Bearer key' };
    assert.deepEqual(engine.target, { origin: server.url, apiPath: '/v1', headers });
    assert.equal(engine.problem, undefined);
    assert.deepEqual(await engine.load(), { running: 0, waiting: 0, kvCacheUsage: 0 });
  });
});

test('an engine that goes is down after three checks, and up again when it is back', async () => {
  const first = await startSimulatedEngine({ clock: systemClock }, { port: 0 });
  const { url } = first;
  await withEngine({ baseUrl: `${url}/v1/` }, async (engine, until) => {
    await until(engine, ({ state }) => state === 'up');
    await first.stop();
    await until(engine, ({ state }) => state === 'down');
    assert.match(engine.problem?.message ?? '', /\/health does not answer: .*ECONNREFUSED/);
    await assert.rejects(engine.load(), { code: 'engine_unreachable' });
    const port = Number(new URL(url).port);
    await using second = await startSimulatedEngine({ clock: systemClock }, { port });
    await until(engine, ({ state }) => state === 'up');
    assert.equal(second.url, url);
  });
});

test('a provider without /health is asked for its models, with its key', async () => {
  let key = 'old';
  const handler: Handler = ({ url, headers }, response) => {
    if (url !== '/api/v1/models') response.writeHead(404);
    else if (headers['authorization'] !== `Bearer ${key}`) response.writeHead(401);
    else response.write(listOf('large'));
    response.end();
  };
  await withServer(handler, async (url) => {
    await withEngine({ baseUrl: `${url}/api/v1`, apiKey: 'new' }, async (engine, until) => {
      await until(engine, ({ problem }) => problem !== undefined);
      assert.equal(engine.state, 'starting');
      assert.deepEqual(engine.problem?.details, { url: `${url}/api/v1/models`, status: 401 });
      assert.doesNotMatch(engine.problem?.message ?? '', /new/);
      key = 'new';
      await until(engine, ({ state }) => state === 'up');
      assert.deepEqual(engine.models, ['large']);
    });
  });
});

test('one that loads its model is starting until it is done; new models are told', async () => {
  let status = 503;
  let models = ['small'];
  const handler: Handler = ({ url }, response) => {
    response.writeHead(status).end(url === '/v1/models' ? listOf(...models) : '');
  };
  await withServer(handler, async (url) => {
    await withEngine({ baseUrl: url }, async (engine, until) => {
      await until(engine, ({ problem }) => problem !== undefined);
      assert.equal(engine.state, 'starting');
      status = 200;
      await until(engine, ({ state }) => state === 'up');
      models = ['small', 'tuned'];
      await until(engine, (changed) => changed.models.length === 2);
      assert.equal(engine.modelNamed('tuned'), 'tuned');
    });
  });
});

test('what is silent, endless or no list of models is not up', async () => {
  const handler: Handler = ({ url }, response) => {
    if (url === '/silent/health') return;
    const body = url === '/endless/health' ? Buffer.alloc(5 * 1024 * 1024) : '{"data": 5}';
    response.end(body);
  };
  await withServer(handler, async (url) => {
    const cases = {
      silent: /50 ms passed/,
      endless: /over 4194304 bytes/,
      odd: /no list of models/,
    };
    for (const [path, words] of Object.entries(cases)) {
      const checkTimeoutMs = path === 'silent' ? 50 : 5_000;
      await withEngine({ baseUrl: `${url}/${path}/v1`, checkTimeoutMs }, async (engine, until) => {
        await until(engine, ({ problem }) => problem !== undefined);
        assert.match(engine.problem?.message ?? '', words);
        assert.equal(engine.state, 'starting');
      });
    }
  });
});

test('who is stopped says nothing more, though a check is under way', async () => {
  const asked = Promise.withResolvers<http.ServerResponse>();
  await withServer(
    (_, response) => asked.resolve(response),
    async (url) => {
      const { onChange, until } = changesOf();
      const options = { name: 'engine', baseUrl: url, models: ['one'] };
      const engine = new OpenAiEngine({ clock: systemClock, onChange }, options);
      engine.start();
      const response = await asked.promise;
      const cut = new Promise((resolve) => response.once('close', resolve));
      await engine.stop();
      await cut;
      assert.equal(engine.state, 'stopped');
      await until(engine, ({ state }) => state === 'stopped');
    },
  );
});

test('one good check brings an engine up, and only failures in a row take it down', () => {
  const rule = new HealthRule(3);
  const after = (...outcomes: boolean[]) => {
    for (const ok of outcomes) rule.checked(ok);
    return rule.health;
  };
  assert.equal(after(false, false, false, false), 'unknown');
  assert.equal(after(true), 'up');
  assert.equal(after(false, false, true, false, false), 'up');
  assert.equal(after(false), 'down');
  assert.equal(rule.checked(false), false);
  assert.equal(rule.checked(true), true);
  assert.equal(after(), 'up');
});

test('options outside their rules are refused, without showing what is secret', () => {
  const make = (options: object) => () =>
    new OpenAiEngine(
      { clock: systemClock },
      { name: 'engine', baseUrl: 'http://127.0.0.1:1', ...options },
    );
  const wrong: Readonly<Record<string, object>> = {
    name: { name: 'Engine 1' },
    baseUrl: { baseUrl: 'ftp://127.0.0.1' },
    capacity: { capacity: Number.NaN },
    failures: { failures: 0 },
    checkIntervalMs: { checkIntervalMs: -1 },
    healthPath: { healthPath: 'health' },
    headers: { headers: { 'x-key': 'secret\r\nx: y' } },
    apiKey: { apiKey: 'secret\n' },
    models: { models: [] },
    aliases: { models: ['one'], aliases: { two: 'three' } },
  };
  for (const [option, options] of Object.entries(wrong)) {
    assert.throws(make(options), (error: Error & { details: { option: string } }) => {
      assert.equal(error.details.option, option);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
  for (const baseUrl of ['http://me:secret@host', 'http://host/v1?key=1', 'http://host/#a', 'x']) {
    assert.throws(make({ baseUrl }), ({ message }: Error) => !message.includes('secret'));
  }
  const components = { clock: systemClock, prng: createPrng(1), log: silentLogger };
  const program = { name: 'engine', command: 'llama-server', environment: {} };
  const makeProcess = (options: object) => () =>
    new ProcessEngine(components, { ...program, args: ['{port}'], ...options });
  for (const [option, value] of Object.entries({
    ...{ command: '', port: 1.5, args: [], stopTimeoutMs: 0, hungAfterMs: 0, readyTimeoutMs: -1 },
    ...{ backoffMs: 0, backoffFactor: 0.5, maxBackoffMs: 1, backoffJitter: 1, name: '' },
  })) {
    assert.throws(makeProcess({ [option]: value }), (error: Error & { details: object }) => {
      assert.deepEqual(
        { ...error.details, rule: '', actual: '' },
        { option, rule: '', actual: '' },
      );
      return true;
    });
  }
});
