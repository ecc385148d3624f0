// Inference servers behind a running fleet, as processes: two simulated engines, each behind a node
// (one that gateways reach straight, one over its node's link), and a third node that is a gateway
// only. What clients get through each, and what they see of it when an engine or a node is killed.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import OpenAI from 'openai';
import { flotilla } from '../cli/run-cli.ts';
import { eventually, Running, startNode, temporaryFolder } from './processes.ts';
import type { NodeProcess } from './processes.ts';

interface EngineRow {
  readonly endpoint: string;
  readonly isUp: boolean;
  readonly via: string;
  readonly routing: { readonly ownInFlight: number; readonly excluded?: string } | null;
}

interface SimulatedProcess {
  readonly running: Running;
  readonly url: string;
}

const folder = temporaryFolder();
const nodes: NodeProcess[] = [];
const started: Running[] = [];
const engines: Record<'straight' | 'linked', SimulatedProcess | undefined> = {
  straight: undefined,
  linked: undefined,
};

async function startEngine(models: string, listen = '127.0.0.1:0'): Promise<SimulatedProcess> {
  const speed = ['--speed', '10', '--decode', '100'];
  const args = ['engine', 'simulate', '--listen', listen, '--models', models, ...speed];
  const running = new Running(args);
  started.push(running);
  const [, url = ''] = await running.waitFor(/answers at (http:\S+);/);
  return { running, url };
}

/** A configuration file with engines, and the node that has it. */
async function startWith(name: string, config: object, args: string[], token?: string) {
  const file = path.join(folder.path, `${name}.config.mjs`);
  writeFileSync(file, `export default ${JSON.stringify(config)};\n`);
  const all = [...args, '--data-dir', path.join(folder.path, name), '--config', file];
  const node = await startNode(name, all, token === undefined ? {} : { FLOTILLA_TOKEN: token });
  nodes.push(node);
  return node;
}

const CHECKS = { checkIntervalMs: 200, retryIntervalMs: 100, failures: 2 };

before(async () => {
  engines.straight = await startEngine('shared,here');
  engines.linked = await startEngine('shared,there');
  const straight = {
    ...{ type: 'openai', name: 'straight', baseUrl: engines.straight.url, reachable: true },
    ...{ aliases: { small: 'here' }, ...CHECKS },
  };
  const linked = {
    ...{ type: 'openai', name: 'linked', baseUrl: `${engines.linked.url}/v1` },
    ...{ aliases: { large: 'there' }, ...CHECKS },
  };
  const http = { routing: { slowStart: { windowMs: 0 } } };
  const founder = await startWith('node-0', { engines: [straight], http }, ['--found']);
  const data = path.join(folder.path, 'node-0');
  const token = (await flotilla(['token', '--uses', '2', '--data-dir', data])).stdout.trim();
  const join = ['--join', founder.address];
  await startWith('node-1', { engines: [linked], http }, join, token);
  await startWith('node-2', { http }, join, token);
  for (const node of nodes) {
    await eventually(
      () => enginesOf(node),
      (rows) => rows.filter(({ isUp }) => isUp).length === 2,
    );
  }
});

after(async () => {
  const all = [...nodes.map(({ running }) => running), ...started];
  await Promise.all(all.map((running) => running.end('SIGKILL')));
  folder.dispose();
});

async function enginesOf({ url }: NodeProcess): Promise<EngineRow[]> {
  const body = (await (await fetch(`${url}/engines`)).json()) as { engines: EngineRow[] };
  return body.engines.toSorted((a, b) => (a.endpoint < b.endpoint ? -1 : 1));
}

function clientOf({ url }: NodeProcess): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
}

function question(model: string, maxTokens: number, content = 'How far is the moon?') {
  return { model, max_tokens: maxTokens, messages: [{ role: 'user' as const, content }] };
}

/** The endpoint that answered. */
function routeOf(headers: Headers): string {
  return headers.get('x-flotilla-route')?.split(';')[0] ?? '';
}

/** Requests that the engine works on. */
async function runningAt({ url }: SimulatedProcess): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const [, running = ''] = /^vllm:num_requests_running\{.*\} (\d+)$/m.exec(text) ?? [];
  return Number(running);
}

