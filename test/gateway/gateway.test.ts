// The HTTP surface over a real listener: OpenAI's routes with its own client, the graph's routes,
// what operators read, and one clear answer for each way to ask wrongly.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import OpenAI from 'openai';
import { ask, fakeModels, post, VECTORS, withGateway } from './fakes.ts';
import type { AddressInfo } from 'node:net';

const dog = VECTORS['dog.n.01']!;
const wolf = VECTORS['wolf.n.01']!;
const f32 = (values: readonly number[]) => [...Float32Array.from(values)];

test('the official openai client gets embeddings, in base64 as it asks by default', async () => {
  await withGateway({}, async ({ url }) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 });
    const answer = await client.embeddings.create({
      model: 'wordnet',
      input: ['wolf.n.01', 'dog.n.01', 'wolf.n.01'],
    });
    const vectors = answer.data.map(({ embedding }) => embedding);
    assert.deepEqual(vectors, [f32(wolf), f32(dog), f32(wolf)]);
    assert.deepEqual(
      answer.data.map(({ index }) => index),
      [0, 1, 2],
    );
    assert.deepEqual(answer.usage, { prompt_tokens: 3, total_tokens: 3 });
    const plain = await client.embeddings.create({
      model: 'wordnet',
      input: 'dog.n.01',
      encoding_format: 'float',
      dimensions: 3,
    });
    assert.deepEqual(plain.data[0]?.embedding, f32(dog));
    const models = await client.models.list();
    assert.deepEqual(
      models.data.map(({ id, created }) => [id, created]),
      [['wordnet', 1_700_000_000]],
    );
    assert.equal((await client.models.retrieve('wordnet')).owned_by, 'flotilla');
  });
});

test('the openai client raises its NotFoundError for an unknown word, with the word', async () => {
  await withGateway({}, async ({ url }) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 });
    await assert.rejects(
      client.embeddings.create({ model: 'wordnet', input: ['dog.n.01', 'dgo'] }),
      (error) =>
        error instanceof OpenAI.NotFoundError &&
        error.code === 'row_unknown' &&
        error.param === 'input' &&
        error.message.includes('"dgo"'),
    );
  });
});

test('base64 is little-endian float32', async () => {
  await withGateway({}, async ({ url }) => {
    const request = { input: 'dog.n.01', encoding_format: 'base64' };
    const { body } = await post(`${url}/v1/embeddings`, request);
    const bytes = Buffer.from(body.data[0].embedding, 'base64');
    assert.deepEqual(
      [0, 4, 8].map((at) => bytes.readFloatLE(at)),
      f32(dog),
    );
  });
});

test('a broken request gets 400 with the field, the rule and the value', async () => {
  await withGateway({}, async ({ url }) => {
    const cases: [string, unknown, RegExp][] = [
      ['embeddings', '{"input": ', /^the body is not valid JSON: /],
      ['embeddings', '', /^the body must be a JSON object, but is missing$/],
      ['embeddings', '[]', /^the body must be a JSON object, but is \[\]$/],
      ['embeddings', {}, /^input must be a non-empty string or an array .*, but is missing$/],
      ['embeddings', { input: [] }, /^input must be .*, but is \[\]$/],
      ['embeddings', { input: [1, 2] }, /^input must be .*, but is \[1,2\]$/],
      ['embeddings', { input: 'a', encoding_format: 'hex' }, /^encoding_format must be "float" or/],
      ['embeddings', { input: 'dog.n.01', dimensions: 4 }, /^dimensions must be 3, .* but is 4$/],
      [
        'complete-triple',
        { head: 'a', relation: 'b', k: 0 },
        /^k must be a whole number from 1 to/,
      ],
      ['complete-triple', { head: 'a', realtion: 'b' }, /^relation must be .*, but is missing$/],
      [
        'complete-triple',
        { head: 'a', relation: 'b', top: 1 },
        /^body has an unknown field "top"$/,
      ],
    ];
    for (const [route, body, message] of cases) {
      const answer = await post(`${url}/v1/${route}`, body);
      assert.equal(answer.status, 400, JSON.stringify(answer.body));
      assert.match(answer.body.error.message, message);
      assert.equal(answer.body.error.type, 'invalid_request_error');
    }
    const { body, status } = await ask(`${url}/v1/neighbors?word=dog&k=ten`);
    assert.equal(status, 400);
    assert.match(body.error.message, /^k must be a whole number from 1 to 1000, but is "ten"$/);
    assert.equal(body.error.param, 'k');
  });
});

