// The store in etcd: the common suite against a real etcd that this file starts, and what only
// etcd can do: compact, forget a lease while frozen, refuse.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Etcd3 } from 'etcd3';
import { hasCode, systemClock } from '../../src/core/index.ts';
import { EtcdStore } from '../../src/store/index.ts';
import { conforms } from './conformance.ts';
import { bytes, collector, put } from './conformance-kit.ts';
import { ETCD, EtcdServers, pause, until } from './etcd-servers.ts';
import type { TestContext } from 'node:test';
import type { Subject } from './conformance-kit.ts';

if (ETCD.skip) {
  test('the store in etcd', { skip: ETCD.skip }, () => {});
} else {
  realEtcd();
}

function realEtcd(): void {
  let servers: EtcdServers;
  let prefixes = 0;
  before(async () => {
    servers = await EtcdServers.start(1);
  });
  after(() => servers.stop());

  async function open(t: TestContext, prefix = `/flotilla/test-${prefixes++}/`) {
    const store = await EtcdStore.open(systemClock, { hosts: servers.hosts, prefix });
    t.after(() => store.close());
    return { store, prefix };
  }

  async function subject(t: TestContext, prefix?: string): Promise<Subject> {
    const { store, prefix: own } = await open(t, prefix);
    const { store: other } = await open(t, own);
    return {
      store,
      other,
      ttlMs: 2_000,
      advance: async (durationMs) => void (await pause(durationMs)),
      async reopen() {
        await store.close();
        await other.close();
        await servers.kill();
        await servers.restart();
        return subject(t, own);
      },
    };
  }

  conforms('etcd', subject);

  test('etcd: what was compacted away is said, and epochs go on', async (t) => {
    const { store } = await open(t);
    const { revision: first } = await put(store, 'a', '1');
    assert.equal(await store.epoch('a'), 1);
    await put(store, 'a', '2');
    const { revision } = await store.compareAndSwap([], [{ delete: 'a' }]);
    const admin = new Etcd3({ hosts: servers.hosts });
    t.after(() => admin.close());
    await admin.kv.compact({ revision, physical: true });
    for (const from of [0, first, revision]) {
      const watching = store.watch('', from, () => {});
      await assert.rejects(watching, { code: 'revision_compacted' }, `from ${from} of ${revision}`);
    }
    const seen = collector();
    await store.watch('', revision + 1, seen.onEvent);
    assert.equal(await store.epoch('a'), 2);
    await put(store, 'b');
    await seen.until(1);
    assert.deepEqual(
      seen.events.map(({ key }) => key),
      ['b'],
    );
  });

  test('etcd: a backlog larger than a message arrives whole', async (t) => {
    const { store } = await open(t);
    const seen = collector();
    const value = new Uint8Array(1024 * 1024).fill(7);
    const { revision } = await store.compareAndSwap([], [{ put: '0', value }]);
    for (let i = 1; i < 6; i++) await store.compareAndSwap([], [{ put: `${i}`, value }]);
    await store.watch('', revision, seen.onEvent);
    await seen.until(6);
    assert.deepEqual(seen.events.map(({ key }) => key).join(''), '012345');
    assert.ok(seen.events.every((event) => event.value?.byteLength === value.byteLength));
  });

  test('etcd: more than etcd takes at once is too large', async (t) => {
    const { store } = await open(t);
    const value = new Uint8Array(1024 * 1024);
    const writes = ['a', 'b'].map((key) => ({ put: key, value }));
    await assert.rejects(store.compareAndSwap([], writes), { code: 'value_too_large' });
    const many = Array.from({ length: 128 }, (_, i) => ({ put: `${i}`, value: bytes('x') }));
    assert.equal((await store.compareAndSwap([], many)).ok, true);
  });

  test('etcd: frozen, it is unavailable by the deadline, and a watch misses nothing', async (t) => {
    const { prefix } = await open(t);
    const options = { hosts: servers.hosts, prefix, callTimeoutMs: 500 };
    const store = await EtcdStore.open(systemClock, options);
    t.after(() => store.close());
    const seen = collector();
    const { revision } = await put(store, 'a');
    await store.watch('', revision, seen.onEvent);
    await servers.freeze();
    t.after(() => servers.thaw());
    const unavailable = { code: 'store_unavailable' };
    await assert.rejects(store.get('a'), unavailable);
    await assert.rejects(put(store, 'b'), (error) => {
      assert.ok(hasCode(error, 'store_unavailable'));
      assert.equal(error.details.outcome, 'unknown');
      return true;
    });
    await assert.rejects(store.lease(1000), unavailable);
    servers.thaw();
    await until('etcd to answer', () => store.get('a').catch(() => undefined));
    await servers.kill();
    await assert.rejects(put(store, 'never'), (error) => {
      assert.ok(hasCode(error, 'store_unavailable'));
      assert.equal(error.details.outcome, 'not_done');
      return true;
    });
    await servers.restart();
    await until('etcd to write', () => put(store, 'c').catch(() => undefined));
    await until('the event', () => seen.events.some(({ key }) => key === 'c'));
    assert.equal(await store.get('never'), undefined);
    const keys = seen.events.map(({ key }) => key);
    assert.deepEqual(
      keys.filter((key) => key !== 'b'),
      ['a', 'c'],
    );
    assert.equal(keys.includes('b'), (await store.get('b')) !== undefined);
  });

  test('etcd: nobody at the address is an error that names it', async () => {
    const hosts = ['127.0.0.1:1'];
    await assert.rejects(
      EtcdStore.open(systemClock, { hosts, prefix: '/x/', callTimeoutMs: 300 }),
      (error) => {
        assert.ok(hasCode(error, 'store_unavailable'));
        assert.match(error.message, /^etcd at 127\.0\.0\.1:1 cannot be used: /);
        return true;
      },
    );
    for (const options of [{ hosts: [] }, { hosts: ['here'] }, { prefix: '/x' }]) {
      await assert.rejects(EtcdStore.open(systemClock, { hosts, prefix: '/x/', ...options }), {
        code: 'invalid_option',
      });
    }
  });
}
