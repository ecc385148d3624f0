// The part of the common suite that concerns time and restarts: leases, epochs, durability.
import assert from 'node:assert/strict';
import { hasCode } from '../../src/core/index.ts';
import { collector, put, show } from './conformance-kit.ts';
import type { Check } from './conformance-kit.ts';

export function leasesConform(check: Check): void {
  check('a lease that is not renewed takes its keys with it', async ({ store, other, advance }) => {
    const seen = collector();
    const lease = await store.lease(1000);
    await put(store, 'mine/a', 'a', lease.id);
    await put(store, 'mine/b', 'b', lease.id);
    await put(store, 'other');
    await other.watch('mine/', 1, seen.onEvent);
    advance(999);
    assert.equal((await other.list('mine/')).length, 2);
    advance(1);
    assert.equal((await other.list('mine/')).length, 0);
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

  check('renewing keeps the keys', async ({ store, advance }) => {
    const lease = await store.lease(1000);
    await put(store, 'mine', 'a', lease.id);
    for (let i = 0; i < 10; i++) {
      advance(500);
      await lease.keepAlive();
    }
    assert.ok(await store.get('mine'));
    advance(1000);
    assert.equal(await store.get('mine'), undefined);
  });

  check('a holder gives up at 0.6 of the TTL, for good', async ({ store, advance }) => {
    const lease = await store.lease(1000);
    const grantedLostAt = lease.lostAt();
    advance(500);
    await lease.keepAlive();
    assert.equal(lease.lostAt() - grantedLostAt, 500);
    const lostAt = lease.lostAt();
    advance(601);
    await assert.rejects(lease.keepAlive(), { code: 'lease_lost' });
    await assert.rejects(lease.keepAlive(), { code: 'lease_lost' });
    assert.equal(lease.lostAt(), lostAt);
  });

  check('revoking deletes the keys at once', async ({ store, other }) => {
    const lease = await store.lease(1000);
    await put(store, 'mine', 'a', lease.id);
    await lease.revoke();
    await lease.revoke();
    assert.equal(await other.get('mine'), undefined);
    await assert.rejects(lease.keepAlive(), { code: 'lease_lost' });
  });

  check('a later put decides whether a key goes with the lease', async ({ store, advance }) => {
    const lease = await store.lease(1000);
    await put(store, 'freed', 'a', lease.id);
    await put(store, 'freed', 'b');
    await put(store, 'taken', 'a');
    await put(store, 'taken', 'b', lease.id);
    advance(1000);
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
    await put(subject.store, 'a', 'one');
    await put(subject.store, 'b', '');
    await subject.store.compareAndSwap([], [{ delete: 'a' }]);
    const seen = collector();
    const { store } = await subject.reopen();
    assert.deepEqual(
      (await store.list('')).map(({ key }) => key),
      ['b'],
    );
    assert.equal(await store.revision(), 3);
    await store.watch('', 1, seen.onEvent);
    await put(store, 'c');
    await seen.until(4);
    const expected = ['put a=one @1', 'put b= @2', 'delete a @3', 'put c=c @4'];
    assert.deepEqual(seen.events.map(show), expected);
  });

  check('a lease goes on after reopening, with a whole TTL', async (subject) => {
    const lease = await subject.store.lease(1000);
    await put(subject.store, 'mine', 'a', lease.id);
    subject.advance(900);
    const again = await subject.reopen();
    again.advance(999);
    assert.ok(await again.store.get('mine'));
    again.advance(1);
    assert.equal(await again.store.get('mine'), undefined);
    const next = await again.store.lease(1000);
    assert.notEqual(next.id, lease.id);
  });
}
