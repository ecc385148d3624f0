// What an operator does with the members of a running fleet: lists, drains, lets go, shuts out, and
// restarts them; as processes, through the command line.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { flotilla } from '../cli/run-cli.ts';
import { eventually, Running, startNode, temporaryFolder } from './processes.ts';
import type { NodeProcess } from './processes.ts';

interface MembersAnswer {
  readonly members: readonly { readonly name: string; readonly status: string }[];
}

const folder = temporaryFolder();
const founderDirectory = directoryOf('node-0');
const nodes: NodeProcess[] = [];
const started: Running[] = [];

function directoryOf(name: string): string {
  return path.join(folder.path, name);
}

async function makeToken(...options: string[]): Promise<string> {
  const args = ['token', ...options, '--data-dir', founderDirectory];
  return (await flotilla(args)).stdout.trim();
}

async function joinNode(name: string, token?: string): Promise<NodeProcess> {
  const args = ['--join', nodes[0]!.address, '--data-dir', directoryOf(name)];
  const node = await startNode(name, args, token === undefined ? {} : { FLOTILLA_TOKEN: token });
  nodes.push(node);
  return node;
}

before(async () => {
  nodes.push(await startNode('node-0', ['--found', '--data-dir', founderDirectory]));
  const token = await makeToken('--uses', '2');
  await joinNode('node-1', token);
  await joinNode('node-2', token);
});

after(async () => {
  const all = [...nodes.map(({ running }) => running), ...started];
  await Promise.all(all.map((running) => running.end('SIGKILL')));
  folder.dispose();
});

/** `name status` of each member, as a node sees them. */
async function statuses({ url }: NodeProcess): Promise<string[]> {
  const { members } = (await (await fetch(`${url}/cluster/members`)).json()) as MembersAnswer;
  return members.map(({ name, status }) => `${name} ${status}`);
}

async function becomes(node: NodeProcess, expected: readonly string[]): Promise<void> {
  const wanted = expected.join();
  await eventually(
    () => statuses(node),
    (seen) => seen.join() === wanted,
  );
}

/** The nodes that 60 keys are routed to. */
async function routed({ url }: NodeProcess): Promise<Set<string>> {
  const keys = Array.from({ length: 60 }, (_, key) => `${url}/cluster/route?key=user-${key}`);
  const answers = await Promise.all(keys.map(async (key) => (await fetch(key)).json()));
  return new Set(answers.map((answer) => (answer as { node: string }).node));
}

/** Waits, as a node that this machine keeps too busy is passed over. */
async function getsKeys(node: NodeProcess, name: string): Promise<void> {
  await eventually(
    () => routed(node),
    (names) => names.has(name),
  );
}

async function say(args: readonly string[], code = 0): Promise<string> {
  const finished = await flotilla(args);
  assert.equal(finished.code, code, `${finished.stdout}${finished.stderr}`);
  return (code === 0 ? finished.stdout : finished.stderr).trimEnd();
}

const ALL_UP = ['node-0 up', 'node-1 up', 'node-2 up'];

test('members are listed in a table, and in JSON, by whichever node is asked', async () => {
  for (const node of nodes) await becomes(node, ALL_UP);
  const table = await say(['members', '--url', nodes[1]!.url]);
  const [heading = '', first = '', second = ''] = table.split('\n');
  assert.match(heading, /^member +status +peers +http +role +last seen +load +incarnation$/);
  assert.match(
    first,
    /^node-0 +up +127\.0\.0\.1:\d+ +127\.0\.0\.1:\d+ +- +[\d.]+ s ago +\d+ % +\d+$/,
  );
  assert.match(second, /^node-1 .* asked /);
  assert.equal(first.indexOf(' up'), second.indexOf(' up'));
  const json = JSON.parse(await say(['members', '--json', '--url', nodes[2]!.url]));
  assert.equal(json.self, 'node-2');
  assert.deepEqual(
    json.members.map(({ name }: { name: string }) => name),
    ['node-0', 'node-1', 'node-2'],
  );
});

test('a drained node gets no keys from any node, until the drain is cancelled', async () => {
  const [first, second, third] = nodes as [NodeProcess, NodeProcess, NodeProcess];
  await getsKeys(first, 'node-1');
  assert.match(await say(['drain', 'node-1', '--url', third.url]), /^node-1 takes no new requests/);
  for (const node of nodes) {
    await becomes(node, ['node-0 up', 'node-1 leaving', 'node-2 up']);
    assert.ok(!(await routed(node)).has('node-1'));
  }
  assert.equal((await fetch(`${second.url}/health`)).status, 200);
  const back = await say(['drain', 'node-1', '--cancel', '--url', second.url]);
  assert.equal(back, 'node-1 takes requests again');
  for (const node of nodes) {
    await becomes(node, ALL_UP);
    await getsKeys(node, 'node-1');
  }
  const unknown = await say(['drain', 'nobody', '--url', first.url], 1);
  assert.equal(unknown, 'flotilla: there is no member nobody; "flotilla members" lists them');
  // What a browser sends for a page of another site without asking.
  const foreign = await fetch(`${first.url}/cluster/leave`, { method: 'POST', body: '{}' });
  assert.equal(foreign.status, 415);
});

