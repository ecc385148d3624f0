// The store over RPC: the common suite, and what happens when the founder goes away.
import assert from 'node:assert/strict';
import * as path from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../src/core/index.ts';
import { EmbeddedStore, RemoteStore, serveStore } from '../../src/store/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { conforms } from './conformance.ts';
import { FakeHost, temporaryDirectory } from './fixtures.ts';
import type { TestContext } from 'node:test';
import type { Clock } from '../../src/core/index.ts';
import type { StoreEvent } from '../../src/store/index.ts';
import type { Subject } from './conformance-kit.ts';

const value = new Uint8Array([1, 2, 3]);

async function subjectOn(file: string, clock: SimulatedClock, t: TestContext): Promise<Subject> {
  const host = new FakeHost();
  const embedded = await EmbeddedStore.open(file, { clock });
  serveStore(host, embedded);
  const store = new RemoteStore(host, 'node-0', { clock });
  const other = new RemoteStore(host, 'node-0', { clock });
  const close = async () => {
    for (const each of [store, other, embedded]) await each.close();
  };
  t.after(close);
  return {
    store,
    other,
    ttlMs: 1000,
    advance: (durationMs) => clock.advance(durationMs),
    async reopen() {
      await close();
      return subjectOn(file, clock, t);
    },
  };
}

conforms('remote', (t) =>
  subjectOn(path.join(temporaryDirectory(t), 'store.sqlite'), new SimulatedClock(), t),
);

async function fleet(t: TestContext, clock: Clock = systemClock) {
  const file = path.join(temporaryDirectory(t), 'store.sqlite');
  const host = new FakeHost();
  const embedded = await EmbeddedStore.open(file, { clock });
  serveStore(host, embedded);
  const remote = new RemoteStore(host, 'node-0', { clock });
  t.after(async () => {
    await remote.close();
    await embedded.close();
  });
  return { file, host, embedded, remote };
}

/** Turns of the event loop, until `done` holds. */
async function settle(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
}

test('a founder that cannot be reached is store_unavailable, with what is known', async (t) => {
  const { host, remote } = await fleet(t);
  host.connected = false;
  await assert.rejects(remote.get('a'), {
    code: 'store_unavailable',
    message: 'the store on node-0 cannot be reached: node-0 does not answer',
    details: { founder: 'node-0', outcome: 'not_done' },
  });
  host.connected = true;
  const swap = remote.compareAndSwap([], [{ put: 'a', value }]);
  host.cut();
  await assert.rejects(swap, {
    code: 'store_unavailable',
    details: { founder: 'node-0', outcome: 'unknown' },
  });
});

test('a watch outlives the connection and the founder’s process, and misses nothing', async (t) => {
  const { file, host, embedded, remote } = await fleet(t);
  const events: StoreEvent[] = [];
  await remote.watch('', 1, (event) => events.push(event));
  await embedded.compareAndSwap([], [{ put: 'a', value }]);
  await settle(() => events.length === 1);
  host.cut();
  await embedded.compareAndSwap([], [{ put: 'b', value }]);
  host.connected = true;
  await settle(() => events.length === 2);
  host.cut();
  host.restart();
  await embedded.close();
  const again = await EmbeddedStore.open(file, { clock: systemClock });
  t.after(() => again.close());
  await again.compareAndSwap([], [{ put: 'c', value }, { delete: 'a' }]);
  serveStore(host, again);
  host.connected = true;
  await settle(() => events.length === 4);
  const keys = events.map(({ type, key, revision }) => `${type} ${key} ${revision}`);
  assert.deepEqual(keys, ['put a 1', 'put b 2', 'put c 3', 'delete a 3']);
});

test('a watch pauses longer with each failure, up to a limit', async (t) => {
  const clock = new SimulatedClock();
  const { host, remote } = await fleet(t, clock);
  await remote.watch('', 1, () => {});
  await settle(() => host.calls.length === 2);
  host.cut();
  await settle(() => clock.pending > 1);
  const attempts: number[] = [];
  for (let now = 0; now < 12_000; now += 50) {
    const before = host.calls.length;
    clock.advance(50);
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    if (host.calls.length > before) attempts.push(clock.now());
  }
  const pauses = attempts.map((at, i) => at - (attempts[i - 1] ?? 0));
  assert.deepEqual(pauses.slice(0, 8), [50, 100, 200, 400, 800, 1600, 2000, 2000]);
});

