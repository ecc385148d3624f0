// What every store does, whatever keeps it (DESIGN.md, Store). Each implementation runs this suite.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytes, collector, put, show, textOf } from './conformance-kit.ts';
import { leasesConform, reopeningConforms } from './conformance-leases.ts';
import type { TestContext } from 'node:test';
import type { Store, Write } from '../../src/store/index.ts';
import type { Check, Subject } from './conformance-kit.ts';

export function conforms(kind: string, create: (t: TestContext) => Promise<Subject>): void {
  const check = (behaviour: string, body: (subject: Subject) => Promise<void>) =>
    test(`${kind}: ${behaviour}`, async (t) => body(await create(t)));
  entriesConform(check);
  transactionsConform(check);
  watchesConform(check);
  leasesConform(check);
  reopeningConforms(check);
}

function entriesConform(check: Check): void {
  check('what was put is got, by value and revision', async ({ store, other }) => {
    assert.equal(await store.get('a'), undefined);
    const { ok, revision } = await put(store, 'a', 'one');
    assert.equal(ok, true);
    const entry = await other.get('a');
    assert.deepEqual(entry, { key: 'a', value: bytes('one'), revision });
    assert.equal(entry?.value.constructor, Uint8Array);
  });

  check('an empty value is not an absent one', async ({ store }) => {
    await put(store, 'empty', '');
    assert.deepEqual((await store.get('empty'))?.value, new Uint8Array(0));
    assert.equal((await store.list('')).length, 1);
  });

  check('the caller keeps its bytes: changing them later changes nothing', async ({ store }) => {
    const value = bytes('before');
    const seen = collector();
    await store.watch('', 1, seen.onEvent);
    await store.compareAndSwap([], [{ put: 'a', value }]);
    value.fill(0);
    await seen.until(1);
    assert.equal(textOf((await store.get('a'))?.value), 'before');
    assert.equal(textOf(seen.events[0]?.value), 'before');
  });

  check('list gives a prefix in the order of its keys’ bytes', async ({ store }) => {
    const keys = ['t', 't/a', 't/b', 't/é', 't/\u{ffee}', 't/\u{1f600}', 't/\u{10ffff}', 'u', 's'];
    for (const key of keys) await put(store, key);
    const list = async (prefix: string) => (await store.list(prefix)).map(({ key }) => key);
    assert.deepEqual(await list('t/'), keys.slice(1, 7));
    assert.deepEqual(await list('t/\u{10ffff}'), ['t/\u{10ffff}']);
    assert.deepEqual(await list('v'), []);
    assert.equal((await list('')).length, keys.length);
  });

  check('keys and values outside their rule are refused', async ({ store }) => {
    const keys = ['', 'a\n', 'a\u0000', '\u007f', 'x'.repeat(513), 'é'.repeat(257), '\ud800'];
    for (const key of keys) {
      await assert.rejects(store.get(key), { code: 'key_invalid' }, JSON.stringify(key));
      await assert.rejects(put(store, key), { code: 'key_invalid' });
      await assert.rejects(store.epoch(key), { code: 'key_invalid' });
      const compare = { key, revision: 0 };
      await assert.rejects(store.compareAndSwap([compare], []), { code: 'key_invalid' });
    }
    await put(store, 'x'.repeat(512));
    const large = { put: 'large', value: new Uint8Array(1024 * 1024 + 1) };
    await assert.rejects(store.compareAndSwap([], [large]), { code: 'value_too_large' });
    const fits = { put: 'large', value: new Uint8Array(1024 * 1024).fill(7) };
    await store.compareAndSwap([], [fits]);
    assert.deepEqual((await store.get('large'))?.value, fits.value);
    const many = Array.from({ length: 9 }, (_, i) => ({ ...fits, put: `large-${i}` }));
    await assert.rejects(store.compareAndSwap([], many), { code: 'value_too_large' });
    for (const write of many) await store.compareAndSwap([], [write]);
    await assert.rejects(store.list('large'), { code: 'value_too_large' });
  });
}

