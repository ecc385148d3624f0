// The embedded store: the common suite, its file, its bounds, and what survives kill -9.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { systemClock } from '../../src/core/index.ts';
import { EmbeddedStore } from '../../src/store/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { conforms } from './conformance.ts';
import { temporaryDirectory } from './fixtures.ts';
import type { TestContext } from 'node:test';
import type { Clock } from '../../src/core/index.ts';
import type { EmbeddedStoreOptions, StoreEvent } from '../../src/store/index.ts';
import type { Subject } from './conformance-kit.ts';

const value = new Uint8Array(100);

async function subjectOn(file: string, clock: SimulatedClock, t: TestContext): Promise<Subject> {
  const store = await EmbeddedStore.open(file, { clock });
  t.after(() => store.close());
  return {
    store,
    other: store,
    ttlMs: 1000,
    advance: (durationMs) => clock.advance(durationMs),
    async reopen() {
      await store.close();
      return subjectOn(file, clock, t);
    },
  };
}

conforms('embedded', (t) =>
  subjectOn(path.join(temporaryDirectory(t), 'store.sqlite'), new SimulatedClock(), t),
);

test('a lease ends when its TTL is over, and not before', async (t) => {
  const clock = new SimulatedClock();
  const { store } = await open(t, { clock });
  const { id } = await store.lease(1000);
  await store.compareAndSwap([], [{ put: 'mine', value, lease: id }]);
  clock.advance(999);
  assert.ok(await store.get('mine'));
  clock.advance(1);
  assert.equal(await store.get('mine'), undefined);
});

async function open(t: TestContext, options: Partial<EmbeddedStoreOptions> = {}) {
  const file = path.join(temporaryDirectory(t), 'store.sqlite');
  const store = await EmbeddedStore.open(file, { clock: new SimulatedClock(), ...options });
  t.after(() => store.close());
  return { file, store };
}

test('the files are for the owner alone', async (t) => {
  const { file, store } = await open(t);
  await store.compareAndSwap([], [{ put: 'a', value }]);
  const names = fs.readdirSync(path.dirname(file));
  assert.ok(names.includes('store.sqlite-wal'));
  for (const name of names) {
    const mode = fs.statSync(path.join(path.dirname(file), name)).mode & 0o777;
    assert.equal(mode, 0o600, name);
  }
});

test('a second store on one file is refused while the first is open', async (t) => {
  const { file, store } = await open(t);
  await assert.rejects(EmbeddedStore.open(file, { clock: systemClock }), {
    code: 'store_unavailable',
    message: `${file} is in use by another process`,
  });
  await store.close();
  await (await EmbeddedStore.open(file, { clock: systemClock })).close();
});

test('a file that is no store, is newer, or cannot be made is refused by name', async (t) => {
  const directory = temporaryDirectory(t);
  const clock = new SimulatedClock();
  const foreign = path.join(directory, 'foreign');
  fs.writeFileSync(foreign, 'this is no database, and it is long enough to be seen as none');
  await assert.rejects(EmbeddedStore.open(foreign, { clock }), { code: 'store_corrupt' });
  const newer = path.join(directory, 'newer');
  const database = new DatabaseSync(newer);
  database.exec('PRAGMA user_version = 99');
  database.close();
  await assert.rejects(EmbeddedStore.open(newer, { clock }), {
    code: 'store_corrupt',
    message: `${newer} has schema version 99, but this program knows 1`,
  });
  const nowhere = path.join(directory, 'absent', 'store');
  await assert.rejects(EmbeddedStore.open(nowhere, { clock }), { code: 'store_unavailable' });
  const file = path.join(directory, 'store');
  await assert.rejects(EmbeddedStore.open(file, { clock, historyRevisions: 0 }), {
    code: 'invalid_option',
  });
});

async function replay(store: EmbeddedStore, fromRevision: number): Promise<StoreEvent[]> {
  const events: StoreEvent[] = [];
  const watch = await store.watch('', fromRevision, (event) => events.push(event));
  watch.close();
  return events;
}

