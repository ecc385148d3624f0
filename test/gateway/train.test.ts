// `POST /v1/train`: a graph in, events out; refusals before the first event have a status, later
// ones are the last line; a client that leaves cancels.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { FlotillaError } from '../../src/core/index.ts';
import { ask, withGateway } from './fakes.ts';
import type { TrainingService } from '../../src/gateway/index.ts';
import type { Graph } from '../../src/training/index.ts';

const GRAPH =
  'train\tdog\thypernym\tcanine\ntrain\tdog\thypernym\tfeline\ntest\tcat\thypernym\tfeline\n';
const TYPE = { 'content-type': 'text/tab-separated-values' };

function send(url: string, query: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...TYPE, ...(init.headers as Record<string, string>) };
  return fetch(`${url}/v1/train?${query}`, { method: 'POST', body: GRAPH, ...init, headers });
}

const linesOf = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

test('a graph reaches the trainer, gzip or not, and its events come back in order', async () => {
  const seen: { graph: Graph; options: object }[] = [];
  const trainer: TrainingService = {
    async train(graph, options, { onEvent }) {
      seen.push({ graph, options });
      for (const type of ['start', 'epoch', 'result']) onEvent({ type });
    },
  };
  await withGateway({ trainer }, async ({ url }) => {
    const aliases = '&alias={}.n.01&alias={}.v.01';
    const plain = await send(url, `name=pets&dim=8&rate=0.05&model=complex${aliases}`);
    assert.equal(plain.status, 200);
    assert.equal(plain.headers.get('content-type'), 'application/x-ndjson; charset=utf-8');
    assert.ok(plain.headers.get('x-request-id'));
    const types = linesOf(await plain.text()).map(({ type }) => type);
    assert.deepEqual(types, ['start', 'epoch', 'result']);
    const body = gzipSync(GRAPH);
    const zipped = await send(url, 'name=pets', { body, headers: { 'content-encoding': 'gzip' } });
    assert.equal(linesOf(await zipped.text()).length, 3);
    assert.equal(seen.length, 2);
    const { graph, options } = seen[0]!;
    assert.deepEqual(options, { dim: 8, rate: 0.05, model: 'complex' });
    assert.equal(graph.name, 'pets');
    assert.deepEqual(graph.aliases, ['{}.n.01', '{}.v.01']);
    assert.deepEqual(graph.entities, ['dog', 'canine', 'feline', 'cat']);
    assert.deepEqual([...graph.train, ...graph.test], [0, 0, 1, 0, 0, 2, 3, 0, 2]);
    assert.deepEqual(seen[1]!.graph.test, graph.test);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert.match(metrics, /requests_total\{method="POST",route="\/v1\/train",status="200"\} 2/);
  });
});

test('a refusal before the first event has its status; a later one is the last line', async () => {
  const trainer: TrainingService = {
    async train(_graph, options, { onEvent }) {
      if ('dim' in options) {
        throw new FlotillaError('invalid_option', 'dim must be even, but is 3');
      }
      onEvent({ type: 'start' });
      if ('bug' in options) throw new TypeError('secret detail');
      throw new FlotillaError('owner_unreachable', 'node-2 is gone');
    },
  };
  await withGateway({ trainer }, async ({ url, logged }) => {
    const refused = await send(url, 'name=pets&dim=3');
    assert.equal(refused.status, 400);
    const { error } = (await refused.json()) as { error: { message: string } };
    assert.equal(error.message, 'dim must be even, but is 3');
    const failed = linesOf(await (await send(url, 'name=pets')).text());
    assert.deepEqual(
      failed.map(({ type }) => type),
      ['start', 'error'],
    );
    assert.equal(failed[1].error.code, 'owner_unreachable');
    assert.deepEqual(logged, []);
    const bug = await (await send(url, 'name=pets&bug=1')).text();
    assert.doesNotMatch(bug, /secret/);
    assert.equal(linesOf(bug)[1].error.code, 'internal');
    assert.equal(logged.length, 1);
  });
});

