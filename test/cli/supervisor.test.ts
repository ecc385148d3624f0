// A fleet of child processes: started in order, told apart, stopped together, missed when they die.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Supervisor } from '../../src/cli/index.ts';
import { systemClock } from '../../src/core/index.ts';
import { parseToken } from '../../src/identity/index.ts';
import type { NodeExit } from '../../src/cli/index.ts';

const ENTRY = fileURLToPath(new URL('./fake-node.ts', import.meta.url));

interface Site {
  readonly supervisor: Supervisor;
  readonly dataDir: string;
  readonly lost: Promise<[name: string, exit: NodeExit]>;
}

async function withSupervisor(
  nodeArgs: readonly string[],
  use: (site: Site) => Promise<void>,
): Promise<void> {
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  const lost = Promise.withResolvers<[string, NodeExit]>();
  const supervisor = new Supervisor(
    { clock: systemClock, onLost: (name, exit) => lost.resolve([name, exit]) },
    {
      ...{ entry: ENTRY, dataDir, nodes: 3, host: '127.0.0.1', httpPort: 0, peerPort: 0 },
      env: { ...process.env, FLOTILLA_TOKEN: 'not for nodes' },
      nodeArgs,
    },
  );
  try {
    await use({ supervisor, dataDir, lost: lost.promise });
  } finally {
    supervisor.kill();
    await supervisor.stop();
    rmSync(dataDir, { recursive: true });
  }
}

function seenBy(dataDir: string, name: string): { args: string[]; token: string | null } {
  return JSON.parse(readFileSync(path.join(dataDir, name, 'seen.json'), 'utf8'));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('the founder starts first; the others join it with a token that no list shows', async () => {
  await withSupervisor([], async ({ supervisor, dataDir }) => {
    const ready = await supervisor.start();
    assert.deepEqual(
      ready.map(({ name }) => name),
      ['node-0', 'node-1', 'node-2'],
    );
    const founder = seenBy(dataDir, 'node-0');
    assert.ok(founder.args.includes('--found'));
    assert.equal(founder.token, null);
    for (const name of ['node-1', 'node-2']) {
      const { args, token } = seenBy(dataDir, name);
      assert.equal(args[args.indexOf('--join') + 1], ready[0]?.address);
      assert.equal(parseToken(token ?? '').secret.length > 0, true);
      assert.doesNotMatch(args.join(' '), /flt1/);
    }
    const pids = supervisor.pids();
    assert.equal(pids.filter(isAlive).length, 3);
    await supervisor.stop();
    assert.equal(pids.filter(isAlive).length, 0);
  });
});

test('a node that says why it cannot start fails the fleet with its own error', async () => {
  await withSupervisor(['--fail', 'node-1:say'], async ({ supervisor }) => {
    await assert.rejects(supervisor.start(), { code: 'token_refused', message: 'refused' });
    assert.equal(supervisor.pids().filter(isAlive).length, 0);
  });
});

test('a node that breaks before it is ready fails the fleet with its last words', async () => {
  await withSupervisor(['--fail', 'node-0:throw'], async ({ supervisor }) => {
    await assert.rejects(supervisor.start(), {
      code: 'node_failed',
      message: 'node-0 ended before it was ready (exit code 1): TypeError: something broke',
    });
  });
});

test('a node that dies is missed by name, and the others go on', async () => {
  await withSupervisor([], async ({ supervisor, lost }) => {
    await supervisor.start();
    const [first, second, third] = supervisor.pids() as [number, number, number];
    process.kill(second, 'SIGKILL');
    const [name, exit] = await lost;
    assert.deepEqual([name, exit.how], ['node-1', 'SIGKILL']);
    assert.deepEqual([first, third].map(isAlive), [true, true]);
  });
});

test('killing does not wait for a node that ignores SIGTERM', async () => {
  await withSupervisor(['--deaf'], async ({ supervisor }) => {
    await supervisor.start();
    const stopped = supervisor.stop();
    supervisor.kill();
    await stopped;
    assert.equal(supervisor.pids().filter(isAlive).length, 0);
  });
});