function transactionsConform(check: Check): void {
  check('revision 0 compares with absence', async ({ store }) => {
    const claim = (value: string) =>
      store.compareAndSwap([{ key: 'a', revision: 0 }], [{ put: 'a', value: bytes(value) }]);
    const first = await claim('first');
    assert.equal(first.ok, true);
    assert.deepEqual(await claim('second'), { ok: false, revision: first.revision });
    assert.equal(textOf((await store.get('a'))?.value), 'first');
    await store.compareAndSwap([{ key: 'a', revision: first.revision }], [{ delete: 'a' }]);
    assert.equal((await claim('third')).ok, true);
  });

  check('all writes share one revision, and revisions grow', async ({ store }) => {
    const writes: Write[] = [
      { put: 'a', value: bytes('1') },
      { put: 'b', value: bytes('2') },
    ];
    const first = await store.compareAndSwap([], writes);
    for (const entry of await store.list('')) assert.equal(entry.revision, first.revision);
    const second = await store.compareAndSwap([], [{ delete: 'a' }]);
    assert.ok(second.revision > first.revision);
    assert.equal(await store.revision(), second.revision);
    assert.equal((await store.compareAndSwap([], [])).revision, second.revision);
    assert.equal((await store.compareAndSwap([], [{ delete: 'a' }])).revision, second.revision);
  });

  check('one compare that fails stops every write', async ({ store }) => {
    const { revision } = await put(store, 'a');
    const compares = [
      { key: 'a', revision },
      { key: 'b', revision: 5 },
    ];
    const writes: Write[] = [{ put: 'c', value: bytes('c') }, { delete: 'a' }];
    assert.equal((await store.compareAndSwap(compares, writes)).ok, false);
    assert.deepEqual(
      (await store.list('')).map(({ key }) => key),
      ['a'],
    );
  });

  check('a key is written at most once in a transaction', async ({ store }) => {
    const writes: Write[] = [{ put: 'a', value: bytes('a') }, { delete: 'a' }];
    await assert.rejects(store.compareAndSwap([], writes), { code: 'invalid_option' });
  });

  check('of many that race for a key, one wins each round', async ({ store, other }) => {
    await put(store, 'counter', '0');
    const increment = async (through: Store) => {
      for (;;) {
        const { value, revision } = (await through.get('counter'))!;
        const next = bytes(String(Number(textOf(value)) + 1));
        const compares = [{ key: 'counter', revision }];
        const { ok } = await through.compareAndSwap(compares, [{ put: 'counter', value: next }]);
        if (ok) return;
      }
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => increment(i % 2 ? store : other)));
    assert.equal(textOf((await store.get('counter'))?.value), '20');
  });

  check('transactions behave like a map (property)', async ({ store }) => {
    const key = fc.constantFrom('a', 'b', 'c');
    const step = fc.record({
      compare: fc.option(fc.record({ key, stale: fc.boolean() })),
      writes: fc.uniqueArray(fc.record({ key, value: fc.option(fc.string()) }), {
        selector: (write) => write.key,
      }),
    });
    const model = new Map<string, { value: string; revision: number }>();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        for (const { compare, writes } of steps) {
          const known = compare ? (model.get(compare.key)?.revision ?? 0) : 0;
          const revision = compare?.stale ? known + 1 : known;
          const result = await store.compareAndSwap(
            compare ? [{ key: compare.key, revision }] : [],
            writes.map(({ key, value }) =>
              value === null ? { delete: key } : { put: key, value: bytes(value) },
            ),
          );
          assert.equal(result.ok, !compare?.stale);
          for (const { key, value } of result.ok ? writes : []) {
            if (value === null) model.delete(key);
            else model.set(key, { value, revision: result.revision });
          }
        }
        const list = (await store.list('')).map(({ key, value, revision }) => [
          key,
          { value: textOf(value), revision },
        ]);
        assert.deepEqual(
          list,
          [...model].sort(([a], [b]) => (a < b ? -1 : 1)),
        );
      }),
      { numRuns: 15 },
    );
  });
}

