// API keys in a running fleet: three node processes, and the command line as an operator uses it.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { flotilla } from '../cli/run-cli.ts';
import { eventually, startNode, temporaryFolder } from './processes.ts';
import type { Finished } from '../cli/run-cli.ts';
import type { NodeProcess } from './processes.ts';

interface KeysAnswer {
  readonly required: boolean;
  readonly keys: readonly { readonly id: string; readonly name: string; revokedMs?: number }[];
}

const folder = temporaryFolder();
const directoryOf = (name: string) => path.join(folder.path, name);
const nodes: NodeProcess[] = [];

before(async () => {
  const founder = directoryOf('node-0');
  nodes.push(await startNode('node-0', ['--found', '--data-dir', founder]));
  const token = (await flotilla(['token', '--uses', '2', '--data-dir', founder])).stdout.trim();
  for (const name of ['node-1', 'node-2']) {
    const args = ['--join', nodes[0]!.address, '--data-dir', directoryOf(name)];
    nodes.push(await startNode(name, args, { FLOTILLA_TOKEN: token }));
  }
});

after(async () => {
  await Promise.all(nodes.map(({ running }) => running.end('SIGKILL')));
  folder.dispose();
});

async function key(node: number, args: readonly string[], code = 0): Promise<Finished> {
  const finished = await flotilla(['key', ...args, '--url', nodes[node]!.url]);
  assert.equal(finished.code, code, `${finished.stdout}${finished.stderr}`);
  return finished;
}

async function keysOf({ url }: NodeProcess): Promise<KeysAnswer> {
  return (await (await fetch(`${url}/keys`)).json()) as KeysAnswer;
}

/** Waits until every node sees the keys so; each watches them on its own. */
async function allSee(accept: (answer: KeysAnswer) => boolean): Promise<void> {
  await Promise.all(nodes.map((node) => eventually(() => keysOf(node), accept)));
}

let made = '';
let id = '';

test('a fleet without keys says that anybody may ask', async () => {
  const { stdout, stderr } = await key(1, ['list']);
  assert.deepEqual(
    [stdout, stderr.startsWith('there are no API keys: anybody may ask;')],
    ['', true],
  );
  assert.deepEqual(await keysOf(nodes[2]!), { required: false, keys: [] });
});

test('a key is printed once, alone on standard output, and all nodes know of it', async () => {
  const args = ['create', 'chat app', '--models', 'llama, qwen', '--rpm', '60', '--tpm', '90000'];
  const { stdout, stderr } = await key(1, [...args, '--concurrency', '4']);
  made = stdout.trimEnd();
  assert.match(made, /^flk_[\w-]{43}$/);
  id = /^the key ([0-9a-f]{12}) of chat app; it is not shown again$/m.exec(stderr)?.[1] ?? '';
  assert.notEqual(id, '', stderr);
  await allSee(({ required, keys }) => required && keys[0]?.id === id);
});

test('keys are listed in a table and in JSON by any node, without the key itself', async () => {
  const { stdout } = await key(2, ['list']);
  const [heading = '', row = ''] = stdout.split('\n');
  assert.match(heading, /^id +name +created +state +models +requests\/min +tokens\/min +at once$/);
  assert.match(row, /^[0-9a-f]{12} +chat app +\d+ s ago +good +llama,qwen +60 +90000 +4$/);
  const listed = JSON.parse((await key(0, ['list', '--json'])).stdout);
  assert.deepEqual(listed.keys[0].limits, {
    requestsPerMinute: 60,
    tokensPerMinute: 90_000,
    concurrency: 4,
  });
  assert.ok(!JSON.stringify(listed).includes(made.slice(4)) && !('digest' in listed.keys[0]));
});

test('the key is in no file and no log of any node', () => {
  const secret = made.slice(4);
  for (const entry of readdirSync(folder.path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    assert.ok(!readFileSync(file, 'latin1').includes(secret), file);
  }
  for (const { running } of nodes) assert.ok(!running.output.includes(secret));
});

test('a key that is revoked at one node is revoked at all', async () => {
  const { stdout } = await key(2, ['revoke', id]);
  assert.equal(stdout, `the key ${id} of chat app lets nobody in any more\n`);
  await allSee(({ required, keys }) => required && keys[0]?.revokedMs !== undefined);
  assert.match((await key(0, ['list'])).stdout, /revoked \d+ s ago/);
  const again = await key(0, ['revoke', id]);
  assert.equal(again.stdout, stdout);
});

test('what cannot be done is said in one line', async () => {
  const unknown = await key(0, ['revoke', '0123456789ab'], 1);
  assert.match(unknown.stderr, /^flotilla: there is no API key 0123456789ab; "flotilla key list"/);
  const unnamed = await key(0, ['create', ' '], 2);
  assert.match(unnamed.stderr, /^flotilla: name must be 1 to 64 characters on one line, but is/);
  const limit = await key(0, ['create', 'app', '--rpm', '0'], 2);
  assert.match(limit.stderr, /^flotilla: .*'0' is invalid\. It must be a whole number from 1 to/);
  const models = await key(0, ['create', 'app', '--models', 'a,,b'], 2);
  assert.match(models.stderr, /^flotilla: .*'a,,b' is invalid\. It must be names with commas/);
});

test('keys outlive the founder’s restart, while the others go on with what they know', async () => {
  const { stdout } = await key(0, ['create', 'kept', '--json']);
  const { id: kept } = JSON.parse(stdout);
  await allSee(({ keys }) => keys.some((one) => one.id === kept));
  const { address, running } = nodes[0]!;
  assert.equal(await running.end(), 0);
  assert.equal((await keysOf(nodes[1]!)).keys.length, 2);
  const args = ['--found', '--data-dir', directoryOf('node-0'), '--listen', address];
  nodes[0] = await startNode('node-0', args);
  await key(0, ['revoke', kept]);
  await allSee(({ keys }) => keys.every(({ revokedMs }) => revokedMs !== undefined));
});