test('the history is bounded in revisions, and says where it begins', async (t) => {
  const { store, file } = await open(t, { historyRevisions: 20 });
  for (let i = 0; i < 100; i++) await store.compareAndSwap([], [{ put: `k${i % 7}`, value }]);
  const refused = await replay(store, 1).then(
    () => assert.fail('it was not compacted'),
    (error) => error,
  );
  assert.equal(refused.code, 'revision_compacted');
  const { oldest } = refused.details;
  assert.ok(oldest >= 78 && oldest <= 81, `oldest ${oldest}`);
  await assert.rejects(replay(store, oldest - 1), { code: 'revision_compacted' });
  const events = await replay(store, oldest);
  assert.equal(events.length, 101 - oldest);
  await store.close();
  const again = await EmbeddedStore.open(file, { clock: systemClock, historyRevisions: 20 });
  await assert.rejects(replay(again, oldest - 1), { code: 'revision_compacted' });
  assert.deepEqual(await replay(again, oldest), events);
  assert.equal((await again.list('')).length, 7);
  await again.close();
});

test('the history is bounded in bytes, and always keeps the newest revision', async (t) => {
  const { store } = await open(t, { historyBytes: 10_000 });
  for (let i = 0; i < 300; i++) await store.compareAndSwap([], [{ put: 'key', value }]);
  await assert.rejects(replay(store, 150), { code: 'revision_compacted' });
  assert.equal((await replay(store, 220)).length, 81);
  await store.compareAndSwap([], [{ put: 'big', value: new Uint8Array(50_000) }]);
  assert.equal((await replay(store, 301)).length, 1);
  await assert.rejects(replay(store, 300), { code: 'revision_compacted' });
});

test('changes come in pages that end with a whole revision', async (t) => {
  const { store } = await open(t);
  for (let i = 0; i < 10; i++) {
    await store.compareAndSwap(
      [],
      [
        { put: 'a', value },
        { put: 'b', value },
      ],
    );
  }
  for (const limits of [
    { events: 3, bytes: 1e9 },
    { events: 1e9, bytes: 300 },
  ]) {
    const revisions: number[] = [];
    for (let from = 1; from <= 10; ) {
      const page = store.changes('', from, limits);
      assert.equal(page.events.length, 4);
      revisions.push(...page.events.map(({ revision }) => revision));
      from = page.nextRevision;
    }
    assert.deepEqual(revisions, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10]);
  }
});

test('a stall of the store’s process does not end leases that could not be renewed', async (t) => {
  let nowMs = 0;
  const due: (() => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    now: () => nowMs,
    schedule(_delayMs, callback) {
      due.push(callback);
      return { cancel: () => {} };
    },
  };
  const { store } = await open(t, { clock });
  const id = store.grantLease(1000);
  await store.compareAndSwap([], [{ put: 'mine', value, lease: id }]);
  nowMs = 5000;
  due.at(-1)?.();
  assert.ok(await store.get('mine'), 'the stall of 4 s is given back');
  store.renewLease(id);
  for (nowMs of [5050, 6000]) due.at(-1)?.();
  assert.equal(await store.get('mine'), undefined);
});

const WRITER = `
  import { systemClock } from '${new URL('../../src/core/index.ts', import.meta.url).href}';
  import { EmbeddedStore } from '${new URL('../../src/store/index.ts', import.meta.url).href}';
  const store = await EmbeddedStore.open(process.argv[1], { clock: systemClock });
  for (let i = 1; ; i++) {
    const value = new TextEncoder().encode(String(i));
    const writes = [{ put: 'left', value }, { put: 'right', value }];
    const { revision } = await store.compareAndSwap([], writes);
    console.log(i + ' ' + revision + ' ' + (await store.epoch('epoch')));
    await new Promise((resolve) => setImmediate(resolve));
  }`;

test('kill -9 loses nothing that was acknowledged, and leaves nothing by halves', async (t) => {
  const file = path.join(temporaryDirectory(t), 'store.sqlite');
  let last = [0, 0, 0];
  for (const lines of [5, 60]) {
    const arguments_ = ['--input-type=module-typescript', '-e', WRITER, file];
    const child = spawn(process.execPath, arguments_, { stdio: ['ignore', 'pipe', 'inherit'] });
    let seen = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      last = line.split(' ').map(Number);
      if (++seen === lines) child.kill('SIGKILL');
    }
    if (child.signalCode === null && child.exitCode === null) await once(child, 'exit');
    assert.equal(child.signalCode, 'SIGKILL');
    const store = await EmbeddedStore.open(file, { clock: systemClock });
    const [left, right] = await store.list('');
    const [counted, revision, epoch] = last;
    assert.ok(left && right && left.revision >= revision!);
    assert.deepEqual(left.value, right.value);
    assert.equal(left.revision, right.revision);
    assert.ok(Number(new TextDecoder().decode(left.value)) >= counted!);
    assert.ok((await store.epoch('epoch')) > epoch!);
    assert.equal((await replay(store, 1)).length, 2 * (await store.revision()));
    await store.close();
  }
});
