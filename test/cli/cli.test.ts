// The command line as processes: what it prints, how it fails, what scripts read.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { withGateway } from '../gateway/fakes.ts';
import { flotilla } from './run-cli.ts';
import type { AddressInfo } from 'node:net';

let folder = '';
before(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
});
after(() => rmSync(folder, { recursive: true }));

const COMMANDS = [
  'up',
  'node',
  'join',
  'token',
  'revoke',
  'status',
  'route',
  'top',
  'load',
  'members',
  'drain',
  'leave',
  'engine',
  'engines',
  'explain',
  'key',
  'train',
  'neighbors',
  'complete',
];

/** One line, no stack, the right exit code. */
async function assertFails(args: readonly string[], code: number, line: RegExp): Promise<void> {
  const { code: actual, stdout, stderr } = await flotilla(args, { cwd: folder });
  assert.match(stderr, line);
  assert.deepEqual([actual, stdout, stderr.trimEnd().split('\n').length], [code, '', 1], stderr);
}

test('help teaches by example, for the program and for each command', async () => {
  const { code, stdout } = await flotilla(['--help']);
  assert.equal(code, 0);
  for (const name of COMMANDS) assert.match(stdout, new RegExp(`^ {2}${name}\\b`, 'm'));
  const pages = await Promise.all(COMMANDS.map((name) => flotilla([name, '--help'])));
  for (const [index, page] of [...pages.entries(), [-1, { code, stdout }] as const]) {
    assert.equal(page.code, 0);
    assert.match(page.stdout, /\nExamples:\n {2}\S*( \S+ \| )?flotilla|\nExamples:\n {2}flotilla/);
    const wide = page.stdout.split('\n').filter((line) => line.length > 80);
    assert.deepEqual(wide, [], COMMANDS[index] ?? 'flotilla');
  }
});

test('a command that is written wrongly is one line and exit code 2', async () => {
  await Promise.all([
    assertFails(['stauts'], 2, /^flotilla: unknown command 'stauts' \(Did you mean status\?\)$/m),
    assertFails(['up', '--prot', '3'], 2, /^flotilla: unknown option '--prot' \(Did you mean/),
    assertFails(['up', '--nodes', '0'], 2, /'0' is invalid\. It must be a whole number from 1 to/),
    assertFails(['route'], 2, /^flotilla: missing required argument 'key'$/m),
    assertFails(
      ['token', '--ttl', '5x'],
      2,
      /It must be a duration such as 90s, 15m, 1h or 7d\.$/m,
    ),
    assertFails(['node', '--listen', 'here'], 2, /It must be HOST:PORT/),
    assertFails(['status', '--url', 'here'], 2, /--url must be http:\/\/HOST:PORT, but is here$/m),
    assertFails(['node'], 2, /^flotilla: a node needs --found, .* or --join HOST:PORT/),
    assertFails(['up', '--config', 'none.ts'], 2, /configuration file none\.ts does not exist$/m),
  ]);
});

test('what cannot be done is one line and exit code 1', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const file = path.join(folder, 'plain-file');
  writeFileSync(file, '');
  const below = path.join(file, 'below');
  try {
    await assertFails(
      ['up', '--port', String(port), '--peer-port', '0', '--nodes', '1'],
      1,
      new RegExp(
        `^flotilla: another program listens on 127\\.0\\.0\\.1:${port};.* with --port$`,
        'm',
      ),
    );
    await assertFails(['up', '--data-dir', below], 1, /directory .*below cannot be written to/);
    await assertFails(['up', '--data', 'none.tsv'], 1, /^flotilla: none\.tsv cannot be opened/);
    await assertFails(['token', '--data-dir', folder], 1, /^flotilla: there is no cluster CA in/);
  } finally {
    server.close();
  }
  const url = `http://127.0.0.1:${port}`;
  await assertFails(
    ['status', '--url', url],
    1,
    new RegExp(`^flotilla: no fleet answers at ${url}; start one with "flotilla up"`),
  );
});

test('--verbose adds the code and the causes, still without a stack', async () => {
  const server = net.createServer((socket) => socket.end('no http\r\n\r\n')).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const args = ['status', '--verbose', '--url', `http://127.0.0.1:${port}`];
  const { code, stderr } = await flotilla(args);
  server.close();
  assert.equal(code, 1);
  assert.match(stderr, /^flotilla: cannot reach .*\n {2}code: fleet_unreachable\n {2}caused by /);
  assert.doesNotMatch(stderr, /^ +at /m);
});

