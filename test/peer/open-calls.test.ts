// The table of open calls against a plain map, and that every call is given up in time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEADLINE_TICK_MS, Deadlines } from '../../src/core/index.ts';
import { OpenCall, OpenCalls } from '../../src/peer/open-calls.ts';
import { SimulatedClock } from '../../src/testing/index.ts';

class Call extends OpenCall {
  expiredAtMs: number | undefined;
  readonly #onExpire: (call: Call) => void;

  constructor(id: number, timeoutMs: number, onExpire: (call: Call) => void) {
    super(id, timeoutMs);
    this.#onExpire = onExpire;
  }

  expire(): void {
    this.#onExpire(this);
  }
}

function fixture() {
  const clock = new SimulatedClock();
  const calls = new OpenCalls<Call>(clock, new Deadlines(clock));
  const add = (id: number, timeoutMs: number) => {
    const call = new Call(id, timeoutMs, (expired) => {
      if (calls.delete(expired)) expired.expiredAtMs = clock.now();
    });
    calls.add(call);
    return call;
  };
  return { clock, calls, add };
}

const someId = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 0, max: 0xffffffff }));

test('calls are found by number until they are deleted, whatever the numbers', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), someId), { maxLength: 300 }), (steps) => {
      const { calls, add } = fixture();
      const model = new Map<number, Call>();
      for (const [adds, id] of steps) {
        const known = model.get(id);
        assert.equal(calls.get(id), known);
        if (known !== undefined && !adds) {
          assert.ok(calls.delete(known));
          assert.ok(!calls.delete(known));
          model.delete(id);
        } else if (known === undefined && adds) {
          model.set(id, add(id, 1000));
        }
        assert.equal(calls.size, model.size);
      }
      assert.deepEqual(new Set(calls.all()), new Set(model.values()));
    }),
  );
});

test('each call is given up at its own deadline or up to two ticks later', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(50), fc.integer({ min: 1, max: 400 }), fc.boolean()), {
        minLength: 1,
        maxLength: 40,
      }),
      async (plan) => {
        const { clock, calls, add } = fixture();
        const open: { call: Call; deadlineMs: number }[] = [];
        let id = 0;
        for (const [pauseMs, timeoutMs, answered] of plan) {
          clock.advance(pauseMs);
          const call = add(++id, timeoutMs);
          open.push({ call, deadlineMs: clock.now() + timeoutMs });
          // Time passes between two ticks only.
          await undefined;
          if (answered) calls.delete(call);
          if (answered) open.pop();
          await new Promise((resolve) => process.nextTick(resolve));
        }
        clock.advance(1000);
        assert.equal(calls.size, 0);
        for (const { call, deadlineMs } of open) {
          const lateMs = call.expiredAtMs! - deadlineMs;
          assert.ok(lateMs >= 0 && lateMs <= 2 * DEADLINE_TICK_MS, `${lateMs} ms late`);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('work between a call and the end of its tick costs it none of its time', async () => {
  const { clock, add } = fixture();
  const call = add(1, 100);
  clock.advance(90);
  await new Promise((resolve) => process.nextTick(resolve));
  clock.advance(50);
  assert.equal(call.expiredAtMs, undefined);
  clock.advance(70);
  assert.ok(call.expiredAtMs! >= 190);
});
