// A real engine: llama.cpp as a process of the node, with a tiny model of random weights, behind a
// gateway. What it says is nonsense; that it caches, streams, stops and comes back is not.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { createPrng, silentLogger, systemClock } from '../../src/core/index.ts';
import { ProcessEngine } from '../../src/engines/index.ts';
import { EngineDirectory, LocalEngines } from '../../src/gateway/index.ts';
import { HttpClient } from '../../src/http/index.ts';
import { Router } from '../../src/routing/index.ts';
import { withGateway } from './fakes.ts';
import { tinyModel } from './llama/tiny-model.ts';
import type { Site } from './fakes.ts';

const SERVER = fileURLToPath(new URL('./llama/server.ts', import.meta.url));
const READY_MS = 60_000;
const MODEL = 'tiny';

function skip(): string | false {
  try {
    if (findPackageJSON('node-llama-cpp', import.meta.url) !== undefined) return false;
  } catch {
    // Nobody installed it.
  }
  return 'node-llama-cpp is not installed; enable it: npm install --no-save node-llama-cpp';
}

interface LlamaSite extends Site {
  readonly engine: ProcessEngine;
  readonly client: OpenAI;
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endMs = performance.now() + READY_MS;
  while (!(await holds())) {
    assert.ok(performance.now() < endMs, `waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function withLlama(use: (site: LlamaSite) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  const file = path.join(folder, 'tiny.gguf');
  writeFileSync(file, tinyModel(createPrng(1)));
  const components = { clock: systemClock, log: silentLogger, prng: createPrng(1) };
  const router = new Router(components);
  const client = new HttpClient(components);
  const engine = new ProcessEngine(
    { ...components, onChange: () => directory.localChanged() },
    {
      ...{ name: 'llama', command: process.execPath, args: [SERVER, '{port}', file] },
      environment: { PATH: process.env['PATH'], NODE_OPTIONS: process.env['NODE_OPTIONS'] },
      ...{ checkIntervalMs: 50, retryIntervalMs: 50, backoffMs: 10, maxBackoffMs: 50 },
    },
  );
  const local = new LocalEngines([{ engine, isReachable: false }]);
  const host = {
    name: 'node',
    call: () => Promise.reject(new Error('there is no other node')),
    peer: () => undefined,
  };
  const cluster = { members: () => [], watch: () => () => {} };
  const directory = new EngineDirectory({
    ...{ ...components, host, cluster, router, client, local },
    loadOf: () => undefined,
  });
  const engines = { router, routes: directory, list: () => directory.list() };
  try {
    directory.start();
    local.start();
    await until(() => router.serves(MODEL), 'the engine is up');
    await withGateway({ engines }, async (site) => {
      const openai = new OpenAI({ baseURL: `${site.url}/v1`, apiKey: 'unused', maxRetries: 0 });
      await use({ ...site, engine, client: openai });
    });
  } finally {
    directory.stop();
    engine.kill();
    await engine.stop();
    client.close();
    rmSync(folder, { recursive: true });
  }
}

const user = (content: string) => ({ role: 'user' as const, content });
const PROMPT = 'Tell me of ships and of the sea. '.repeat(8);

test('llama.cpp: a conversation finds its cache, and says so to the client', { skip: skip() }, () =>
  withLlama(async ({ client, url }) => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [user(PROMPT)];
    const first = await client.chat.completions.create({ model: MODEL, messages, max_tokens: 8 });
    assert.equal(first.usage?.completion_tokens, 8);
    assert.equal(first.usage?.prompt_tokens_details?.cached_tokens, 0);
    messages.push(user('And of the wind?'));
    const second = await client.chat.completions.create({ model: MODEL, messages });
    const { prompt_tokens: read = 0, prompt_tokens_details: details } = second.usage ?? {};
    const cached = details?.cached_tokens ?? 0;
    assert.ok(cached >= PROMPT.length && cached < read, `${cached} of ${read} tokens`);
    let streamed = '';
    const stream = await client.chat.completions.create({ model: MODEL, messages, stream: true });
    for await (const { choices } of stream) streamed += choices[0]?.delta.content ?? '';
    assert.equal(streamed, second.choices[0]?.message.content, 'the same prompt, the same answer');
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const [, total] =
      /flotilla_tokens_total\{model="tiny",kind="cached"\} (\d+)/.exec(metrics) ?? [];
    assert.ok(Number(total) >= 2 * cached, `${total} cached tokens are counted`);
  }),
);

test('llama.cpp: who leaves frees the slot; a process that dies is back', { skip: skip() }, () =>
  withLlama(async ({ client, engine, gateway }) => {
    const asking = { model: MODEL, messages: [user(PROMPT)] };
    const endless = await client.chat.completions.create({
      ...{ ...asking, stream: true, max_tokens: 1_000_000 },
    });
    let events = 0;
    for await (const _ of endless) if (++events === 3) break;
    await client.chat.completions.create(asking);
    await until(async () => (await engine.load()).running === 0, 'nothing runs');
    const { pid } = engine;
    process.kill(pid!, 'SIGKILL');
    await until(() => engine.state === 'up' && engine.pid !== pid, 'it runs again');
    const again = await client.chat.completions.create(asking);
    assert.equal(again.usage?.prompt_tokens_details?.cached_tokens, 0, 'its cache went with it');
    assert.equal(gateway.inFlight, 0);
  }),
);