test('no body makes the gateway answer 500', async () => {
  await withGateway({}, async ({ url, logged }) => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        for (const route of ['embeddings', 'complete-triple']) {
          const { status } = await post(`${url}/v1/${route}`, value);
          assert.ok(status === 400 || status === 404, `${status}`);
        }
      }),
      { numRuns: 50 },
    );
    assert.deepEqual(logged, []);
  });
});

test('neighbours and completions name the model that answered', async () => {
  await withGateway({}, async ({ url }) => {
    const near = await ask(`${url}/v1/neighbors?word=dog.n.01&k=3`);
    const neighbors = [{ id: 'wolf.n.01', score: 0.75 }];
    assert.deepEqual(near.body, { model: 'wordnet', word: 'dog.n.01', neighbors });
    const request = { model: 'wordnet', head: 'dog', relation: 'hypernym', k: 2 };
    const { body } = await post(`${url}/v1/complete-triple`, request);
    assert.deepEqual(body.completions, [{ id: 'dog-parent', score: 2 }]);
    const wrong = await post(`${url}/v1/complete-triple`, { ...request, relation: 'likes' });
    assert.deepEqual([wrong.status, wrong.body.error.code], [404, 'relation_unknown']);
  });
});

test('without a model, the only one answers; of several, one must be named', async () => {
  await withGateway({ models: fakeModels({ list: async () => [] }) }, async ({ url }) => {
    const { status, body } = await post(`${url}/v1/embeddings`, { input: 'a' });
    assert.deepEqual([status, body.error.code], [404, 'model_unknown']);
  });
  const two = ['one', 'two'].map((name) => ({ name, status: 'ready' }));
  await withGateway({ models: fakeModels({ list: async () => two }) }, async ({ url }) => {
    const { status, body } = await post(`${url}/v1/embeddings`, { input: 'dog.n.01' });
    assert.equal(status, 400);
    assert.equal(body.error.message, 'model must be one of "one", "two", but is missing');
    const named = await post(`${url}/v1/embeddings`, { model: 'two', input: 'dog.n.01' });
    assert.deepEqual([named.status, named.body.model], [200, 'two']);
    const other = await ask(`${url}/v1/models/three`);
    assert.deepEqual([other.status, other.body.error.code], [404, 'model_unknown']);
  });
});

test('a gone owner is 503 with its name; a fault is 500 without what caused it', async () => {
  await withGateway({}, async ({ url, logged }) => {
    const gone = await ask(`${url}/v1/neighbors?word=gone`);
    assert.deepEqual([gone.status, gone.body.error.code], [503, 'owner_unreachable']);
    assert.match(gone.body.error.message, /node-2, which is gone/);
    assert.equal(gone.body.error.type, 'server_error');
    assert.deepEqual(logged, []);
    const bug = await ask(`${url}/v1/neighbors?word=bug`);
    assert.deepEqual([bug.status, bug.body.error.code], [500, 'internal']);
    assert.doesNotMatch(JSON.stringify(bug.body), /secret|TypeError|\.ts/);
    assert.equal(logged.length, 1);
  });
});

test('wrong paths, methods, URLs and body sizes have statuses of their own', async () => {
  await withGateway({ options: { maxInferenceBytes: 100 } }, async ({ url }) => {
    const unknown = await ask(`${url}/v2/embeddings`);
    assert.deepEqual([unknown.status, unknown.body.error.code], [404, 'route_unknown']);
    const method = await ask(`${url}/v1/embeddings`);
    assert.deepEqual([method.status, method.body.error.code], [405, 'method_not_allowed']);
    assert.equal(method.headers.get('allow'), 'POST');
    const param = await ask(`${url}/v1/models/wordnet`, { method: 'DELETE' });
    assert.deepEqual([param.status, param.headers.get('allow')], [405, 'GET, HEAD']);
    const broken = await ask(`${url}/v1/models/%zz`);
    assert.deepEqual([broken.status, broken.body.error.code], [400, 'request_invalid']);
    const large = await post(`${url}/v1/embeddings`, { input: 'x'.repeat(200) });
    assert.deepEqual([large.status, large.body.error.code], [413, 'http_body_too_large']);
  });
});

