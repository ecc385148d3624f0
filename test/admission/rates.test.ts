// Rates as a client sees them: what passes, what is refused and until when, and that a refusal by
// one bucket costs nothing in the others.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Admission, RateLimiter } from '../../src/admission/index.ts';
import { FlotillaError, hasCode } from '../../src/core/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { Visitor } from './queue-driver.ts';
import type { AdmissionRequest, RateLimits, RateRequest } from '../../src/admission/index.ts';

/** `ok`, or the code of the refusal and when to come back. */
function tryTake(limiter: RateLimiter, request: RateRequest, nowMs: number): string {
  try {
    limiter.take(request, nowMs);
    return 'ok';
  } catch (error) {
    assert.ok(error instanceof FlotillaError);
    return `${error.code} ${error.details['status']} ${error.details['retryAfterS']}`;
  }
}

test('10 requests a second with bursts of 20: a burst passes, then one each 100 ms', () => {
  const limiter = new RateLimiter({}, 0);
  const request = { client: 'a', limits: { requestsPerMinute: 600, requestBurst: 20 } };
  for (let i = 0; i < 20; i++) assert.equal(tryTake(limiter, request, 0), 'ok');
  assert.equal(tryTake(limiter, request, 0), 'rate_limited 429 1');
  assert.equal(tryTake(limiter, { ...request, client: 'b' }, 0), 'ok');
  for (let ms = 100; ms <= 5_000; ms += 100) {
    assert.equal(tryTake(limiter, request, ms), 'ok');
    assert.equal(tryTake(limiter, request, ms), 'rate_limited 429 1');
  }
  // A pause gives a burst back, and no more.
  for (let i = 0; i < 20; i++) assert.equal(tryTake(limiter, request, 1e9), 'ok');
  assert.equal(tryTake(limiter, request, 1e9), 'rate_limited 429 1');
});

test('who comes back after the time that it was told is let in', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5_000 }),
      fc.integer({ min: 1, max: 100_000 }),
      fc.array(fc.record({ tokens: fc.integer({ min: 0, max: 200_000 }), after: fc.nat(40_000) })),
      (requestsPerMinute, tokensPerMinute, requests) => {
        const limiter = new RateLimiter({ global: { tokensPerMinute: 50_000 } }, 0);
        const limits = { requestsPerMinute, tokensPerMinute };
        let nowMs = 0;
        for (const { tokens, after } of requests) {
          nowMs += after;
          // Each bucket is looked at in turn: a client's first, then that of all.
          for (let tries = 0; ; tries++) {
            const answer = tryTake(limiter, { client: 'a', limits, tokens }, nowMs);
            if (answer === 'ok') break;
            assert.ok(tries < 2, answer);
            nowMs += Number(answer.split(' ')[2]) * 1_000;
          }
        }
      },
    ),
  );
});

test('a bucket that refuses takes nothing from the others', () => {
  const limiter = new RateLimiter({ global: { requestsPerMinute: 10 } }, 0);
  const greedy = { client: 'greedy', limits: { requestsPerMinute: 2 } };
  const answers = Array.from({ length: 100 }, () => tryTake(limiter, greedy, 0));
  assert.equal(answers.filter((answer) => answer === 'ok').length, 2);
  // 8 of the gateway's 10 are left for others.
  const other = { client: 'other', limits: { requestsPerMinute: 100 } };
  for (let i = 0; i < 8; i++) assert.equal(tryTake(limiter, other, 0), 'ok');
  assert.equal(tryTake(limiter, other, 0), 'gateway_rate_limited 503 6');
  // And the refusal of the gateway left the client its own: 92 at once, when there is room.
  const loose = new RateLimiter({ global: { requestsPerMinute: 1, requestBurst: 3 } }, 0);
  const tokens = {
    client: 'a',
    limits: { requestsPerMinute: 5, tokensPerMinute: 100 },
    tokens: 40,
  };
  assert.equal(tryTake(loose, tokens, 0), 'ok');
  assert.equal(tryTake(loose, tokens, 0), 'ok');
  assert.equal(tryTake(loose, tokens, 0), 'rate_limited 429 12');
  assert.equal(tryTake(loose, { ...tokens, tokens: 20 }, 0), 'ok');
  assert.equal(tryTake(loose, { ...tokens, tokens: 0 }, 0), 'gateway_rate_limited 503 60');
});

