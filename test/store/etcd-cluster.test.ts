// etcd with authentication, etcd of three members whose leader dies, and an election over an etcd
// that freezes: real servers, started here.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Etcd3 } from 'etcd3';
import { createPrng, systemClock } from '../../src/core/index.ts';
import { Election, EpochFence, EtcdStore } from '../../src/store/index.ts';
import { collector, put } from './conformance-kit.ts';
import { ETCD, EtcdServers, pause, until } from './etcd-servers.ts';
import type { TestContext } from 'node:test';
import type { EtcdOptions } from '../../src/store/index.ts';

const skip = ETCD.skip;

async function start(t: TestContext, count: number): Promise<EtcdServers> {
  const servers = await EtcdServers.start(count);
  t.after(() => servers.stop());
  return servers;
}

async function open(t: TestContext, options: Omit<EtcdOptions, 'prefix'>): Promise<EtcdStore> {
  const store = await EtcdStore.open(systemClock, { prefix: '/flotilla/test/', ...options });
  t.after(() => store.close());
  return store;
}

function candidate(t: TestContext, store: EtcdStore, name: string, ttlMs = 3_000): Election {
  const components = { store, clock: systemClock, prng: createPrng(name.charCodeAt(0)) };
  const election = new Election(components, { key: 'leader', name, ttlMs });
  t.after(() => election.stop());
  election.start();
  return election;
}

test('three members: the leader dies, and store, watch and epochs go on', { skip }, async (t) => {
  const servers = await start(t, 3);
  const store = await open(t, { hosts: servers.hosts });
  const seen = collector();
  const { revision: first } = await put(store, 'a');
  assert.equal(await store.epoch('e'), 1);
  await store.watch('', first, seen.onEvent);
  const lease = await store.lease(10_000);
  await put(store, 'mine', 'mine', lease.id);
  await servers.kill(await servers.leader());
  const renewed = until('a renewal', () =>
    lease.keepAlive().then(
      () => true,
      () => false,
    ),
  );
  await until('a write', () =>
    put(store, 'b').then(
      () => true,
      () => false,
    ),
  );
  await renewed;
  assert.ok((await store.epoch('e')) > 1);
  assert.ok((await store.revision()) > first);
  assert.ok(await store.get('mine'));
  await until('the event', () => seen.events.some(({ key }) => key === 'b'));
  const revisions = seen.events.map(({ revision }) => revision);
  assert.deepEqual(
    revisions,
    [...new Set(revisions)].toSorted((a, b) => a - b),
  );
});

test('a frozen etcd: the holder fences itself, and there is one holder again', {
  skip,
}, async (t) => {
  const ttlMs = 3_000;
  const servers = await start(t, 1);
  const stores = [
    await open(t, { hosts: servers.hosts, callTimeoutMs: 1_000 }),
    await open(t, { hosts: servers.hosts, callTimeoutMs: 1_000 }),
  ];
  const fence = new EpochFence();
  const elections = ['a', 'b'].map((name, i) => candidate(t, stores[i]!, name, ttlMs));
  const holders = () => elections.filter((election) => election.term() !== undefined);
  await until('a holder', () => holders().length === 1);
  const epoch = holders()[0]!.term()!.epoch;
  fence.admit(epoch);
  let ended = 0;
  for (const each of elections) each.onChange((term) => (term === undefined ? ended++ : 0));
  const frozenAt = performance.now();
  await servers.freeze();
  await until('the fence', () => holders().length === 0);
  const fencedMs = performance.now() - frozenAt;
  assert.ok(fencedMs <= 0.6 * ttlMs + 500, `fenced after ${fencedMs} ms`);
  await until('the listener to be told', () => ended === 1);
  // Frozen for longer than the TTL: nobody may be elected by an etcd that does not answer.
  while (performance.now() - frozenAt < ttlMs + 1_000) {
    assert.equal(holders().length, 0);
    await pause(20);
  }
  servers.thaw();
  await until('a holder again', () => {
    assert.ok(holders().length <= 1);
    return holders().length === 1;
  });
  const later = holders()[0]!.term()!.epoch;
  assert.ok(later > epoch);
  fence.admit(later);
  assert.throws(() => fence.admit(epoch), { code: 'epoch_stale' });
});

test('a holder that stops is followed at once, one that dies after its lease', {
  skip,
}, async (t) => {
  const { hosts } = await start(t, 1);
  const stores = [await open(t, { hosts }), await open(t, { hosts }), await open(t, { hosts })];
  const [first, second, third] = stores.map((store, i) => candidate(t, store, 'abc'[i]!));
  const all = [first!, second!, third!];
  const holder = () => all.findIndex((election) => election.term() !== undefined);
  await until('a holder', () => holder() >= 0);
  const one = holder();
  assert.deepEqual(
    await stores[one]!.get('leader').then((entry) => entry?.revision),
    all[one]!.term()!.epoch,
  );
  assert.equal((await all[(one + 1) % 3]!.leader())?.name, 'abc'[one]);
  const stoppedAt = performance.now();
  await all[one]!.stop();
  await until('the next holder', () => holder() >= 0 && holder() !== one);
  assert.ok(performance.now() - stoppedAt < 1_500, 'the watch woke the next one');
  const two = holder();
  await stores[two]!.close();
  await until('the last holder', () => holder() === 3 - one - two);
});

test('etcd with authentication: the password opens, a wrong one is refused', {
  skip,
}, async (t) => {
  const servers = await start(t, 1);
  const admin = new Etcd3({ hosts: servers.hosts });
  t.after(() => admin.close());
  await admin.auth.userAdd({ name: 'root', password: 'a secret' });
  await admin.auth.userGrantRole({ user: 'root', role: 'root' });
  await admin.auth.authEnable();
  const { hosts } = servers;
  const store = await open(t, { hosts, user: { name: 'root', password: 'a secret' } });
  const seen = collector();
  const { revision } = await put(store, 'a');
  await store.watch('', revision, seen.onEvent);
  const lease = await store.lease(5_000);
  await put(store, 'b', 'b', lease.id);
  await lease.keepAlive();
  await seen.until(2);
  for (const user of [undefined, { name: 'root', password: 'wrong' }]) {
    const refused = EtcdStore.open(systemClock, { hosts, prefix: '/x/', ...(user && { user }) });
    await assert.rejects(refused, { code: 'store_unavailable' });
  }
});