function watchesConform(check: Check): void {
  check('a watch replays from its revision, then follows, by prefix', async ({ store, other }) => {
    await put(store, 'a/1');
    const { revision } = await put(store, 'a/2');
    const seen = collector();
    const watch = await store.watch('a/', revision, seen.onEvent);
    await put(other, 'b/1');
    await put(other, 'a/3');
    await other.compareAndSwap([], [{ delete: 'a/1' }, { put: 'a/2', value: bytes('new') }]);
    await seen.until(4);
    assert.deepEqual(seen.events.map(show), [
      `put a/2=a/2 @${revision}`,
      `put a/3=a/3 @${revision + 2}`,
      `delete a/1 @${revision + 3}`,
      `put a/2=new @${revision + 3}`,
    ]);
    watch.close();
    assert.equal(await watch.ended, undefined);
    await put(other, 'a/4');
    assert.equal(seen.events.length, 4);
  });

  check('no event is missed, doubled or out of order under concurrent writes', async (subject) => {
    const { store, other } = subject;
    const seen = [collector(), collector(), collector()];
    const [early, middle, late] = seen;
    await store.watch('', 1, early!.onEvent);
    const written = Array.from({ length: 60 }, async (_, i) => {
      await put(i % 2 ? store : other, `key-${i}`, String(i));
      if (i === 30) await other.watch('', 1, middle!.onEvent);
    });
    await Promise.all(written);
    await store.watch('', 1, late!.onEvent);
    await Promise.all(seen.map((each) => each.until(60)));
    for (const each of seen) {
      const revisions = each.events.map(({ revision }) => revision);
      assert.deepEqual(
        revisions,
        revisions.toSorted((a, b) => a - b),
      );
      assert.equal(new Set(revisions).size, 60);
      assert.deepEqual(each.events, late!.events);
    }
  });

  check('a listener that writes, or watches, sees the same order', async ({ store }) => {
    const first = collector();
    const second = collector();
    const nested = collector();
    const echoed = Promise.withResolvers<void>();
    await store.watch('', 1, (event) => {
      first.onEvent(event);
      if (event.key !== 'a') return;
      const echo = put(store, 'echo').then(() => store.watch('', 1, nested.onEvent));
      echo.then(() => echoed.resolve(), echoed.reject);
    });
    await store.watch('', 1, second.onEvent);
    await put(store, 'a');
    await echoed.promise;
    for (const each of [first, second, nested]) {
      await each.until(2);
      assert.deepEqual(
        each.events.map(({ key }) => key),
        ['a', 'echo'],
      );
    }
  });

  check('a write tells its own revision, whatever listeners write', async ({ store }) => {
    let echoes = 0;
    await store.watch('a', 1, () => {
      if (echoes++ < 5) void put(store, 'echo');
    });
    for (let i = 0; i < 5; i++) {
      const { revision } = await put(store, 'a', String(i));
      assert.equal((await store.get('a'))?.revision, revision);
    }
  });

  check('a listener that throws ends its own watch only', async ({ store }) => {
    const seen = collector();
    const broken = await store.watch('', 1, () => {
      throw new Error('a bug');
    });
    await store.watch('', 1, seen.onEvent);
    assert.equal((await put(store, 'a')).ok, true);
    await seen.until(1);
    assert.equal((await broken.ended)?.code, 'internal');
  });

  check('closing the store ends its watches and refuses the rest', async ({ store }) => {
    const watch = await store.watch('', 1, () => {});
    await store.close();
    await store.close();
    assert.equal(await watch.ended, undefined);
    const unavailable = { code: 'store_unavailable' };
    await assert.rejects(store.get('a'), unavailable);
    await assert.rejects(put(store, 'a'), unavailable);
    await assert.rejects(store.epoch('a'), unavailable);
    await assert.rejects(store.lease(1000), unavailable);
    await assert.rejects(
      store.watch('', 1, () => {}),
      unavailable,
    );
  });
}