test('tokens are charged as estimated and settled as used, in both directions', () => {
  const limiter = new RateLimiter({}, 0);
  const limits = { tokensPerMinute: 6_000 };
  const first = limiter.take({ client: 'a', limits, tokens: 5_000 }, 0);
  assert.equal(tryTake(limiter, { client: 'a', limits, tokens: 2_000 }, 0), 'rate_limited 429 10');
  first.settle(3_000);
  const second = limiter.take({ client: 'a', limits, tokens: 2_000 }, 0);
  // Twice what was left: the next has to wait until that is made good.
  second.settle(5_000);
  assert.equal(tryTake(limiter, { client: 'a', limits, tokens: 1_000 }, 0), 'rate_limited 429 30');
  assert.equal(tryTake(limiter, { client: 'a', limits, tokens: 1_000 }, 30_000), 'ok');
});

test('a request larger than a minute’s worth waits for a full bucket and is paid off', () => {
  const limiter = new RateLimiter({}, 0);
  const limits = { tokensPerMinute: 1_000 };
  assert.equal(tryTake(limiter, { client: 'a', limits, tokens: 3_000 }, 0), 'ok');
  assert.equal(tryTake(limiter, { client: 'a', limits, tokens: 1 }, 0), 'rate_limited 429 121');
  assert.equal(tryTake(limiter, { client: 'a', limits, tokens: 1 }, 121_000), 'ok');
});

test('over time nobody gets more than the rate and one burst, whatever is estimated', () => {
  const event = fc.record({
    after: fc.nat(5_000),
    tokens: fc.nat(3_000),
    used: fc.nat(3_000),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 300, size: 'max' }), (events) => {
      const limiter = new RateLimiter({}, 0);
      const limits = { tokensPerMinute: 10_000 };
      let nowMs = 0;
      let used = 0;
      for (const one of events) {
        nowMs += one.after;
        try {
          limiter.take({ client: 'a', limits, tokens: one.tokens }, nowMs).settle(one.used);
        } catch (error) {
          assert.ok(hasCode(error, 'rate_limited'));
          continue;
        }
        used += one.used;
        // The last request may have taken more than was there, and no other.
        assert.ok(used <= 10_000 + (nowMs / 60_000) * 10_000 + 3_000 + 1, `${used} at ${nowMs}`);
      }
    }),
    { numRuns: 200 },
  );
});

test('new limits hold from the next request on; without limits nothing is remembered', () => {
  const limiter = new RateLimiter({}, 0);
  const take = (limits: RateLimits) => tryTake(limiter, { client: 'a', limits }, 0);
  assert.equal(take({ requestsPerMinute: 1 }), 'ok');
  assert.equal(take({ requestsPerMinute: 1 }), 'rate_limited 429 60');
  assert.deepEqual([take({ requestsPerMinute: 3 }), take({ requestsPerMinute: 3 })], ['ok', 'ok']);
  assert.equal(take({ requestsPerMinute: 3 }), 'rate_limited 429 20');
  assert.equal(limiter.clients, 1);
  assert.equal(take({}), 'ok');
  assert.equal(limiter.clients, 0);
});

test('memory is bounded: the client that was away longest is forgotten first', () => {
  const limiter = new RateLimiter({ maxClients: 3 }, 0);
  const limits = { requestsPerMinute: 1 };
  for (const client of ['a', 'b', 'c', 'd']) tryTake(limiter, { client, limits }, 0);
  assert.equal(limiter.clients, 3);
  assert.equal(tryTake(limiter, { client: 'b', limits }, 0), 'rate_limited 429 60');
  assert.equal(tryTake(limiter, { client: 'a', limits }, 0), 'ok');
});

test('a clock that steps back neither fills nor empties a bucket', () => {
  const limiter = new RateLimiter({}, 10_000);
  const request = { client: 'a', limits: { requestsPerMinute: 1 } };
  assert.equal(tryTake(limiter, request, 10_000), 'ok');
  assert.equal(tryTake(limiter, request, 0), 'rate_limited 429 60');
  assert.equal(tryTake(limiter, request, 70_000), 'ok');
});

