// Load records where they arrive: what is refused, what replaces what, what is forgotten when.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../src/core/index.ts';
import {
  alphaOfHalfLife,
  Ewma,
  LoadStore,
  readNodeLoad,
  smooth,
  usageOf,
} from '../../src/load/index.ts';
import { loadOf } from './loads.ts';

const INVALID: readonly (readonly [string, unknown])[] = [
  ['cpu', Number.NaN],
  ['cpu', -0.01],
  ['cpu', 1.01],
  ['cpu', '0.5'],
  ['memoryUsed', Number.POSITIVE_INFINITY],
  ['memoryUsed', -1],
  ['heapMax', Number.NaN],
  ['inFlight', 0.5],
  ['inFlight', -1],
  ['queued', Number.NaN],
  ['incarnation', undefined],
  ['timestampMs', -1],
  ['node', ''],
  ['node', 'n'.repeat(254)],
  ['gpus', [{ utilization: 2, memoryUsed: 0, memoryMax: 1 }]],
  ['gpus', Array.from({ length: 65 }, () => ({}))],
  ['engine', { running: -1 }],
  ['engine', { kvCacheUsage: Number.NaN }],
  ['engine', []],
];

for (const [field, value] of INVALID) {
  test(`a record with ${field} = ${JSON.stringify(value) ?? 'nothing'} is refused by name`, () => {
    assert.throws(
      () => readNodeLoad({ ...loadOf('a'), [field]: value }),
      (error) => hasCode(error, 'load_invalid') && error.message.length < 200,
    );
  });
}

test('what is no record at all is refused', () => {
  for (const body of [undefined, null, 7, 'load', [], [loadOf('a')]]) {
    assert.throws(
      () => readNodeLoad(body),
      (error) => hasCode(error, 'load_invalid'),
    );
  }
});

test('a record is read back as it was, with absent figures absent', () => {
  const whole = loadOf('a', {
    gpus: [{ utilization: 0.5, memoryUsed: 1, memoryMax: 2 }],
    engine: { running: 3, kvCacheUsage: 0.25 },
  });
  assert.deepEqual(readNodeLoad(structuredClone(whole)), whole);
  const bare = readNodeLoad({ ...loadOf('a'), unknownField: 1 });
  assert.deepEqual(bare, loadOf('a'));
  assert.deepEqual(readNodeLoad({ ...loadOf('a'), engine: {} }).engine, {});
});

test('usage of nothing is 0', () => {
  assert.equal(usageOf(5, 0), 0);
  assert.equal(usageOf(1, 4), 0.25);
});

test('in any order of arrival the newest record of the latest life stays', () => {
  const stamp = fc.record({ incarnation: fc.nat(3), timestampMs: fc.nat(10), cpu: fc.constant(0) });
  fc.assert(
    fc.property(fc.array(stamp, { minLength: 1, maxLength: 30 }), (stamps) => {
      const store = new LoadStore();
      for (const fields of stamps) store.publish(loadOf('a', fields), 0);
      const newest = stamps.reduce((best, each) =>
        each.incarnation > best.incarnation ||
        (each.incarnation === best.incarnation && each.timestampMs > best.timestampMs)
          ? each
          : best,
      );
      const { incarnation, timestampMs } = store.get('a')?.record ?? {};
      assert.deepEqual({ incarnation, timestampMs, cpu: 0 }, { ...newest });
    }),
  );
});

test('an older sample, or the same again, is refused and counted', () => {
  const store = new LoadStore();
  assert.equal(store.publish(loadOf('a', { timestampMs: 10, cpu: 0.9 }), 0), 'stored');
  assert.equal(store.publish(loadOf('a', { timestampMs: 9, cpu: 0.1 }), 1), 'older');
  assert.equal(store.publish(loadOf('a', { timestampMs: 10, cpu: 0.1 }), 1), 'older');
  assert.equal(store.get('a')?.record.cpu, 0.9);
  assert.equal(store.outcomes.older, 2);
});