test('a node that leaves is gone from every view, exits with 0, and may come back', async () => {
  const [first, second, third] = nodes as [NodeProcess, NodeProcess, NodeProcess];
  const said = await say(['leave', 'node-2', '--url', second.url]);
  assert.equal(said, 'node-2 leaves the fleet and stops');
  assert.equal(await third.running.exited, 0);
  assert.match(third.running.output, /node-2 has left the fleet\n$/);
  for (const node of [first, second]) await becomes(node, ['node-0 up', 'node-1 up']);
  nodes.pop();
  await joinNode('node-2');
  for (const node of nodes) await becomes(node, ALL_UP);
});

test('the founder is restarted while the others go on; they find it again', async () => {
  const [first, second, third] = nodes as [NodeProcess, NodeProcess, NodeProcess];
  assert.equal(await first.running.end(), 0);
  await becomes(second, ['node-1 up', 'node-2 up']);
  const args = ['--found', '--data-dir', founderDirectory, '--listen', first.address];
  nodes[0] = await startNode('node-0', args);
  for (const node of [nodes[0], second, third]) await becomes(node, ALL_UP);
  // Its store serves them again.
  assert.equal((await fetch(`${third.url}/v1/models`)).status, 200);
});

test('a second node in one data directory is refused', async () => {
  const line = await say(
    [
      ...['node', '--name', 'node-1', '--join', nodes[0]!.address],
      ...['--data-dir', directoryOf('node-1'), '--listen', '127.0.0.1:0', '--http', 'off'],
    ],
    1,
  );
  assert.match(line, /^flotilla: another node runs in .*node-1; stop it or use another/);
});

test('no token takes the name of a node that is up, or of the founder', async () => {
  const args = ['node', '--join', nodes[0]!.address, '--listen', '127.0.0.1:0', '--http', 'off'];
  const tryJoin = async (name: string, token: string) => {
    const data = ['--name', name, '--data-dir', directoryOf(`impostor-${name}`)];
    const running = new Running([...args, ...data], { FLOTILLA_TOKEN: token });
    started.push(running);
    await running.waitFor(/\n/);
    return running.output;
  };
  const token = await makeToken('create');
  const up = /^flotilla: the name node-1 is that of a member that is up; see/;
  const holder = /^flotilla: the name node-0 is that of the node that holds the CA$/m;
  assert.match(await tryJoin('node-1', token), up);
  assert.match(await tryJoin('node-0', token), holder);
  assert.match(await tryJoin('node-0', await makeToken('--replace')), holder);
});

test('tokens are listed without their secrets, and end when they are revoked', async () => {
  const token = await makeToken('create', '--uses', '3', '--ttl', '2h');
  const [, , id = '', secret = ''] = token.split('.');
  const list = await say(['token', 'list', '--data-dir', founderDirectory]);
  assert.match(list, /^id +created +expires +uses left/);
  assert.match(list, new RegExp(`^${id} +\\d+ s ago +in 1 h +3 of 3$`, 'm'));
  assert.ok(!list.includes(secret), list);
  await say(['token', 'revoke', id, '--data-dir', founderDirectory]);
  assert.doesNotMatch(await say(['token', 'list', '--data-dir', founderDirectory]), new RegExp(id));
  const again = await say(['token', 'revoke', id, '--data-dir', founderDirectory], 2);
  assert.match(again, /^flotilla: there is no token/);
  await assert.rejects(joinNode('node-3', token), /token was refused/);
});

test('a revoked node is shut out and ends; a new token lets its name in again', async () => {
  const [first, second, third] = nodes as [NodeProcess, NodeProcess, NodeProcess];
  const said = await say(['revoke', 'node-2', '--data-dir', founderDirectory]);
  assert.match(said, /^the certificate of node-2 is revoked/);
  assert.equal(await third.running.exited, 1);
  assert.match(third.running.output, /^flotilla: the certificate of node-2 was revoked/m);
  for (const node of [first, second]) {
    await eventually(
      () => routed(node),
      (names) => !names.has('node-2'),
    );
  }
  nodes.pop();
  await assert.rejects(joinNode('node-2'), /certificate of node-2 was revoked/);
  await eventually(
    () => statuses(nodes[0]!),
    (seen) => !seen.includes('node-2 up') && !seen.includes('node-2 suspect'),
  );
  await joinNode('node-2', await makeToken());
  for (const node of nodes) await becomes(node, ALL_UP);
});
