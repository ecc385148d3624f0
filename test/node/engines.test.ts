// Engines of a node's configuration: what may be written, and what runs, answers and ends with the
// node.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../src/core/index.ts';
import { ClusterAuthority, createKeyAndCsr } from '../../src/identity/index.ts';
import { Fleet, parseConfig } from '../../src/node/index.ts';
import { combined, together } from '../../src/node/engine-loads.ts';
import { flotilla } from '../cli/run-cli.ts';
import { eventually, temporaryFolder } from '../fleet/processes.ts';
import type { NodeConfigInput } from '../../src/node/index.ts';

const MAIN = path.join(import.meta.dirname, '../../src/cli/main.ts');
const folder = temporaryFolder();
after(() => folder.dispose());

const ANYWHERE = { host: '127.0.0.1', port: 0 };

function optionsOf(name: string, rest: Partial<NodeConfigInput> = {}): NodeConfigInput {
  const dataDir = path.join(folder.path, name);
  return { name, dataDir, listen: ANYWHERE, http: ANYWHERE, log: 'silent', ...rest };
}

interface EnginesBody {
  readonly engines: readonly { readonly name: string; readonly isUp: boolean }[];
}

async function allUp(url: string, count: number): Promise<void> {
  await eventually(
    async () => (await (await fetch(`${url}/engines`)).json()) as EnginesBody,
    ({ engines }) => engines.length === count && engines.every(({ isUp }) => isUp),
  );
}

function ask(url: string, body: object): Promise<Response> {
  const messages = [{ role: 'user', content: 'Is it far?' }];
  const text = JSON.stringify({ messages, max_tokens: 4, ...body });
  return fetch(`${url}/v1/chat/completions`, { method: 'POST', body: text });
}

/** The option that is refused, and its rule. */
function refused(rest: object): string {
  const source = 'x';
  try {
    parseConfig({ name: 'a', dataDir: 'b', ...rest }, source);
  } catch (error) {
    return (error as Error).message.replace(`${source} is invalid: `, '');
  }
  return 'nothing';
}

test('what is wrong about engines is said with the option and its rule', () => {
  const openai = { type: 'openai', name: 'gpu', baseUrl: 'http://10.0.0.5:8000' };
  const cases: [object, RegExp][] = [
    [{ engines: [openai] }, /^nothing$/],
    [{ engines: [{ ...openai, apiKey: undefined }] }, /^engines\.0\.apiKey: the key, which is/],
    [
      { engines: [{ type: 'magic', name: 'gpu' }] },
      /^engines\.0\.type: an engine of type "openai"/,
    ],
    [{ engines: [openai, openai] }, /^engines: each name once$/],
    [{ engines: [{ ...openai, name: 'GPU 1' }] }, /^engines\.0\.name: lower-case letters/],
    [{ engines: [{ ...openai, sped: 2 }] }, /^engines\.0: .*sped/],
    [{ engines: [{ ...openai, models: [] }] }, /^engines\.0\.models: at least one name$/],
    [{ engines: [{ type: 'process', name: 'p' }] }, /^engines\.0\.command: a program$/],
    [{ http: { routing: { policy: 'best' } } }, /^http\.routing\.policy: one of round-robin, /],
    [{ http: { retries: { tries: '3' } } }, /^http\.retries\.tries: a number$/],
    [{ http: { sessionHeader: 'x session' } }, /^http\.sessionHeader: the name of a header/],
  ];
  for (const [rest, expected] of cases) assert.match(refused(rest), expected);
});

test('loads of several engines are one: counts add up, of ratios the highest counts', async () => {
  const loads = [{ running: 2, kvCacheUsage: 0.2 }, { running: 3, waiting: 4 }, {}];
  assert.deepEqual(combined(loads), { running: 5, waiting: 4, kvCacheUsage: 0.2 });
  const answers = [async () => ({ running: 1 }), () => Promise.reject(new Error('silent'))];
  assert.deepEqual(await together(answers)?.(), { running: 1 });
  await assert.rejects(together(answers.slice(1))!(), { code: 'probe_failed' });
  assert.equal(together([]), undefined);
});

