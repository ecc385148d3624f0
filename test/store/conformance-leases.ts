// The part of the common suite that concerns time and restarts: leases, epochs, durability.
import assert from 'node:assert/strict';
import { hasCode } from '../../src/core/index.ts';
import { collector, eventually, put, show } from './conformance-kit.ts';
import type { Check } from './conformance-kit.ts';

export function leasesConform(check: Check): void {
  check('a lease that is not renewed takes its keys with it', async (subject) => {
    const { store, other, ttlMs } = subject;
    const seen = collector();
    const lease = await store.lease(ttlMs);
    const { revision: first } = await put(store, 'mine/a', 'a', lease.id);
    await put(store, 'mine/b', 'b', lease.id);
    await put(store, 'other');
    await other.watch('mine/', first, seen.onEvent);
    await subject.advance(0.5 * ttlMs);
    assert.equal((await other.list('mine/')).length, 2);
    await subject.advance(0.5 * ttlMs);
    await eventually(subject, async () => (await other.list('mine/')).length === 0);
    await seen.until(4);
    const revision = await store.revision();
    assert.deepEqual(seen.events.slice(2).map(show), [
      `delete mine/a @${revision}`,
      `delete mine/b @${revision}`,
    ]);
    assert.equal((await other.list('')).length, 1);
    await assert.rejects(lease.keepAlive(), { code: 'lease_lost' });
    await assert.rejects(put(store, 'x', 'x', lease.id), { code: 'lease_lost' });
  });

  check('renewing keeps the keys', async (subject) => {
    const { store, ttlMs } = subject;
    const lease = await store.lease(ttlMs);
    await put(store, 'mine', 'a', lease.id);
    for (let i = 0; i < 3; i++) {
      await subject.advance(0.4 * ttlMs);
      await lease.keepAlive();
    }
    assert.ok(await store.get('mine'));
    await eventually(subject, async () => (await store.get('mine')) === undefined);
  });

  check('a holder gives up at 0.6 of the TTL, for good', async ({ store, ttlMs, advance }) => {
    const lease = await store.lease(ttlMs);
    const grantedLostAt = lease.lostAt();
    await advance(0.3 * ttlMs);
    await lease.keepAlive();
    const lostAt = lease.lostAt();
    assert.ok(lostAt >= grantedLostAt + 0.299 * ttlMs, `${lostAt} after ${grantedLostAt}`);
    await advance(0.601 * ttlMs);
    await assert.rejects(lease.keepAlive(), { code: 'lease_lost' });
    await assert.rejects(lease.keepAlive(), { code: 'lease_lost' });
    assert.equal(lease.lostAt(), lostAt);
  });

  check('revoking deletes the keys at once', async ({ store, other, ttlMs }) => {
    const lease = await store.lease(ttlMs);
    await put(store, 'mine', 'a', lease.id);
    await lease.revoke();
    await lease.revoke();
    assert.equal(await other.get('mine'), undefined);
    await assert.rejects(lease.keepAlive(), { code: 'lease_lost' });
  });

  check('a later put decides whether a key goes with the lease', async (subject) => {
    const { store } = subject;
    const lease = await store.lease(subject.ttlMs);
    await put(store, 'freed', 'a', lease.id);
    await put(store, 'freed', 'b');
    await put(store, 'taken', 'a');
    await put(store, 'taken', 'b', lease.id);
    await eventually(subject, async () => (await store.get('taken')) === undefined);
    assert.deepEqual(
      (await store.list('')).map(({ key }) => key),
      ['freed'],
    );
  });

  check('a put under an unknown lease writes nothing', async ({ store }) => {
    await assert.rejects(put(store, 'a', 'a', 'lease-77'), (error) => hasCode(error, 'lease_lost'));
    assert.equal(await store.get('a'), undefined);
  });

  check('leases have bounds', async ({ store }) => {
    for (const ttlMs of [0, 99, 3_600_001, Number.NaN]) {
      await assert.rejects(store.lease(ttlMs), { code: 'invalid_option' });
    }
  });
}

export function reopeningConforms(check: Check): void {
  check('epochs grow, by name, and go on after reopening', async (subject) => {
    const { store, other } = subject;
    const given = await Promise.all([1, 2, 3, 4].map((i) => (i % 2 ? store : other).epoch('a')));
    assert.deepEqual(given.toSorted(), [1, 2, 3, 4]);
    assert.equal(await store.epoch('b'), 1);
    const again = await subject.reopen();
    assert.equal(await again.store.epoch('a'), 5);
    assert.equal(await again.store.epoch('b'), 2);
  });

  check('entries, revision and history are there after reopening', async (subject) => {
    const { revision: first } = await put(subject.store, 'a', 'one');
    await put(subject.store, 'b', '');
    await subject.store.compareAndSwap([], [{ delete: 'a' }]);
    const seen = collector();
    const { store } = await subject.reopen();
    assert.deepEqual(
      (await store.list('')).map(({ key }) => key),
      ['b'],
    );
    assert.equal(await store.revision(), first + 2);
    await store.watch('', 1, seen.onEvent);
    await put(store, 'c');
    await seen.until(4);
    assert.deepEqual(seen.events.map(show), [
      `put a=one @${first}`,
      `put b= @${first + 1}`,
      `delete a @${first + 2}`,
      `put c=c @${first + 3}`,
    ]);
  });

  check('a lease goes on after reopening, with a whole TTL', async (subject) => {
    const { ttlMs } = subject;
    const lease = await subject.store.lease(ttlMs);
    await put(subject.store, 'mine', 'a', lease.id);
    await subject.advance(0.7 * ttlMs);
    const again = await subject.reopen();
    await again.advance(0.5 * ttlMs);
    assert.ok(await again.store.get('mine'));
    await eventually(again, async () => (await again.store.get('mine')) === undefined);
    const next = await again.store.lease(ttlMs);
    assert.notEqual(next.id, lease.id);
  });
}
