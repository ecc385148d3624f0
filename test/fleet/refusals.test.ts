// What goes wrong when a node starts: each is one clear line and an exit code, without a stack
// trace.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { flotilla } from '../cli/run-cli.ts';
import { startNode, temporaryFolder } from './processes.ts';
import type { NodeProcess } from './processes.ts';

const folder = temporaryFolder();
let founder: NodeProcess;
let stranger: NodeProcess;

function directoryOf(name: string): string {
  return path.join(folder.path, name);
}

before(async () => {
  [founder, stranger] = await Promise.all(
    ['founder', 'stranger'].map((name) =>
      startNode(name, ['--found', '--data-dir', directoryOf(name)]),
    ) as [Promise<NodeProcess>, Promise<NodeProcess>],
  );
});

after(async () => {
  await Promise.all([founder, stranger].map(({ running }) => running.end('SIGKILL')));
  folder.dispose();
});

async function tokenOf(name: string, ...options: string[]): Promise<string> {
  const { stdout } = await flotilla(['token', '--data-dir', directoryOf(name), ...options]);
  return stdout.trim();
}

/** Starts a node that has to fail; returns its one line. */
async function refusal(args: readonly string[], token = '', exitCode = 1): Promise<string> {
  const ports = ['--listen', '127.0.0.1:0', '--http', '127.0.0.1:0'];
  const env = token === '' ? {} : { FLOTILLA_TOKEN: token };
  const { code, stdout, stderr } = await flotilla(['node', ...ports, ...args], { env });
  assert.deepEqual([code, stdout], [exitCode, ''], stderr);
  assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
  assert.doesNotMatch(stderr, /\n\s+at /);
  return stderr.trim();
}

function joining(name: string): string[] {
  return ['--name', name, '--join', founder.address, '--data-dir', directoryOf(name)];
}

test('a token of another cluster is refused before the secret is sent', async () => {
  const line = await refusal(joining('a'), await tokenOf('stranger'));
  assert.match(line, /^flotilla: .*(CA|cluster).*token/i);
});

test('a wrong secret, an expired token and a used one are refused in the same words', async () => {
  const good = await tokenOf('founder');
  const wrong = `${good.slice(0, -4)}${good.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`;
  const expired = await tokenOf('founder', '--ttl', '1ms');
  const used = await tokenOf('founder');
  const guest = await startNode(
    'guest',
    ['--join', founder.address, '--data-dir', directoryOf('guest')],
    { FLOTILLA_TOKEN: used },
  );
  await guest.running.end();
  const lines = [
    await refusal(joining('b'), wrong),
    await refusal(joining('c'), expired),
    await refusal(joining('d'), used),
  ];
  assert.match(lines[0] ?? '', /^flotilla: .*token/);
  assert.equal(new Set(lines).size, 1, lines.join('\n'));
});

test('what is no token at all is said to be none, and is not repeated', async () => {
  const line = await refusal(joining('e'), 'not-a-token', 2);
  assert.match(line, /token/);
  assert.doesNotMatch(line, /not-a-token/);
});

test('a certificate of another CA does not get in', async () => {
  await stranger.running.end();
  const line = await refusal(joining('stranger'));
  assert.match(line, /certificate|CA|cluster/);
});

test('a taken port is named', async () => {
  const { code, stderr } = await flotilla([
    ...['node', '--name', 'f', '--found', '--data-dir', directoryOf('f')],
    ...['--listen', founder.address, '--http', '127.0.0.1:0'],
  ]);
  assert.equal(code, 1);
  assert.equal(stderr.trim().split('\n').length, 1, stderr);
  assert.ok(stderr.includes(founder.address), stderr);
});

test('a data directory that cannot be written is named', async () => {
  const file = path.join(folder.path, 'file');
  writeFileSync(file, '');
  const line = await refusal(['--name', 'g', '--found', '--data-dir', path.join(file, 'data')]);
  assert.ok(line.includes(path.join(file, 'data')), line);
});

test('a malformed body is an HTTP error in words', async () => {
  const response = await fetch(`${founder.url}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"input": [',
  });
  const { error } = (await response.json()) as { error: { message: string; code: string } };
  assert.equal(response.status, 400);
  assert.match(error.message, /not valid JSON/);
  assert.doesNotMatch(error.message, /\n/);
});
