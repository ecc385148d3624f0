// The client libraries that people use, unchanged, against a gateway: OpenAI's own and the AI SDK.
// What they make of an answer is what counts, so the engine answers as real ones do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embedMany, generateText, isStepCount, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { z } from 'zod';
import { chatEngine } from './chat-engine.ts';
import { MODEL, withEngines } from './engine-site.ts';
import type { EngineSite } from './engine-site.ts';

const EMBEDDER = 'wordnet';
const SETUP = { options: { retries: { tries: 1 } } };

interface Clients extends EngineSite {
  readonly openai: OpenAI;
  readonly sdk: ReturnType<typeof createOpenAICompatible>;
}

async function withClients(use: (site: Clients) => Promise<void>): Promise<void> {
  await withEngines({ ...SETUP, engines: [chatEngine, chatEngine] }, async (site) => {
    const baseURL = `${site.url}/v1`;
    const openai = new OpenAI({ baseURL, apiKey: 'unused', maxRetries: 0 });
    const sdk = createOpenAICompatible({ name: 'flotilla', baseURL, includeUsage: true });
    await use({ ...site, openai, sdk });
    await until(() => site.gateway.inFlight === 0);
  });
}

async function until(holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 5_000;
  while (!holds()) {
    assert.ok(performance.now() < endMs, `not within 5 s: ${holds}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const said = (content: string) => [{ role: 'user' as const, content }];
const weatherParameters = z.object({ city: z.string() });

test('openai: chat, stream, usage', async () => {
  await withClients(async ({ openai }) => {
    const whole = await openai.chat.completions.create({ model: MODEL, messages: said('Hi') });
    assert.equal(whole.choices[0]?.message.content, 'You said: Hi');
    assert.equal(whole.usage?.prompt_tokens_details?.cached_tokens, 1);
    const stream = await openai.chat.completions.create({
      ...{ model: MODEL, messages: said('Hi'), stream: true },
      stream_options: { include_usage: true },
    });
    let text = '';
    let tokens = 0;
    for await (const { choices, usage } of stream) {
      text += choices[0]?.delta.content ?? '';
      tokens += usage?.total_tokens ?? 0;
    }
    assert.deepEqual([text, tokens], ['You said: Hi', 5]);
  });
});

test('openai: tools are called and their results are read', async () => {
  await withClients(async ({ openai }) => {
    const asked: string[] = [];
    const runner = openai.chat.completions.runTools({
      model: MODEL,
      messages: said('weather in Oslo?'),
      tools: [
        {
          type: 'function',
          function: {
            name: 'weather',
            description: 'The weather of a city',
            parameters: z.toJSONSchema(weatherParameters) as Record<string, unknown>,
            parse: (text: string) => weatherParameters.parse(JSON.parse(text)),
            function: ({ city }: { city: string }) => {
              asked.push(city);
              return 'rain';
            },
          },
        },
      ],
    });
    assert.equal(await runner.finalContent(), 'It is rain');
    assert.deepEqual(asked, ['Oslo']);
  });
});

test('openai: responses pass through, whole and streamed', async () => {
  await withClients(async ({ openai }) => {
    const whole = await openai.responses.create({ model: MODEL, input: 'Hi' });
    assert.equal(whole.output_text, 'You said: Hi');
    const stream = await openai.responses.create({ model: MODEL, input: 'Hi', stream: true });
    const types: string[] = [];
    let text = '';
    for await (const event of stream) {
      types.push(event.type);
      if (event.type === 'response.output_text.delta') text += event.delta;
    }
    assert.equal(text, 'You said: Hi');
    assert.deepEqual([types[0], types.at(-1)], ['response.created', 'response.completed']);
  });
});

test('openai: embeddings of the fleet, completions, models', async () => {
  await withClients(async ({ openai }) => {
    const input = ['dog.n.01', 'wolf.n.01'];
    const { data } = await openai.embeddings.create({ model: EMBEDDER, input });
    assert.deepEqual(data[0]?.embedding, [0.5, -1.25, Math.fround(3e-7)]);
    const served = await openai.embeddings.create({ model: MODEL, input: 'Hi' });
    assert.deepEqual(served.data[0]?.embedding, [0.5, 2]);
    const completion = await openai.completions.create({ model: MODEL, prompt: 'Hi' });
    assert.equal(completion.choices[0]?.text, 'You said: Hi');
    const names = [];
    for await (const { id } of openai.models.list()) names.push(id);
    assert.deepEqual(names, [EMBEDDER, MODEL]);
    assert.equal((await openai.models.retrieve(MODEL)).id, MODEL);
  });
});

test('openai: errors are of their classes, with code, field and request id', async () => {
  await withClients(async ({ openai, engines }) => {
    const ask = (model: string) => openai.chat.completions.create({ model, messages: said('Hi') });
    await assert.rejects(ask('no'), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.deepEqual([error.code, error.param], ['model_unknown', 'model']);
      assert.match(error.requestID ?? '', /^node-0-/);
      return true;
    });
    const bad = openai.chat.completions.create({ model: MODEL, messages: said('status 429') });
    await assert.rejects(bad, OpenAI.RateLimitError);
    const refused = openai.embeddings.create({ model: EMBEDDER, input: ['nonsense'] });
    await assert.rejects(refused, OpenAI.NotFoundError);
    for (const engine of engines) await engine.kill();
    await assert.rejects(ask(MODEL), (error) => {
      assert.ok(error instanceof OpenAI.InternalServerError);
      assert.deepEqual([error.status, error.code], [503, 'engine_unavailable']);
      return true;
    });
  });
});

test('openai: a broken stream throws, a cancelled one stops the engine', async () => {
  await withClients(async ({ openai, engines }) => {
    const open = (content: string) =>
      openai.chat.completions.create({ model: MODEL, messages: said(content), stream: true });
    const broken = await open('break off');
    await assert.rejects(async () => {
      for await (const _ of broken);
    }, /broke off/);
    const endless = await open('endless');
    for await (const _ of endless) break;
    await until(() => engines.reduce((sum, { aborted }) => sum + aborted, 0) === 2);
    const controller = new AbortController();
    const hanging = openai.chat.completions.create(
      { model: MODEL, messages: said('hang') },
      { signal: controller.signal },
    );
    const gaveUp = assert.rejects(hanging, OpenAI.APIUserAbortError);
    await until(() => engines.reduce((sum, { requests }) => sum + requests, 0) === 3);
    controller.abort();
    await gaveUp;
    await until(() => engines.reduce((sum, { aborted }) => sum + aborted, 0) === 3);
  });
});

test('AI SDK: chat, stream, usage with cached tokens', async () => {
  await withClients(async ({ sdk }) => {
    const model = sdk.chatModel(MODEL);
    const whole = await generateText({ model, prompt: 'Hi', maxRetries: 0 });
    assert.equal(whole.text, 'You said: Hi');
    assert.equal(whole.usage.inputTokenDetails.cacheReadTokens, 1);
    const streamed = streamText({ model, prompt: 'Hi', maxRetries: 0 });
    let text = '';
    for await (const part of streamed.textStream) text += part;
    assert.equal(text, 'You said: Hi');
    assert.equal((await streamed.usage).totalTokens, 5);
  });
});

test('AI SDK: tools over several steps, called and streamed', async () => {
  await withClients(async ({ sdk }) => {
    const asked: string[] = [];
    const weather = tool({
      description: 'The weather of a city',
      inputSchema: weatherParameters,
      execute: async ({ city }) => {
        asked.push(city);
        return 'rain';
      },
    });
    const common = {
      model: sdk.chatModel(MODEL),
      prompt: 'weather in Oslo?',
      tools: { weather },
      stopWhen: isStepCount(3),
    };
    assert.equal((await generateText(common)).text, 'It is rain');
    assert.equal(await streamText(common).text, 'It is rain');
    assert.deepEqual(asked, ['Oslo', 'Oslo']);
  });
});

test('AI SDK: embeddings, errors, cancellation', async () => {
  await withClients(async ({ sdk, engines }) => {
    const model = sdk.embeddingModel(EMBEDDER);
    const { embeddings } = await embedMany({ model, values: ['dog.n.01', 'wolf.n.01'] });
    assert.deepEqual(embeddings[1], [1, 0, -2]);
    const unknown = generateText({ model: sdk.chatModel('no'), prompt: 'Hi', maxRetries: 0 });
    await assert.rejects(unknown, (error) => {
      assert.ok(APICallError.isInstance(error));
      assert.deepEqual([error.statusCode, error.isRetryable], [404, false]);
      assert.match(error.message, /there is no model "no"/);
      return true;
    });
    const controller = new AbortController();
    const abortSignal = controller.signal;
    const endless = streamText({ model: sdk.chatModel(MODEL), prompt: 'endless', abortSignal });
    let parts = 0;
    for await (const _ of endless.textStream) if (++parts === 2) controller.abort();
    await until(() => engines.reduce((sum, { aborted }) => sum + aborted, 0) === 1);
  });
});