test('a client that leaves cancels its training', async () => {
  const cancelled = Promise.withResolvers<unknown>();
  const trainer: TrainingService = {
    train: (_graph, _options, { signal, onEvent }) =>
      new Promise((_resolve, reject) => {
        onEvent({ type: 'start' });
        signal.addEventListener('abort', () => {
          cancelled.resolve(signal.reason);
          reject(signal.reason);
        });
      }),
  };
  await withGateway({ trainer }, async ({ url }) => {
    const client = new AbortController();
    const response = await send(url, 'name=pets', { signal: client.signal });
    assert.equal(response.status, 200);
    client.abort();
    const reason = (await cancelled.promise) as FlotillaError;
    assert.equal(reason.code, 'cancelled');
  });
});

test('a model is trained once at a time, others beside it; stopping ends all', async () => {
  const reasons: unknown[] = [];
  const trainer: TrainingService = {
    train: (_graph, _options, { signal, onEvent }) =>
      new Promise((_resolve, reject) => {
        onEvent({ type: 'start' });
        signal.addEventListener('abort', () => {
          reasons.push((signal.reason as FlotillaError).code);
          reject(signal.reason);
        });
      }),
  };
  await withGateway({ trainer }, async ({ url, gateway }) => {
    const first = await send(url, 'name=pets');
    const busy = await send(url, 'name=pets');
    assert.equal(busy.status, 409);
    const { error } = (await busy.json()) as { error: { code: string } };
    assert.equal(error.code, 'training_busy');
    const other = await send(url, 'name=cars');
    assert.deepEqual([first.status, other.status], [200, 200]);
    await gateway.stop();
    assert.deepEqual(reasons, ['gateway_stopped', 'gateway_stopped']);
    assert.equal(linesOf(await first.text()).at(-1).error.code, 'gateway_stopped');
    await other.text();
  });
});

test('a body over a limit, packed or not, broken gzip and other types are refused', async () => {
  const trainer: TrainingService = {
    async train(_graph, _options, { onEvent }) {
      onEvent({ type: 'result' });
    },
  };
  const options = { maxTrainBodyBytes: 1_000, maxTrainTextBytes: 5_000 };
  await withGateway({ trainer, options }, async ({ url }) => {
    const gzip = { 'content-encoding': 'gzip' };
    const cases: [RequestInit, number, string][] = [
      [{ body: 'x'.repeat(2_000) }, 413, 'body_too_large'],
      [{ body: chunked('x'.repeat(500), 4), duplex: 'half' } as RequestInit, 413, 'body_too_large'],
      [{ body: gzipSync('x'.repeat(10_000)), headers: gzip }, 413, 'body_too_large'],
      [{ body: 'no gzip', headers: gzip }, 400, 'body_malformed'],
      [{ body: gzipSync(GRAPH).subarray(0, 30), headers: gzip }, 400, 'body_malformed'],
      [{ headers: { 'content-encoding': 'br' } }, 415, 'content_type_unsupported'],
      [{ headers: { 'content-type': 'text/plain' } }, 415, 'content_type_unsupported'],
    ];
    for (const [init, status, code] of cases) {
      const response = await send(url, 'name=pets', init);
      const { error } = (await response.json()) as { error: { code: string } };
      assert.deepEqual([response.status, error.code], [status, code]);
    }
    const unnamed = await ask(`${url}/v1/train`, { method: 'POST', body: GRAPH, headers: TYPE });
    assert.equal(unnamed.status, 400);
    assert.match(unnamed.body.error.message, /^name must be .*, but is missing$/);
    assert.equal((await send(url, 'name=pets')).status, 200);
  });
});

function chunked(text: string, count: number): ReadableStream<Uint8Array> {
  let left = count;
  return new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(Buffer.from(text));
      else controller.close();
    },
  });
}