test('every node lists the engines, how it reaches them, and all their models', async () => {
  const ways = [
    ['direct', 'node'],
    ['direct', 'direct'],
    ['direct', 'node'],
  ];
  for (const [at, node] of nodes.entries()) {
    const rows = await enginesOf(node);
    assert.deepEqual(
      rows.map(({ endpoint }) => endpoint),
      ['node-0/straight', 'node-1/linked'],
    );
    assert.deepEqual(
      rows.map(({ via }) => via),
      ways[at],
    );
    const models = await clientOf(node).models.list();
    const names = models.data.map(({ id }) => id);
    assert.deepEqual(names, ['here', 'large', 'shared', 'small', 'there']);
  }
  const { stdout } = await flotilla(['engines', '--url', nodes[2]!.url]);
  const [heading = '', first = '', second = ''] = stdout.split('\n');
  assert.match(heading, /^engine +state +models +via +in flight +waiting tokens$/);
  assert.match(first, /^node-0\/straight +up +here,shared,small +http:\S+ +\d+ +\d+$/);
  assert.match(second, /^node-1\/linked +up +large,shared,there +node-1 +\d+ +\d+$/);
});

test('both engines answer through every gateway, whole and streamed, under any name', async () => {
  const cases = [
    ['here', 'node-0/straight'],
    ['small', 'node-0/straight'],
    ['there', 'node-1/linked'],
    ['large', 'node-1/linked'],
  ] as const;
  for (const node of nodes) {
    const { chat } = clientOf(node);
    for (const [model, endpoint] of cases) {
      const asked = chat.completions.create(question(model, 6));
      const { data, response } = await asked.withResponse();
      assert.equal(routeOf(response.headers), endpoint);
      assert.match(response.headers.get('x-request-id') ?? '', /\S/);
      const text = data.choices[0]?.message.content ?? '';
      assert.equal(data.usage?.completion_tokens, 6);
      const stream = await chat.completions.create({ ...question(model, 6), stream: true });
      let streamed = '';
      for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? '';
      assert.equal(streamed, text);
    }
    await assert.rejects(chat.completions.create(question('nobody', 1)), {
      status: 404,
      code: 'model_unknown',
    });
  }
});

test('where a request would go is told with candidates and reason', async () => {
  const args = ['explain', '--model', 'shared', '--session', 'chat-7', '--url', nodes[2]!.url];
  const { stdout, code, stderr } = await flotilla(args);
  assert.equal(code, 0, stderr);
  const [target = '', reason = '', , heading = '', ...rows] = stdout.trimEnd().split('\n');
  const [, endpoint = ''] = /^shared → (\S+)$/.exec(target) ?? [];
  assert.match(reason, /^home, policy prefix-affinity, named by its session$/);
  assert.match(heading, /^engine +score +cached +home +in flight +waiting tokens +state$/);
  assert.equal(rows.length, 2);
  const headers = { 'x-session-id': 'chat-7' };
  for (const node of nodes) {
    const asked = clientOf(node).chat.completions.create(question('shared', 1), { headers });
    // Gateways that share nothing agree on the home of a conversation.
    assert.equal(routeOf((await asked.withResponse()).response.headers), endpoint);
  }
  const unknown = await flotilla(['explain', '--model', 'x', '--url', nodes[2]!.url]);
  assert.equal(unknown.stdout, 'x → no engine serves it\n');
});

test('the engine of a drained node gets nothing from any gateway, its own included', async () => {
  const [, second, third] = nodes as [NodeProcess, NodeProcess, NodeProcess];
  const excluded = (by: string | undefined) => async (node: NodeProcess) => {
    await eventually(
      () => enginesOf(node),
      (rows) => rows[1]?.routing?.excluded === by,
    );
  };
  assert.equal((await flotilla(['drain', 'node-1', '--url', third.url])).code, 0);
  await Promise.all(nodes.map(excluded('draining')));
  for (let at = 0; at < 12; at++) {
    const asked = clientOf(nodes[at % 3]!).chat.completions.create(
      question('shared', 1, `drained ${at}`),
    );
    assert.equal(routeOf((await asked.withResponse()).response.headers), 'node-0/straight');
  }
  await assert.rejects(clientOf(second).chat.completions.create(question('there', 1)), {
    status: 503,
    code: 'engine_unavailable',
  });
  assert.equal((await flotilla(['drain', 'node-1', '--cancel', '--url', third.url])).code, 0);
  await Promise.all(nodes.map(excluded(undefined)));
  assert.equal(
    (await clientOf(third).chat.completions.create(question('there', 1))).model,
    'there',
  );
});