test('a removed node stays away in that life and is welcome in the next', () => {
  const store = new LoadStore();
  store.publish(loadOf('a', { incarnation: 5 }), 0);
  store.remove('a', 5);
  assert.equal(store.get('a'), undefined);
  assert.equal(store.publish(loadOf('a', { incarnation: 5, timestampMs: 99 }), 1), 'removed');
  assert.equal(store.publish(loadOf('a', { incarnation: 6 }), 1), 'stored');
  store.remove('a', 5);
  assert.equal(store.count, 1, 'the removal of an earlier life does not touch the later one');
});

test('a record that nobody renews expires, and a late copy does not bring it back', () => {
  const store = new LoadStore({ staleAfterMs: 100 });
  store.publish(loadOf('a', { timestampMs: 5 }), 0);
  store.publish(loadOf('b', { timestampMs: 5 }), 60);
  assert.deepEqual(store.expire(100), []);
  assert.deepEqual(store.expire(101), ['a']);
  assert.equal(store.publish(loadOf('a', { timestampMs: 4 }), 102), 'older');
  assert.equal(store.publish(loadOf('a', { timestampMs: 6 }), 102), 'stored');
  assert.equal(store.outcomes.expired, 1);
});

test('the store is bounded, also by what it remembers of the removed', () => {
  const store = new LoadStore({ maxNodes: 3 });
  for (const name of ['a', 'b', 'c']) assert.equal(store.publish(loadOf(name), 0), 'stored');
  assert.equal(store.publish(loadOf('d'), 0), 'full');
  for (let i = 0; i < 10; i++) store.remove(`gone-${i}`, 1);
  assert.equal(store.publish(loadOf('gone-9'), 0), 'removed');
  assert.equal(store.publish(loadOf('gone-0'), 0), 'full', 'forgotten, but there is no room');
  assert.equal(store.snapshot().length, 3);
});

test('smoothed values rise fast and fall slowly', () => {
  const store = new LoadStore({ riseHalfLifeMs: 500, fallHalfLifeMs: 4_000 });
  const publish = (timestampMs: number, cpu: number) => {
    store.publish(loadOf('a', { timestampMs, cpu }), timestampMs);
    return store.get('a')?.cpu ?? Number.NaN;
  };
  assert.equal(publish(0, 0), 0);
  assert.equal(publish(500, 1), 0.5);
  assert.equal(publish(4_500, 0), 0.5 * 0.5);
});

test('a new life starts its averages anew', () => {
  const store = new LoadStore();
  store.publish(loadOf('a', { incarnation: 1, cpu: 1 }), 0);
  store.publish(loadOf('a', { incarnation: 2, cpu: 0 }), 1);
  assert.equal(store.get('a')?.cpu, 0);
});

test('alpha comes from a half-life in samples, and is in (0, 1]', () => {
  assert.equal(alphaOfHalfLife(1), 0.5);
  assert.ok(Math.abs(alphaOfHalfLife(10) - (1 - 2 ** -0.1)) < 1e-15);
  for (const alpha of [0, -1, 1.1, Number.NaN]) {
    assert.throws(
      () => new Ewma(alpha),
      (error) => hasCode(error, 'invalid_option'),
    );
  }
  assert.throws(
    () => alphaOfHalfLife(0),
    (error) => hasCode(error, 'invalid_option'),
  );
});

test('an average starts at its first sample and never takes in what is no number', () => {
  const average = new Ewma(0.5);
  assert.equal(average.add(Number.NaN), undefined);
  assert.equal(average.add(4), 4);
  assert.equal(average.add(Number.POSITIVE_INFINITY), 4);
  assert.equal(average.add(8), 6);
  assert.equal(average.value, 6);
});

test('time that goes backwards moves no average', () => {
  const halfLives = { riseHalfLifeMs: 1, fallHalfLifeMs: 1 };
  assert.equal(smooth(0.25, 1, { elapsedMs: -1_000, ...halfLives }), 0.25);
});