test('a request id is echoed, or made', async () => {
  await withGateway({}, async ({ url }) => {
    const given = await ask(`${url}/health`, { headers: { 'x-request-id': 'abc-1' } });
    assert.equal(given.headers.get('x-request-id'), 'abc-1');
    const odd = await ask(`${url}/health`, { headers: { 'x-request-id': 'a b"c' } });
    assert.match(odd.headers.get('x-request-id') ?? '', /^node-0-[0-9a-z]+-\d+$/);
    const failed = await ask(`${url}/nothing`, { headers: { 'x-request-id': 'abc-2' } });
    assert.equal(failed.headers.get('x-request-id'), 'abc-2');
  });
});

test('operators see health, the cluster, the route of a key and metrics', async () => {
  const lane = { peer: 'node-1', lane: 'requests', messagesSent: 7, messagesReceived: 6 };
  const state = { depth: 3, drops: 2, creditWaits: 1 };
  const laneCounters = () => [{ ...lane, bytesSent: 700, bytesReceived: 600, ...state }];
  const tables = async () => [{ name: 'wordnet.entities', rows: 2 }];
  const quicCounters = { movedStreams: 5, stayedWrites: 4 };
  await withGateway({ laneCounters, quicCounters, tables }, async ({ url }) => {
    const health = await ask(`${url}/health`);
    assert.deepEqual(health.body, { status: 'ok', node: 'node-0', nodes: 2, healthy: 1 });
    const { body: cluster } = await ask(`${url}/cluster`);
    assert.deepEqual(Object.keys(cluster), ['summary', 'self', 'nodes', 'tables', 'models']);
    assert.equal(cluster.nodes[1].healthy, false);
    const { body: route } = await ask(`${url}/cluster/route?key=user-42`);
    assert.deepEqual([route.key, route.node, route.addr], ['user-42', 'node-0', '127.0.0.1:7400']);
    assert.equal((await ask(`${url}/cluster/route`)).status, 400);
    await ask(`${url}/v1/models/nobody`);
    const text = await (await fetch(`${url}/metrics`)).text();
    for (const line of [
      'flotilla_nodes 2',
      'flotilla_nodes_healthy 1',
      'flotilla_peer_messages_total{peer="node-1",lane="requests",direction="sent"} 7',
      'flotilla_peer_queue_depth{peer="node-1",lane="requests"} 3',
      'flotilla_peer_drops_total{peer="node-1",lane="requests"} 2',
      'flotilla_peer_credit_waits_total{peer="node-1",lane="requests"} 1',
      'flotilla_peer_bytes_total{peer="node-1",lane="requests",direction="received"} 600',
      'flotilla_quic_moved_streams_total 5',
      'flotilla_quic_stayed_writes_total 4',
      'flotilla_http_requests_total{method="GET",route="/health",status="200"} 1',
      'flotilla_http_requests_total{method="GET",route="/v1/models/:id",status="404"} 1',
    ]) {
      assert.ok(text.includes(`${line}\n`), line);
    }
    assert.match(text, /process_cpu_user_seconds_total/);
  });
});

test('a taken port is port_in_use with the address', async () => {
  const other = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as AddressInfo;
  const started = withGateway({ options: { port } }, async () => {});
  await assert.rejects(started, {
    code: 'port_in_use',
    message: new RegExp(`127\\.0\\.0\\.1:${port}`),
  });
  other.close();
});

test('a gateway refuses options outside their rule', async () => {
  const started = withGateway({ options: { port: 70_000 } }, async () => {});
  await assert.rejects(started, {
    code: 'invalid_option',
    message: 'port must be a whole number from 0 to 65535, but is 70000',
  });
});

test('stopping lets a request in progress finish and refuses new ones', async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const neighbors = async () => {
    asked.resolve();
    await answer.promise;
    return [];
  };
  await withGateway({ models: fakeModels({ neighbors }) }, async ({ gateway, url }) => {
    const inProgress = ask(`${url}/v1/neighbors?word=dog`);
    await asked.promise;
    const stopped = gateway.stop();
    answer.resolve();
    assert.equal((await inProgress).status, 200);
    await stopped;
    const refused = new Promise((resolve) => http.get(url).once('error', resolve));
    assert.equal(((await refused) as { code: string }).code, 'ECONNREFUSED');
  });
});
