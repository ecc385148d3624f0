// The proxied path over real sockets: what clients get, what engines get, and what becomes of both
// when one of them fails.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import OpenAI from 'openai';
import { FlotillaError } from '../../src/core/index.ts';
import { ask, post } from './fakes.ts';
import { answering, chat, completion, MODEL, withEngines } from './engine-site.ts';
import type { EngineHandler, EngineSite } from './engine-site.ts';

const PATH = '/v1/chat/completions';
/** Retries come at once, and are always affordable. */
const RETRIES = { baseMs: 1, reservePerSecond: 1_000, budget: 1 };
const TURNS = { policy: 'round-robin', slowStart: { windowMs: 0 } } as const;

/** Counts that must be 0 when nothing is under way. */
function assertIdle({ router, gateway }: EngineSite): void {
  assert.equal(gateway.inFlight, 0);
  assert.equal(gateway.queued, 0);
  for (const { ownInFlight } of router.states(performance.now())) assert.equal(ownInFlight, 0);
}

const failing =
  (status: number, headers: http.OutgoingHttpHeaders = {}): EngineHandler =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify({ error: { message: `status ${status}` } }));
  };

/** Begins a stream, and goes on when it is told. */
function streaming(parts: readonly string[], after: (response: http.ServerResponse) => void) {
  const handler: EngineHandler = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of parts) response.write(part);
    after(response);
  };
  return handler;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + 5_000;
  while (!condition()) {
    assert.ok(performance.now() < endMs, `waited 5 s until ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('an answer passes with its route; the engine gets neither keys nor cookies', async () => {
  let got: http.IncomingHttpHeaders = {};
  let body = '';
  const engine: EngineHandler = (request, response, text) => {
    got = request.headers;
    body = text;
    answering('one')(request, response, text);
  };
  await withEngines({ engines: [engine] }, async (site) => {
    const sent = JSON.stringify(chat('Hello', { temperature: 0.5 }));
    const headers = { authorization: 'Bearer secret', cookie: 'a=b', 'x-request-id': 'r-1' };
    const answer = await ask(site.url + PATH, { method: 'POST', body: sent, headers });
    assert.equal(answer.status, 200);
    assert.equal(answer.body.choices[0].message.content, 'one');
    assert.equal(answer.headers.get('x-request-id'), 'r-1');
    assert.match(answer.headers.get('x-flotilla-route') ?? '', /^node\/e0; policy=prefix-affinity/);
    assert.equal(body, sent);
    assert.equal(got.authorization, undefined);
    assert.equal(got.cookie, undefined);
    assert.equal(got['x-request-id'], 'r-1');
    assertIdle(site);
  });
});

test('a model that the engine knows by another name is asked for by that name', async () => {
  let body: { model?: string; temperature?: number } = {};
  const engine: EngineHandler = (request, response, text) => {
    body = JSON.parse(text);
    answering('one')(request, response, text);
  };
  await withEngines({ engines: [engine], modelName: 'org/m-8b' }, async ({ url }) => {
    await post(url + PATH, chat('Hello', { temperature: 0.5 }));
    assert.deepEqual([body.model, body.temperature], ['org/m-8b', 0.5]);
  });
});

test('streams come through as they are, event by event', async () => {
  let go: (() => void) | undefined;
  const engine = streaming(['data: {"a":1}\n\n'], (response) => {
    go = () => response.end('data: [DONE]\n\n');
  });
  await withEngines({ engines: [engine] }, async (site) => {
    const response = await fetch(site.url + PATH, {
      method: 'POST',
      body: JSON.stringify(chat('Hello', { stream: true })),
    });
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await reader.read()).value, 'data: {"a":1}\n\n', 'the first before the last');
    go?.();
    assert.equal((await reader.read()).value, 'data: [DONE]\n\n');
    assert.equal((await reader.read()).done, true);
    await until(() => site.gateway.inFlight === 0, 'nothing is in flight');
    assertIdle(site);
  });
});

test('what fails before the first byte is tried elsewhere: by status, cut or silence', async () => {
  const cut: EngineHandler = (request) => request.socket.destroy();
  for (const broken of [failing(500), failing(503), failing(429), cut]) {
    const options = { retries: RETRIES };
    const setup = { engines: [broken, answering('good')], routing: TURNS, options };
    await withEngines(setup, async (site) => {
      for (let i = 0; i < 4; i++) {
        const { status, body } = await post(site.url + PATH, chat(`question ${i}`));
        assert.deepEqual([status, body.choices?.[0].message.content], [200, 'good']);
      }
      assert.ok(site.engines[0]!.requests >= 1, 'the broken one was asked');
      assertIdle(site);
      await site.engines[0]!.kill();
      const { status } = await post(site.url + PATH, chat('still there?'));
      assert.equal(status, 200);
    });
  }
});

test('a refusal is the answer; so is the last error when no retry is left', async () => {
  const setup = { engines: [failing(400)], options: { retries: RETRIES } };
  await withEngines(setup, async (site) => {
    const refused = await post(site.url + PATH, chat('Hello'));
    assert.deepEqual([refused.status, refused.body.error.message], [400, 'status 400']);
    assert.equal(site.engines[0]!.requests, 1);
    site.engines[0]!.handler = failing(503);
    const failed = await post(site.url + PATH, chat('Hello'));
    assert.deepEqual([failed.status, failed.body.error.message], [503, 'status 503']);
    assert.equal(site.engines[0]!.requests, 6, 'five tries');
    assertIdle(site);
  });
});

test('with no engine left the answer is 503 with a time to come back', async () => {
  await withEngines(
    { engines: [answering('one')], options: { retries: RETRIES } },
    async (site) => {
      await site.engines[0]!.kill();
      const { status, body, headers } = await post(site.url + PATH, chat('Hello'));
      assert.deepEqual([status, body.error.code], [503, 'engine_unavailable']);
      assert.equal(headers.get('retry-after'), '1');
      assertIdle(site);
    },
  );
});

test('an engine that dies within a stream ends it with an error event', async () => {
  const engine = streaming(['data: {"a":1}\n\n'], (response) => {
    setImmediate(() => response.destroy());
  });
  await withEngines({ engines: [engine, engine], options: { retries: RETRIES } }, async (site) => {
    const response = await fetch(site.url + PATH, {
      method: 'POST',
      body: JSON.stringify(chat('Hello', { stream: true })),
    });
    const text = await response.text();
    const events = text.split('\n\n').filter((event) => event !== '');
    assert.equal(events[0], 'data: {"a":1}');
    const { error } = JSON.parse(events[1]!.replace('data: ', ''));
    assert.equal(error.code, 'engine_broke_off');
    assert.match(error.message, /broke off its answer/);
    assert.equal(site.engines[0]!.requests + site.engines[1]!.requests, 1, 'not tried again');
    assertIdle(site);
  });
});

test('a client that goes away stops the engine, before and within the answer', async () => {
  const hanging: EngineHandler = () => {};
  const begun = streaming(['data: {"a":1}\n\n'], () => {});
  for (const engine of [hanging, begun]) {
    await withEngines({ engines: [engine] }, async (site) => {
      const controller = new AbortController();
      const body = JSON.stringify(chat('Hello', { stream: true }));
      const { signal } = controller;
      const asked = fetch(site.url + PATH, { method: 'POST', body, signal }).then((response) =>
        response.text(),
      );
      await until(() => site.engines[0]!.requests === 1, 'the engine is asked');
      const abortedAtMs = performance.now();
      controller.abort();
      await assert.rejects(asked);
      await until(() => site.engines[0]!.aborted === 1, 'the engine is told');
      const elapsedMs = performance.now() - abortedAtMs;
      assert.ok(elapsedMs < 1_000, `${elapsedMs} ms`);
      await until(() => site.gateway.inFlight === 0, 'nothing is in flight');
      assertIdle(site);
    });
  }
});

test('a slow reader holds the engine back, and the answer stays whole', async () => {
  const total = 64 * 1024 * 1024;
  let written = 0;
  const engine: EngineHandler = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const block = Buffer.alloc(256 * 1024, 97);
    const more = () => {
      while (written < total) {
        written += block.length;
        if (!response.write(block)) {
          response.once('drain', more);
          return;
        }
      }
      response.end();
    };
    more();
  };
  await withEngines({ engines: [engine] }, async ({ url }) => {
    const body = JSON.stringify(chat('Hello', { stream: true }));
    const response = await new Promise<http.IncomingMessage>((resolve) => {
      http.request(url + PATH, { method: 'POST' }, resolve).end(body);
    });
    response.pause();
    let before = -1;
    while (written !== before) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.ok(written < total / 2, `${written} bytes were written to a reader that reads nothing`);
    let read = 0;
    for await (const chunk of response) read += (chunk as Buffer).length;
    assert.equal(read, total);
  });
});

test('hedging asks a second endpoint when the first is slow; the faster one counts', async () => {
  const slow: EngineHandler = () => {};
  const options = {
    hedging: { enabled: true, minSamples: 1, minDelayMs: 5, budget: 1, maxSaved: 100 },
    retries: RETRIES,
  };
  const setup = { engines: [answering('one'), answering('two')], routing: TURNS, options };
  await withEngines(setup, async (site) => {
    for (let i = 0; i < 4; i++) await post(site.url + PATH, chat(`warm ${i}`));
    site.engines[0]!.handler = slow;
    for (let i = 0; i < 4; i++) {
      const { body } = await post(site.url + PATH, chat(`hedged ${i}`));
      assert.equal(body.choices[0].message.content, 'two');
    }
    await until(() => site.engines[0]!.aborted > 0, 'the slower one is given up');
    assertIdle(site);
  });
});

test('over the queue: 429 and 503 come with retry-after, and the queue empties', async () => {
  const waiting: http.ServerResponse[] = [];
  const engine: EngineHandler = (_request, response) => void waiting.push(response);
  const options = { admission: { queue: { maxRunning: 1, maxWaiting: 1 } } };
  await withEngines({ engines: [engine], options }, async (site) => {
    const asked = [1, 2, 3].map((n) => post(site.url + PATH, chat(`q ${n}`)));
    const refused = await Promise.race(asked);
    assert.ok([429, 503].includes(refused.status), String(refused.status));
    assert.ok(Number(refused.headers.get('retry-after')) >= 1);
    for (let answered = 0; answered < 2; answered++) {
      await until(() => waiting.length > answered, 'the engine has the next one');
      waiting[answered]!.end(completion('ok'));
    }
    const statuses = (await Promise.all(asked)).map(({ status }) => status).sort();
    assert.deepEqual(statuses.slice(0, 2), [200, 200]);
    assertIdle(site);
  });
});

test('keys: none, wrong, not for the model, and good', async () => {
  const key = { id: 'k1', name: 'team', createdMs: 0, models: [MODEL], limits: {} };
  const authenticate = (authorization: string | undefined) => {
    if (authorization === 'Bearer good') return key;
    if (authorization === 'Bearer other') return { ...key, models: ['another'] };
    const details = { status: 401 };
    throw new FlotillaError('api_key_refused', 'the API key is not one of this fleet', { details });
  };
  const keys = {
    areRequired: true,
    authenticate,
    list: () => [],
    create: () => Promise.reject(new Error('not here')),
    revoke: () => Promise.reject(new Error('not here')),
  };
  await withEngines({ engines: [answering('one')], parts: { keys } }, async ({ url, engines }) => {
    const statuses: unknown[] = [];
    for (const text of [undefined, 'Bearer bad', 'Bearer other', 'Bearer good']) {
      const headers = text === undefined ? {} : { authorization: text };
      const init = { method: 'POST', body: JSON.stringify(chat('Hello')), headers };
      const { status, body } = await ask(url + PATH, init);
      statuses.push([status, body.error?.code]);
    }
    assert.deepEqual(statuses, [
      [401, 'api_key_refused'],
      [401, 'api_key_refused'],
      [403, 'model_refused'],
      [200, undefined],
    ]);
    assert.equal(engines[0]!.requests, 1);
    assert.equal((await ask(`${url}/v1/models`)).status, 401);
    let models: string[] = [];
    engines[0]!.handler = (request, response, text) => {
      models = [...text.matchAll(/"model":"(\w+)"/g)].map(([, model]) => model!);
      answering('one')(request, response, text);
    };
    const twice = `{"model":"secret","model":"${MODEL}","messages":[]}`;
    const headers = { authorization: 'Bearer good' };
    await ask(url + PATH, { method: 'POST', body: twice, headers });
    assert.deepEqual(models, [MODEL], 'the engine reads what was checked');
  });
});

test('what is malformed is refused with 400, and others go on', async () => {
  await withEngines({ engines: [answering('one')] }, async (site) => {
    for (const body of ['', '{', '[]', '"x"', '{"model":1}', '{"model":"m","stream":"yes"}']) {
      const { status } = await post(site.url + PATH, body);
      assert.equal(status, 400, body);
    }
    const unknown = await post(site.url + PATH, { model: 'no', messages: [] });
    assert.deepEqual([unknown.status, unknown.body.error.code], [404, 'model_unknown']);
    const wrong = await ask(site.url + PATH);
    assert.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'POST']);
    assert.equal((await post(site.url + PATH, chat('fine'))).status, 200);
    assertIdle(site);
  });
});

test('the official client chats, streams, reads errors and cancels', async () => {
  const engine: EngineHandler = (request, response, text) => {
    if (JSON.parse(text).stream === true) {
      const event = { id: 'c', object: 'chat.completion.chunk', model: MODEL };
      const parts = ['Hel', 'lo'].map((content) => {
        const choices = [{ index: 0, delta: { content }, finish_reason: null }];
        return `data: ${JSON.stringify({ ...event, choices })}\n\n`;
      });
      streaming(parts, (begun) => begun.end('data: [DONE]\n\n'))(request, response, text);
    } else answering('whole')(request, response, text);
  };
  await withEngines({ engines: [engine] }, async ({ url }) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 });
    const messages = [{ role: 'user', content: 'Hi' }] as const;
    const whole = await client.chat.completions.create({ model: MODEL, messages: [...messages] });
    assert.equal(whole.choices[0]?.message.content, 'whole');
    const stream = await client.chat.completions.create({
      ...{ model: MODEL, messages: [...messages], stream: true },
    });
    let streamed = '';
    for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? '';
    assert.equal(streamed, 'Hello');
    const wrong = client.chat.completions.create({ model: 'no', messages: [...messages] });
    await assert.rejects(wrong, OpenAI.NotFoundError);
    const models = await client.models.list();
    assert.ok(models.data.some(({ id }) => id === MODEL));
  });
});

test('metrics and explain tell what was routed where', async () => {
  await withEngines({ engines: [answering('one'), answering('two')] }, async ({ url }) => {
    for (let i = 0; i < 3; i++) await post(url + PATH, chat('the same question'));
    const text = await (await fetch(`${url}/metrics`)).text();
    assert.match(text, /flotilla_inference_requests_total\{[^}]*status="200"[^}]*\} 3/);
    assert.match(text, /flotilla_tokens_total\{model="m",kind="prompt"\} 9/);
    assert.match(text, /flotilla_inference_in_flight 0/);
    const { body } = await ask(`${url}/explain?model=m&prompt=the+same+question`);
    assert.equal(body.candidates.length, 2);
    assert.equal(body.model, 'm');
    assert.equal((await ask(`${url}/engines`)).body.policy, 'prefix-affinity');
  });
});

test('stop lets streams finish, refuses new requests, and cuts what takes too long', async () => {
  const responses: http.ServerResponse[] = [];
  const engine = streaming(['data: 1\n\n'], (response) => responses.push(response));
  const options = { stopTimeoutMs: 300 };
  await withEngines({ engines: [engine], options }, async ({ url, gateway }) => {
    const open = async () => {
      const body = JSON.stringify(chat('Hello', { stream: true }));
      const response = await fetch(url + PATH, { method: 'POST', body });
      return response.text();
    };
    const finished = open();
    await until(() => responses.length === 1, 'the first stream is open');
    const cut = open();
    await until(() => responses.length === 2, 'the second stream is open');
    const stopped = gateway.stop();
    responses[0]!.end('data: 2\n\n');
    assert.equal(await finished, 'data: 1\n\ndata: 2\n\n');
    await assert.rejects(post(url + PATH, chat('late')));
    await assert.rejects(cut);
    await stopped;
    assert.equal(gateway.inFlight, 0);
  });
});