for (const [model, which] of [
  ['here', 'straight'],
  ['there', 'linked'],
] as const) {
  test(`a client that gives up stops the engine: ${which}`, async (t) => {
    const engine = engines[which]!;
    // It would go on for minutes.
    const asked = { ...question(model, 100_000), stream: true as const };
    const stream = await clientOf(nodes[2]!).chat.completions.create(asked);
    for await (const _ of stream) break;
    const gaveUpMs = performance.now();
    stream.controller.abort();
    let afterMs = 0;
    await eventually(
      async () => {
        const running = await runningAt(engine);
        afterMs = performance.now() - gaveUpMs;
        return running;
      },
      (running) => running === 0,
    );
    t.diagnostic(`idle ${Math.round(afterMs)} ms after the client was gone`);
    await eventually(
      () => enginesOf(nodes[2]!),
      (rows) => rows.every(({ routing }) => routing?.ownInFlight === 0),
    );
  });
}

test('requests of a killed engine go to the other; it is back when it answers again', async () => {
  const { running, url } = engines.straight!;
  await running.end('SIGKILL');
  for (let at = 0; at < 40; at++) {
    const node = nodes[at % 3]!;
    const asked = clientOf(node).chat.completions.create(question('shared', 2, `question ${at}`));
    assert.equal(routeOf((await asked.withResponse()).response.headers), 'node-1/linked');
  }
  for (const node of nodes) {
    await eventually(
      () => enginesOf(node),
      (rows) => rows[0]?.isUp === false,
    );
  }
  const shown = await flotilla(['engines', '--url', nodes[1]!.url]);
  assert.match(shown.stdout, /^node-0\/straight +down .*$/m);
  assert.match(shown.stdout, /^node-0\/straight: http:\S+ does not answer/m);
  await assert.rejects(clientOf(nodes[2]!).chat.completions.create(question('here', 1)), {
    code: /model_unknown|engine_unavailable/,
  });
  engines.straight = await startEngine('shared,here', new URL(url).host);
  for (const node of nodes) {
    await eventually(
      () => enginesOf(node),
      (rows) => rows[0]?.isUp === true,
    );
    const asked = clientOf(node).chat.completions.create(question('here', 1));
    assert.equal(routeOf((await asked.withResponse()).response.headers), 'node-0/straight');
  }
});

/** Reads a stream to its end; what its last event says. */
async function lastEventOf(response: Response): Promise<string> {
  const text = await response.text();
  return text.trimEnd().split('\n').at(-1) ?? '';
}

test('a node killed under load fails no whole answer, and no stream ends silently', async (t) => {
  const [, second, third] = nodes as [NodeProcess, NodeProcess, NodeProcess];
  const ask = (body: object) =>
    fetch(`${third.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body) });
  // Some on each engine: those of the killed node have begun when it falls.
  const streams = await Promise.all(
    Array.from({ length: 12 }, (_, at) => {
      const model = at % 2 === 0 ? 'here' : 'there';
      return ask({ ...question(model, 4_000, `stream ${at}`), stream: true });
    }),
  );
  const endings = streams.map(async (response, at) => ({ at, last: await lastEventOf(response) }));
  const answers: Promise<{ status: number; route: string }>[] = [];
  const one = async (at: number) => {
    const response = await ask(question('shared', 2, `question ${at}`));
    await response.text();
    return { status: response.status, route: routeOf(response.headers) };
  };
  const startedMs = performance.now();
  let isKilled = false;
  // 200 a second.
  for (let sent = 0; sent < 600; sent++) {
    answers.push(one(sent));
    await delay(Math.max(0, startedMs + (sent + 1) * 5 - performance.now()));
    if (sent < 200 || isKilled) continue;
    isKilled = true;
    void second.running.end('SIGKILL');
  }
  const all = await Promise.all(answers);
  t.diagnostic(`${all.length} requests in ${Math.round(performance.now() - startedMs)} ms`);
  assert.deepEqual(
    all.filter(({ status }) => status !== 200),
    [],
  );
  assert.ok(all.some(({ route }) => route === 'node-1/linked'));
  for (const { at, last } of await Promise.all(endings)) {
    if (at % 2 === 0) {
      assert.equal(last, 'data: [DONE]');
      continue;
    }
    const { error } = JSON.parse(last.replace(/^data: /, ''));
    assert.equal(error.code, 'engine_broke_off');
    assert.match(error.message, /node-1\/linked/);
  }
  await eventually(
    () => enginesOf(third),
    (rows) => rows.length === 1 && rows[0]?.routing?.ownInFlight === 0,
  );
});
