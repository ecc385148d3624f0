// The simulated engine as clients and the fleet meet it: over a real socket, with OpenAI's own
// client.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import OpenAI from 'openai';
import { systemClock } from '../../src/core/index.ts';
import { startSimulatedEngine } from '../../src/engines/index.ts';
import { EngineGauges } from '../../src/load/index.ts';
import type { SimulatedEngine, SimulatedEngineOptions } from '../../src/engines/index.ts';

/** Fast: nobody waits for it. */
const FAST = { port: 0, speed: 50 };

async function withEngine(
  options: SimulatedEngineOptions,
  body: (engine: SimulatedEngine, client: OpenAI) => Promise<void>,
): Promise<void> {
  await using engine = await startSimulatedEngine({ clock: systemClock }, { ...FAST, ...options });
  const baseURL = `${engine.url}/v1`;
  await body(engine, new OpenAI({ baseURL, apiKey: 'unused', maxRetries: 0 }));
}

const LONG = 'Once upon a time there was a fleet of many machines. '.repeat(40);

test('the second turn of a chat reports what the cache saved, whole and streamed', async () => {
  await withEngine({}, async (_engine, client) => {
    const question = { role: 'user', content: LONG } as const;
    const first = await client.chat.completions.create({
      model: 'simulated',
      messages: [question],
      max_tokens: 40,
    });
    assert.equal(first.usage?.prompt_tokens_details?.cached_tokens, 0);
    assert.equal(first.usage?.completion_tokens, 40);
    assert.equal(first.choices[0]?.finish_reason, 'length');
    const answer = first.choices[0]?.message.content ?? '';
    assert.equal(answer.length, 160);

    const stream = await client.chat.completions.create({
      model: 'simulated',
      messages: [question, { role: 'assistant', content: answer }, { role: 'user', content: '?' }],
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    const reasons: unknown[] = [];
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      if (chunk.choices[0]?.finish_reason) reasons.push(chunk.choices[0].finish_reason);
      usage = chunk.usage ?? usage;
    }
    assert.equal(text.length, 64 * 4);
    assert.deepEqual(reasons, ['stop']);
    const before = first.usage?.total_tokens ?? 0;
    const cached = usage?.prompt_tokens_details?.cached_tokens ?? 0;
    assert.ok(cached > before - 32 && cached <= before, `${cached} of ${before} tokens cached`);
  });
});

test('completions answer too, the same for the same prompt', async () => {
  await withEngine({}, async (_engine, client) => {
    const ask = () =>
      client.completions.create({ model: 'simulated', prompt: LONG, max_tokens: 8 });
    const [first, second] = [await ask(), await ask()];
    assert.equal(first.choices[0]?.text, second.choices[0]?.text);
    assert.equal(second.usage?.prompt_tokens, LONG.length / 4);
  });
});

test('what it says at /metrics is what the fleet reads from an engine', async () => {
  await withEngine({ models: ['a "quoted" name'] }, async ({ url }, client) => {
    const read = async () => (await fetch(`${url}/metrics`)).text();
    const gauges = new EngineGauges();
    gauges.read(await read());
    const body = { model: 'a "quoted" name', prompt: LONG, max_tokens: 1 };
    for (let time = 0; time < 2; time++) await client.completions.create(body);
    const { running, waiting, kvCacheUsage, cacheHitRate } = gauges.read(await read());
    assert.deepEqual(
      { running, waiting, kvCacheUsage },
      { running: 0, waiting: 0, kvCacheUsage: 0 },
    );
    assert.ok(cacheHitRate !== undefined && cacheHitRate > 0.45 && cacheHitRate < 0.5);
  });
});

test('a client that goes away frees its place in the batch for the next one', async () => {
  // At this rate the answer would take weeks.
  await withEngine({ maxRunning: 1, speed: 1e-3 }, async (engine, client) => {
    const abort = new AbortController();
    const endless = client.completions.create(
      { model: 'simulated', prompt: 'endless', max_tokens: 100_000 },
      { signal: abort.signal },
    );
    await until(() => engine.gauges().running === 1);
    abort.abort();
    await assert.rejects(endless);
    await until(() => engine.gauges().running === 0);
    assert.equal(engine.gauges().cacheUsage, 0);
  });
});

test('over the queue it answers 503, and wrong requests with what is wrong', async () => {
  await withEngine({ maxRunning: 1, maxWaiting: 1, speed: 1e-3 }, async (engine, client) => {
    const slow = { model: 'simulated', prompt: 'slow', max_tokens: 1000 };
    const pending = [client.completions.create(slow).catch((error: unknown) => error)];
    await until(() => engine.gauges().running === 1);
    pending.push(client.completions.create(slow).catch((error: unknown) => error));
    await until(() => engine.gauges().waiting === 1);
    await assert.rejects(client.completions.create(slow), {
      status: 503,
      type: 'ServiceUnavailableError',
    });
    await engine.stop();
    for (const error of await Promise.all(pending)) assert.ok(error instanceof OpenAI.APIError);
  });
  await withEngine({ cacheBlocks: 10 }, async ({ url }, client) => {
    const ask = (body: object) =>
      client.completions.create({ model: 'simulated', ...body } as never);
    await assert.rejects(ask({ prompt: 'a', model: 'other' }), { status: 404, param: 'model' });
    await assert.rejects(ask({}), { status: 400, param: 'prompt' });
    await assert.rejects(ask({ prompt: LONG }), { status: 400, param: 'max_tokens' });
    const post = (body: string) => fetch(`${url}/v1/chat/completions`, { method: 'POST', body });
    assert.equal((await post('{"messages": ')).status, 400);
    assert.equal((await fetch(`${url}/v1/none`)).status, 404);
  });
});

test('health, models and the tokenizer answer', async () => {
  await withEngine({ models: ['one', 'two'] }, async ({ url }, client) => {
    assert.equal((await fetch(`${url}/health`)).status, 200);
    assert.deepEqual(
      (await client.models.list()).data.map(({ id }) => id),
      ['one', 'two'],
    );
    const body = JSON.stringify({ prompt: 'abcdabcdxy' });
    const answer = await (await fetch(`${url}/tokenize`, { method: 'POST', body })).json();
    const { count, tokens, max_model_len: most } = answer as Record<string, number & number[]>;
    assert.deepEqual([count, most], [3, 131_072]);
    assert.equal(tokens?.[0], tokens?.[1]);
    assert.notEqual(tokens?.[0], tokens?.[2]);
  });
});

test('a port that is taken is named', async () => {
  const other = http.createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  await assert.rejects(startSimulatedEngine({ clock: systemClock }, { port }), {
    code: 'engine_listen_failed',
  });
  other.close();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