test('a watch that fell behind the history ends with revision_compacted', async (t) => {
  const file = path.join(temporaryDirectory(t), 'store.sqlite');
  const host = new FakeHost();
  const embedded = await EmbeddedStore.open(file, { clock: systemClock, historyRevisions: 5 });
  serveStore(host, embedded);
  const remote = new RemoteStore(host, 'node-0');
  t.after(async () => {
    await remote.close();
    await embedded.close();
  });
  const watch = await remote.watch('', 1, () => {});
  await settle(() => host.calls.length === 2);
  host.cut();
  for (let i = 0; i < 20; i++) await embedded.compareAndSwap([], [{ put: 'a', value }]);
  host.connected = true;
  assert.equal((await watch.ended)?.code, 'revision_compacted');
  await assert.rejects(
    remote.watch('', 1, () => {}),
    { code: 'revision_compacted' },
  );
});

test('a watch of a quiet prefix keeps up with the history that others write', async (t) => {
  const clock = new SimulatedClock();
  const file = path.join(temporaryDirectory(t), 'store.sqlite');
  const host = new FakeHost();
  const embedded = await EmbeddedStore.open(file, { clock, historyRevisions: 5 });
  serveStore(host, embedded);
  const remote = new RemoteStore(host, 'node-0', { clock });
  t.after(async () => {
    await remote.close();
    await embedded.close();
  });
  const events: StoreEvent[] = [];
  await remote.watch('quiet/', 1, (event) => events.push(event));
  for (let round = 0; round < 5; round++) {
    const before = host.calls.length;
    for (let i = 0; i < 4; i++) await embedded.compareAndSwap([], [{ put: 'loud', value }]);
    clock.advance(20_000);
    await settle(() => host.calls.length > before);
  }
  await embedded.compareAndSwap([], [{ put: 'quiet/a', value }]);
  await settle(() => events.length === 1);
});

test('a long backlog arrives whole, page by page', async (t) => {
  const { embedded, remote } = await fleet(t);
  for (let i = 0; i < 30; i++) {
    const writes = Array.from({ length: 30 }, (_, j) => ({ put: `${i}/${j}`, value }));
    await embedded.compareAndSwap([], writes);
  }
  const events: StoreEvent[] = [];
  await remote.watch('', 1, (event) => events.push(event));
  await settle(() => events.length === 900);
  assert.deepEqual(events, embedded.changes('', 1).events);
});

test('a renewal that is answered too late does not revive the lease', async (t) => {
  const clock = new SimulatedClock();
  const { host, remote } = await fleet(t, clock);
  const lease = await remote.lease(1000);
  const call = host.call.bind(host);
  host.call = async (...parts) => {
    clock.advance(601);
    return call(...parts);
  };
  await assert.rejects(lease.keepAlive(), { code: 'lease_lost' });
  host.call = call;
  await assert.rejects(lease.keepAlive(), { code: 'lease_lost' });
});

test('a renewal counts from when it was sent, however late its answer is', async (t) => {
  const clock = new SimulatedClock();
  const { host, remote } = await fleet(t, clock);
  const lease = await remote.lease(1000);
  const call = host.call.bind(host);
  host.call = async (...parts) => {
    const answer = await call(...parts);
    clock.advance(300);
    return answer;
  };
  clock.advance(200);
  await lease.keepAlive();
  assert.equal(lease.lostAt(), 800);
});

test('a renewal that fails on the way leaves the lease as it was', async (t) => {
  const clock = new SimulatedClock();
  const { host, remote } = await fleet(t, clock);
  const lease = await remote.lease(1000);
  host.connected = false;
  clock.advance(300);
  await assert.rejects(lease.keepAlive(), { code: 'store_unavailable' });
  assert.equal(lease.lostAt(), 600);
  host.connected = true;
  await lease.keepAlive();
  assert.equal(lease.lostAt(), 900);
});

test('messages that break the protocol are refused, not trusted', async (t) => {
  const { host, embedded } = await fleet(t);
  const put = { put: 'a', length: 3 };
  const bad: [string, { body: unknown; bytes?: Uint8Array }][] = [
    ['store.get', { body: null }],
    ['store.get', { body: { key: 7 } }],
    ['store.list', { body: 'prefix' }],
    ['store.lease', { body: { ttlMs: '1000' } }],
    ['store.watch', { body: { prefix: '', fromRevision: -1, waitMs: 0 } }],
    ['store.compareAndSwap', { body: { compares: [], writes: [put] } }],
    ['store.compareAndSwap', { body: { compares: [], writes: [put] }, bytes: new Uint8Array(4) }],
    ['store.compareAndSwap', { body: { compares: [], writes: [{ ...put, length: 2 ** 60 }] } }],
    ['store.compareAndSwap', { body: { compares: [{}], writes: [] } }],
  ];
  for (const [procedure, payload] of bad) {
    await assert.rejects(host.call('node-0', procedure, payload), {
      code: 'store_message_invalid',
    });
  }
  assert.equal(await embedded.revision(), 0);
});
