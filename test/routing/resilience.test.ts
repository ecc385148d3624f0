import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createPrng } from '../../src/core/index.ts';
import { HedgePolicy, OutlierEjector, RetryPolicy } from '../../src/routing/index.ts';

test('ejected are at most a tenth or one, never the last, for as long as the rule says', () => {
  const event = fc.record({ slot: fc.nat(29), ok: fc.boolean(), afterMs: fc.nat(20_000) });
  const counts = fc.integer({ min: 1, max: 30 });
  fc.assert(
    fc.property(counts, fc.array(event, { maxLength: 400 }), (count, events) => {
      const ejector = new OutlierEjector({ consecutive: 2 });
      for (let slot = 0; slot < count; slot++) ejector.add(slot);
      let nowMs = 0;
      for (const { slot, ok, afterMs } of events) {
        nowMs += afterMs;
        const at = slot % count;
        const ejected = ejector.settle(at, ok, nowMs);
        if (ejected) {
          const lengthMs = ejector.backAtMs(at) - nowMs;
          assert.ok(lengthMs % 30_000 === 0 && lengthMs >= 30_000 && lengthMs <= 300_000);
        }
        const out = Array.from({ length: count }, (_, i) => ejector.isEjected(i, nowMs));
        const most = Math.min(count - 1, Math.max(1, Math.floor(count / 10)));
        assert.ok(out.filter(Boolean).length <= most);
      }
    }),
  );
});

test('the n-th ejection is n times as long, until it is forgiven', () => {
  const ejector = new OutlierEjector();
  for (let slot = 0; slot < 3; slot++) ejector.add(slot);
  let nowMs = 0;
  const eject = () => {
    for (let i = 0; i < 4; i++) assert.equal(ejector.settle(0, false, nowMs), false);
    assert.equal(ejector.settle(0, false, nowMs), true);
    const lengthMs = ejector.backAtMs(0) - nowMs;
    nowMs = ejector.backAtMs(0);
    return lengthMs;
  };
  assert.deepEqual([eject(), eject(), eject()], [30_000, 60_000, 90_000]);
  nowMs += 90_000;
  assert.equal(eject(), 30_000);
});

test('late failures of an endpoint that is ejected do not lengthen its time', () => {
  const ejector = new OutlierEjector();
  ejector.add(0);
  ejector.add(1);
  for (let i = 0; i < 50; i++) ejector.settle(0, false, i);
  assert.equal(ejector.backAtMs(0), 30_004);
});

const retries = (options = {}, seed = 1) =>
  new RetryPolicy({ prng: createPrng(seed), nowMs: 0 }, options);

test('retries wait 50 ms × 1.5 with a fifth of jitter, and end after five tries', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const policy = retries({ reservePerSecond: 50 }, seed);
    for (let tried = 1; tried <= 4; tried++) {
      const delayMs = policy.delayMs({ tried, status: 503 }, 0)!;
      const middleMs = 50 * 1.5 ** (tried - 1);
      assert.ok(delayMs >= 0.8 * middleMs && delayMs <= 1.2 * middleMs, `seed ${seed}`);
    }
    assert.equal(policy.delayMs({ tried: 5, status: 503 }, 0), undefined);
  }
});

test('only what another endpoint may answer better is tried again', () => {
  const policy = retries({ reservePerSecond: 50 });
  for (const status of [408, 429, 500, 502, 503, 504]) {
    assert.notEqual(policy.delayMs({ tried: 1, status }, 0), undefined, String(status));
  }
  assert.notEqual(policy.delayMs({ tried: 1 }, 0), undefined, 'no connection');
  for (const status of [400, 401, 404, 413, 422, 501]) {
    assert.equal(policy.delayMs({ tried: 1, status }, 0), undefined, String(status));
  }
});

test('an engine that asks for time gets it', () => {
  const policy = retries();
  assert.equal(policy.delayMs({ tried: 1, status: 429, retryAfterMs: 2_000 }, 0), 2_000);
});

test('an outage is not answered with more than a fifth of retries', () => {
  const policy = retries();
  let granted = 0;
  for (let request = 0; request < 10_000; request++) {
    policy.requested();
    for (let tried = 1; policy.delayMs({ tried, status: 502 }, 0) !== undefined; tried++) granted++;
  }
  assert.ok(granted >= 1_990 && granted <= 2_001, String(granted));
  const idle = retries();
  assert.notEqual(idle.delayMs({ tried: 1 }, 0), undefined);
  assert.equal(idle.delayMs({ tried: 1 }, 999), undefined);
  assert.notEqual(idle.delayMs({ tried: 1 }, 1_000), undefined, 'one a second is always allowed');
});

test('hedging is off unless switched on', () => {
  const policy = new HedgePolicy();
  for (let i = 0; i < 1_000; i++) {
    policy.requested();
    policy.firstByte(100);
  }
  assert.equal(policy.delayMs(), undefined);
  assert.equal(policy.take(), false);
});

test('a hedge waits until 95 of 100 recent requests would have begun to answer', () => {
  const policy = new HedgePolicy({ enabled: true, samples: 100 });
  for (let i = 0; i < 63; i++) policy.firstByte(1);
  assert.equal(policy.delayMs(), undefined, 'too few times');
  for (let ms = 100; ms >= 1; ms--) policy.firstByte(10 * ms);
  assert.equal(policy.delayMs(), 950);
  for (let i = 0; i < 100; i++) policy.firstByte(20);
  assert.equal(policy.delayMs(), 20);
  for (let i = 0; i < 100; i++) policy.firstByte(0);
  assert.equal(policy.delayMs(), 10);
  policy.firstByte(Number.NaN);
  policy.firstByte(-1);
  assert.equal(policy.delayMs(), 10);
});

test('hedges are one request in twenty at most, however slow the fleet is', () => {
  const policy = new HedgePolicy({ enabled: true });
  let hedges = 0;
  for (let i = 0; i < 2_000; i++) {
    policy.requested();
    while (policy.take()) hedges++;
  }
  assert.ok(hedges >= 98 && hedges <= 100, String(hedges));
});

test('options outside their rules are refused', () => {
  const invalid = { code: 'invalid_option' };
  assert.throws(() => new OutlierEjector({ maxShare: 2 }), invalid);
  assert.throws(() => retries({ tries: 0 }), invalid);
  assert.throws(() => retries({ jitter: 1.5 }), invalid);
  assert.throws(() => new HedgePolicy({ quantile: 1 }), invalid);
  assert.throws(() => new HedgePolicy({ samples: 10 }), invalid);
});