test('engines start and end with their node, a program of its own among them', async () => {
  const args = [MAIN, 'engine', 'simulate', '--listen', '{host}:{port}', '--models', 'own'];
  const fleet = await Fleet.found(
    optionsOf('runner', {
      engines: [
        { type: 'process', name: 'child', command: process.execPath, args, reachable: true },
        { type: 'simulated', name: 'inside', models: ['toy'], speed: 10, aliases: { gpt: 'toy' } },
      ],
    }),
  );
  const url = fleet.httpUrl ?? '';
  await allUp(url, 2);
  for (const [model, endpoint] of [
    ['own', 'runner/child'],
    ['gpt', 'runner/inside'],
  ]) {
    const answer = await ask(url, { model });
    assert.equal(answer.status, 200, await answer.text());
    assert.match(answer.headers.get('x-flotilla-route') ?? '', new RegExp(`^${endpoint};`));
  }
  const { engines } = (await (await fetch(`${url}/engines`)).json()) as {
    engines: { name: string; origin?: string }[];
  };
  const { origin = '' } = engines.find(({ name }) => name === 'child') ?? {};
  assert.equal((await fetch(`${origin}/health`)).status, 200);
  // What the engines have to do is in the load of the node.
  await eventually(
    async () => fleet.coordinator.load.known('runner')?.record.engine,
    (load) => load?.running === 0 && load.waiting === 0,
  );
  await fleet.stop();
  await assert.rejects(fetch(`${origin}/health`));
});

test('a node that stops lets answers for other gateways end, and takes no new ones', async () => {
  const engine = { type: 'simulated', name: 'sim', speed: 1 } as const;
  const first = await Fleet.found(optionsOf('stopping', { engines: [engine] }));
  const data = path.join(folder.path, 'stopping');
  const token = (await flotilla(['token', '--data-dir', data])).stdout.trim();
  const seeds = [first.address];
  await using second = await Fleet.join(optionsOf('staying', { seeds, token }));
  const url = second.httpUrl ?? '';
  await allUp(url, 1);
  // 40 tokens at 50 a second.
  const stream = await ask(url, { model: 'simulated', stream: true, max_tokens: 40 });
  assert.match(stream.headers.get('x-flotilla-route') ?? '', /^stopping\/sim;/);
  const stopped = first.stop();
  assert.match(await stream.text(), /data: \[DONE\]\n\n$/);
  await stopped;
  const late = await ask(url, { model: 'simulated' });
  assert.ok([404, 503].includes(late.status), `${late.status}`);
});

test('the gateway speaks HTTPS with a certificate of the operator', async () => {
  const authority = await ClusterAuthority.open(path.join(folder.path, 'ca'), {
    clock: systemClock,
  });
  const { csrPem, privateKeyPem } = await createKeyAndCsr('gateway');
  const certificateFile = path.join(folder.path, 'gateway.pem');
  const keyFile = path.join(folder.path, 'gateway.key');
  writeFileSync(certificateFile, await authority.issue('gateway', csrPem));
  writeFileSync(keyFile, privateKeyPem);
  const http = { ...ANYWHERE, tls: { certificateFile, keyFile } };
  await using fleet = await Fleet.found(optionsOf('secure', { http }));
  const url = fleet.httpUrl ?? '';
  assert.match(url, /^https:/);
  for (const route of ['/health', '/v1/models']) {
    const status = await new Promise((resolve, reject) => {
      const asked = { ca: authority.caPem, servername: 'gateway', agent: false } as const;
      https
        .get(`${url}${route}`, asked, (response) => resolve(response.resume().statusCode))
        .once('error', reject);
    });
    assert.equal(status, 200);
  }
  const missing = { ...http, tls: { certificateFile: 'none.pem', keyFile } };
  await assert.rejects(Fleet.found(optionsOf('insecure', { http: missing })), {
    code: 'config_invalid',
    message: /http\.tls\.certificateFile: .*none\.pem/,
  });
});
