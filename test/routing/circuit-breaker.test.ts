import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CircuitBreaker } from '../../src/routing/index.ts';

const OPTIONS = { failures: 5, openMs: 1_000, probes: 3, successes: 2 };

function opened(): CircuitBreaker {
  const breaker = new CircuitBreaker(OPTIONS);
  for (let i = 0; i < OPTIONS.failures; i++) breaker.settle(breaker.acquire(0), 'failed', 0);
  return breaker;
}

test('five failures in a row open it for its time, a success between them starts over', () => {
  const breaker = new CircuitBreaker(OPTIONS);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 4; i++) breaker.settle(breaker.acquire(0), 'failed', 0);
    breaker.settle(breaker.acquire(0), 'ok', 0);
    breaker.settle(breaker.acquire(0), 'abandoned', 0);
  }
  assert.equal(breaker.state(0), 'closed');
  for (let i = 0; i < 5; i++) breaker.settle(breaker.acquire(0), 'failed', 10);
  assert.equal(breaker.state(1_009), 'open');
  assert.equal(breaker.acquire(1_009), 0);
  assert.equal(breaker.state(1_010), 'half-open');
});

test('half-open lets exactly three probes through; two successes close it', () => {
  const breaker = opened();
  const probes = Array.from({ length: 10 }, () => breaker.acquire(1_000)).filter((p) => p !== 0);
  assert.equal(probes.length, 3);
  breaker.settle(probes[0]!, 'ok', 1_001);
  assert.equal(breaker.state(1_001), 'half-open');
  breaker.settle(probes[1]!, 'ok', 1_001);
  assert.equal(breaker.state(1_001), 'closed');
  breaker.settle(probes[2]!, 'failed', 1_002);
  for (let i = 0; i < 4; i++) breaker.settle(breaker.acquire(1_002), 'failed', 1_002);
  assert.equal(breaker.state(1_002), 'closed', 'a probe of the round before says nothing any more');
});

test('a failed probe opens it for the whole time again', () => {
  const breaker = opened();
  const probe = breaker.acquire(1_500);
  breaker.settle(probe, 'failed', 1_600);
  assert.equal(breaker.acquire(2_599), 0);
  assert.notEqual(breaker.acquire(2_600), 0);
});

test('probes that never end do not keep it half-open for ever', () => {
  const breaker = opened();
  for (let i = 0; i < 3; i++) assert.notEqual(breaker.acquire(1_000), 0);
  assert.equal(breaker.acquire(1_999), 0);
  for (let i = 0; i < 2; i++) breaker.settle(breaker.acquire(2_000), 'ok', 2_001);
  assert.equal(breaker.state(2_001), 'closed');
});

test('an abandoned probe gives its place back', () => {
  const breaker = opened();
  for (let i = 0; i < 100; i++) breaker.settle(breaker.acquire(1_000), 'abandoned', 1_000);
  const left = Array.from({ length: 10 }, () => breaker.acquire(1_000)).filter((p) => p !== 0);
  assert.equal(left.length, 3);
});

test('in any order of events probes in flight are at most three, and a way back is left', () => {
  const step = fc.record({
    afterMs: fc.nat(400),
    kind: fc.constantFrom('acquire' as const, 'ok' as const, 'failed' as const, 'gone' as const),
    which: fc.nat(99),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const breaker = new CircuitBreaker(OPTIONS);
      let nowMs = 0;
      /** Probes in flight, by round. */
      const probes = new Map<number, number>();
      const permits: { permit: number; probe: boolean }[] = [];
      for (const { afterMs, kind, which } of steps) {
        nowMs += afterMs;
        if (kind === 'acquire') {
          const isProbe = breaker.state(nowMs) !== 'closed';
          const admitted = breaker.admits(nowMs);
          const permit = breaker.acquire(nowMs);
          assert.equal(permit !== 0, admitted);
          if (permit === 0) continue;
          permits.push({ permit, probe: isProbe });
          if (!isProbe) continue;
          probes.set(permit, (probes.get(permit) ?? 0) + 1);
          assert.ok(probes.get(permit)! <= OPTIONS.probes);
        } else if (permits.length > 0) {
          const [{ permit, probe }] = permits.splice(which % permits.length, 1) as [
            { permit: number; probe: boolean },
          ];
          if (probe) probes.set(permit, probes.get(permit)! - 1);
          breaker.settle(permit, kind === 'gone' ? 'abandoned' : kind, nowMs);
        }
      }
      // Whatever is still in flight: after the time somebody may try again, and can close it.
      nowMs += OPTIONS.openMs;
      for (let i = 0; i < 2; i++) {
        const permit = breaker.acquire(nowMs);
        assert.notEqual(permit, 0);
        breaker.settle(permit, 'ok', nowMs);
      }
      assert.equal(breaker.state(nowMs), 'closed');
    }),
  );
});

test('options outside their rules are refused', () => {
  assert.throws(() => new CircuitBreaker({ failures: 0 }), { code: 'invalid_option' });
  assert.throws(() => new CircuitBreaker({ openMs: Number.NaN }), { code: 'invalid_option' });
});