test('status shows the nodes to people, and JSON to scripts', async () => {
  await withGateway({}, async ({ url }) => {
    const { stdout, code } = await flotilla(['status', '--url', url]);
    assert.equal(code, 0);
    const [heading, asked, other, blank, summary, model] = stdout.split('\n');
    assert.match(heading ?? '', /^node +peers +http +status +last seen +load$/);
    assert.match(asked ?? '', /^node-0 +127\.0\.0\.1:7400 +\S+ +healthy +asked +25 %$/);
    assert.match(other ?? '', /^node-1 +127\.0\.0\.1:7401 +\S+ +unhealthy +\d+ h ago +25 %$/);
    assert.equal(blank, '');
    assert.equal(summary, 'cluster[nodes=2 healthy=1 vnodes=300 self=node-0]');
    assert.equal(model, 'model wordnet: ready');
    const json = await flotilla(['status', '--json'], { env: { FLOTILLA_URL: url } });
    assert.equal(JSON.parse(json.stdout).nodes.length, 2);
  });
});

test('route, neighbors and complete answer in lines, and in JSON', async () => {
  await withGateway({}, async ({ url }) => {
    const env = { FLOTILLA_URL: url };
    const run = async (...args: string[]) => (await flotilla(args, { env })).stdout;
    const route = 'user-42 → node-0 (127.0.0.1:7400)\n  node-0  serves the key\n';
    assert.equal(await run('route', 'user-42'), route);
    assert.equal(JSON.parse(await run('route', 'user-42', '--json')).node, 'node-0');
    assert.equal(await run('neighbors', 'dog.n.01'), '   0.750  wolf.n.01\n');
    assert.equal(JSON.parse(await run('neighbors', 'dog', '-k', '3', '--json')).word, 'dog');
    assert.equal(await run('complete', 'dog', 'hypernym'), '   2.000  dog-parent\n');
    assert.equal(JSON.parse(await run('complete', 'a b', 'hypernym', '--json')).head, 'a b');
  });
});

test('what a node refuses is shown as it said it', async () => {
  await withGateway({}, async ({ url }) => {
    await assertFails(['neighbors', 'gone', '--url', url], 1, /^flotilla: shard 3 .* is gone$/m);
    const unknown = ['complete', 'dog', 'likes', '--url', url];
    await assertFails(unknown, 1, /^flotilla: there is no relation "likes"$/m);
    const model = ['neighbors', 'dog', '--model', 'cats', '--url', url];
    await assertFails(model, 1, /^flotilla: there is no model "cats"; /);
  });
});

test('a configuration file is validated, and named when it is wrong', async () => {
  const file = path.join(folder, 'wrong.config.ts');
  writeFileSync(file, 'export default { listen: { port: 99999 } };');
  await assertFails(
    ['up', '--config', file],
    2,
    /^flotilla: .*wrong\.config\.ts is invalid: listen/,
  );
  writeFileSync(path.join(folder, 'none.config.ts'), 'export const port = 1;');
  const none = ['up', '--config', 'none.config.ts'];
  await assertFails(none, 2, /must export its configuration: export default defineConfig/);
});

test('token prints a token that its fleet honours, and only that, on standard output', async () => {
  const { ClusterAuthority, parseToken } = await import('../../src/identity/index.ts');
  const { systemClock } = await import('../../src/core/index.ts');
  const directory = path.join(folder, 'fleet', 'node-0', 'identity');
  const authority = await ClusterAuthority.open(directory, { clock: systemClock });
  const args = ['token', '--data-dir', path.join(folder, 'fleet'), '--ttl', '15m', '--uses', '2'];
  const { code, stdout, stderr } = await flotilla(args);
  assert.equal(code, 0);
  assert.match(stdout, /^flt1\.\S+\n$/);
  assert.match(stderr, /^valid for 15 min 0 s, 2 uses; on the new machine: flotilla join/);
  assert.doesNotMatch(stderr, /flt1/);
  const { caDigest, id, secret } = parseToken(stdout.trim());
  assert.equal(caDigest, authority.caDigest);
  await authority.redeem(id, secret);
});