class Gate {
  readonly clock = new SimulatedClock();
  readonly admission: Admission;

  constructor(options: ConstructorParameters<typeof Admission>[1]) {
    this.admission = new Admission({ clock: this.clock }, options);
  }

  admit(request: AdmissionRequest): Visitor {
    const visitor = new Visitor(request.client, () => {});
    try {
      visitor.ticket = this.admission.admit(request, visitor);
    } catch (error) {
      visitor.refused = error as FlotillaError;
    }
    return visitor;
  }
}

test('a request that the queue refuses takes nothing from the rates', () => {
  const gate = new Gate({ queue: { maxRunning: 1, maxWaiting: 0 } });
  const limits = { requestsPerMinute: 2, tokensPerMinute: 100 };
  const first = gate.admit({ client: 'a', limits, tokens: 50 });
  for (let i = 0; i < 10; i++) {
    const refused = gate.admit({ client: 'a', limits, tokens: 50 });
    assert.equal(refused.refused?.code, 'overloaded');
  }
  first.ticket!.end();
  const second = gate.admit({ client: 'a', limits, tokens: 50 });
  assert.ok(second.isRunning);
  second.ticket!.end();
  assert.equal(gate.admit({ client: 'a', limits }).refused?.code, 'rate_limited');
});

test('a request that waited in vain, or whose client left, took no tokens', () => {
  const gate = new Gate({ queue: { maxRunning: 1, maxWaitMs: 1_000 }, perClient: {} });
  const limits = { tokensPerMinute: 1_000 };
  const running = gate.admit({ client: 'other' });
  const late = gate.admit({ client: 'a', limits, tokens: 900 });
  gate.clock.advance(1_010);
  assert.equal(late.refused?.code, 'queue_timeout');
  late.ticket!.end(900);
  const left = gate.admit({ client: 'a', limits, tokens: 900 });
  assert.ok(left.isWaiting);
  left.ticket!.end();
  const third = gate.admit({ client: 'a', limits, tokens: 900 });
  running.ticket!.end();
  assert.ok(third.isRunning);
  // What it used is known once; later calls change nothing.
  third.ticket!.end(100);
  third.ticket!.end(900);
  third.ticket!.end();
  assert.ok(gate.admit({ client: 'a', limits, tokens: 850 }).isRunning);
});

test('a key’s concurrency and the limits for those without a key', () => {
  const gate = new Gate({ perClient: { requestsPerMinute: 1 } });
  const mine = { client: 'key', limits: { concurrency: 1 } };
  const [first, second] = [gate.admit(mine), gate.admit(mine)];
  assert.deepEqual([first.isRunning, second.isWaiting], [true, true]);
  first.ticket!.end();
  assert.ok(second.isRunning);
  assert.ok(gate.admit({ client: '10.0.0.1' }).isRunning);
  assert.equal(gate.admit({ client: '10.0.0.1' }).refused?.code, 'rate_limited');
  assert.ok(gate.admit({ client: '10.0.0.2' }).isRunning);
});

test('10⁵ requests with random ends and aborts leave every counter at 0', () => {
  const gate = new Gate({ queue: { maxRunning: 32, maxWaiting: 64, maxWaitMs: 50 } });
  let state = 42;
  const random = (bound: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % bound;
  };
  const open: Visitor[] = [];
  for (let i = 0; i < 100_000; i++) {
    const limits = { concurrency: 8, tokensPerMinute: 1_000_000_000 };
    const visitor = gate.admit({ client: `c${random(20)}`, limits, tokens: 1 + random(5_000) });
    if (visitor.ticket !== undefined) open.push(visitor);
    if (random(3) > 0 && open.length > 0) {
      const [ended] = open.splice(random(open.length), 1);
      ended!.ticket!.end(random(2) === 0 ? undefined : random(9_000));
    }
    if (random(16) === 0) gate.clock.advance(random(40));
  }
  for (const { ticket } of open) ticket!.end();
  const { running, waiting, clients } = gate.admission.queue;
  assert.deepEqual([running, waiting, clients], [0, 0, 0]);
});
