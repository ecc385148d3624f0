// Engines as child processes: real programs that run, fall, hang and do not want to end.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createPrng, silentLogger, systemClock } from '../../src/core/index.ts';
import { ProcessEngine } from '../../src/engines/index.ts';
import { RestartBackoff } from '../../src/engines/restart-backoff.ts';
import { changesOf } from './changes.ts';
import type { ProcessEngineOptions } from '../../src/engines/index.ts';

const PROGRAM = fileURLToPath(new URL('./engine-program.ts', import.meta.url));

const QUICK = {
  ...{ checkIntervalMs: 10, retryIntervalMs: 10, checkTimeoutMs: 500 },
  ...{ backoffMs: 10, maxBackoffMs: 40, stopTimeoutMs: 5_000 },
};

type Until = ReturnType<typeof changesOf>['until'];

async function withProcess(
  behaviour: string,
  options: Partial<ProcessEngineOptions>,
  use: (engine: ProcessEngine, until: Until) => Promise<void>,
): Promise<void> {
  const { onChange, until } = changesOf();
  const components = { clock: systemClock, prng: createPrng(1), log: silentLogger, onChange };
  const engine = new ProcessEngine(components, {
    name: 'engine',
    command: process.execPath,
    args: [PROGRAM, '{port}', behaviour],
    environment: { PATH: process.env['PATH'] },
    ...QUICK,
    ...options,
  });
  try {
    engine.start();
    await use(engine, until);
  } finally {
    engine.kill();
    await engine.stop();
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('a process is started, asked what it serves, used, and stopped', async () => {
  await withProcess('small', { aliases: { chat: 'small' } }, async (engine, until) => {
    assert.equal(engine.state, 'starting');
    await until(engine, ({ state }) => state === 'up');
    assert.deepEqual(engine.models, ['chat', 'small']);
    const { pid, target } = engine;
    assert.ok(pid !== undefined && target !== undefined);
    const url = `${target.origin}${target.apiPath}/completions`;
    const asked = { model: engine.modelNamed('chat'), prompt: 'Once upon a time', max_tokens: 2 };
    const answer = await fetch(url, { method: 'POST', body: JSON.stringify(asked) });
    assert.equal(answer.status, 200);
    await answer.text();
    assert.deepEqual(await engine.load(), { running: 0, waiting: 0, kvCacheUsage: 0 });
    await engine.stop();
    assert.deepEqual([engine.state, engine.target, isAlive(pid)], ['stopped', undefined, false]);
    await assert.rejects(fetch(url));
    await assert.rejects(engine.load(), { code: 'engine_unreachable' });
    assert.deepEqual(engine.models, ['chat', 'small'], 'names outlive the process');
    engine.start();
    await until(engine, ({ state }) => state === 'up');
    assert.notEqual(engine.pid, pid);
  });
});

test('one that is killed is started again', async () => {
  await withProcess('small', {}, async (engine, until) => {
    await until(engine, ({ state }) => state === 'up');
    const first = engine.pid!;
    process.kill(first, 'SIGKILL');
    await until(engine, ({ state }) => state === 'down');
    assert.equal(engine.problem?.code, 'engine_failed');
    assert.match(engine.problem?.message ?? '', /engine ended \(SIGKILL\)/);
    await until(engine, ({ state }) => state === 'up');
    assert.notEqual(engine.pid, first);
    assert.deepEqual([engine.restarts, engine.problem], [1, undefined]);
  });
});

test('one that cannot run says why, and is tried again, ever more rarely', async () => {
  await withProcess('broken', {}, async (engine, until) => {
    await until(engine, () => engine.restarts >= 2 && engine.state === 'down');
    const words = 'error: the model has 7 layers too many';
    assert.equal(engine.problem?.message, `the engine engine ended (exit code 3): ${words}`);
    await engine.stop();
    const { restarts } = engine;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(engine.restarts, restarts, 'who is stopped is not started again');
  });
  await withProcess('none', { command: 'no-such-program' }, async (engine, until) => {
    await until(engine, ({ state }) => state === 'down');
    assert.match(engine.problem?.message ?? '', /no-such-program ENOENT/);
  });
});

test('one that hangs is ended by force and started again', async () => {
  const options = { checkTimeoutMs: 100, hungAfterMs: 20, stopTimeoutMs: 20 };
  await withProcess('small', options, async (engine, until) => {
    await until(engine, ({ state }) => state === 'up');
    const first = engine.pid!;
    process.kill(first, 'SIGSTOP');
    await until(engine, () => engine.restarts > 0 && engine.state === 'up');
    assert.equal(isAlive(first), false);
  });
});

test('one that never gets ready is given up and started again', async () => {
  await withProcess('mute', { readyTimeoutMs: 50 }, async (engine, until) => {
    await until(engine, () => engine.restarts > 0);
    await until(engine, ({ problem }) => problem?.code === 'engine_failed');
    assert.match(engine.problem?.message ?? '', /not ready within 50 ms/);
  });
});

test('one that ignores SIGTERM is killed; what it started ends with it', async () => {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  const script = `sleep 1000 & echo $! > sleeper; exec ${process.execPath} ${PROGRAM} {port} deaf`;
  const options = { command: 'sh', args: ['-c', script], directory, stopTimeoutMs: 50 };
  try {
    await withProcess('', options, async (engine, until) => {
      await until(engine, ({ state }) => state === 'up');
      const pid = engine.pid!;
      const sleeper = Number(readFileSync(path.join(directory, 'sleeper'), 'utf8'));
      assert.ok(isAlive(pid) && isAlive(sleeper));
      await engine.stop();
      assert.equal(isAlive(pid), false);
      await until(engine, () => isZombieOrGone(sleeper));
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** An orphan that was killed is there until init has taken note. */
function isZombieOrGone(pid: number): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return !isAlive(pid);
  }
}

test('stopping before the process is there, or during a pause, leaves none behind', async () => {
  await withProcess('small', {}, async (engine) => {
    await engine.stop();
    assert.deepEqual([engine.state, engine.pid], ['stopped', undefined]);
  });
  const long = { backoffMs: 1e6, maxBackoffMs: 1e6 };
  await withProcess('broken', long, async (engine, until) => {
    await until(engine, ({ state }) => state === 'down');
    await engine.stop();
    assert.deepEqual([engine.state, engine.pid, engine.restarts], ['stopped', undefined, 0]);
  });
});

test('pauses double up to their limit, and begin anew after a steady life', () => {
  const options = { backoffMs: 100, maxBackoffMs: 500, backoffJitter: 0, steadyAfterMs: 1_000 };
  const backoff = new RestartBackoff(createPrng(1), options);
  const pauses = [0, 0, 999, 0, 0, 1_000, 0].map((upMs) => backoff.nextDelayMs(upMs));
  assert.deepEqual(pauses, [100, 200, 400, 500, 500, 100, 200]);
  const jittered = new RestartBackoff(createPrng(1), { ...options, backoffJitter: 0.5 });
  for (let time = 0; time < 100; time++) {
    const pause = jittered.nextDelayMs(1_000);
    assert.ok(pause > 50 && pause <= 100, `${pause} ms`);
  }
});
