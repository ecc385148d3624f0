// The base that every folder builds on: bounded queues, deadlines, seeded chance, typed errors.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BoundedQueue,
  createPrng,
  Deadlines,
  FlotillaError,
  hasCode,
  shuffle,
  sleep,
} from '../../src/core/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';

test('a bounded queue refuses what is over its capacity and keeps order', () => {
  const queue = new BoundedQueue<number>(2);
  assert.deepEqual([queue.offer(1), queue.offer(2), queue.offer(3)], [true, true, false]);
  assert.deepEqual([queue.poll(), queue.poll(), queue.poll()], [1, 2, undefined]);
});

test('closing a queue wakes every taker, and takers that come later', async () => {
  const queue = new BoundedQueue<number>(1);
  const waiting = [queue.take(), queue.take()];
  queue.close();
  waiting.push(queue.take());
  for (const result of await Promise.allSettled(waiting)) {
    assert.ok(result.status === 'rejected' && hasCode(result.reason, 'queue_closed'));
  }
});

test('a taker that gave up does not swallow an item', async () => {
  const queue = new BoundedQueue<number>(1);
  const controller = new AbortController();
  const given = queue.take(controller.signal);
  controller.abort(new FlotillaError('cancelled', 'gave up'));
  await assert.rejects(given, { code: 'cancelled' });
  queue.offer(7);
  assert.equal(await queue.take(), 7);
});

test('a queue is first in, first out, whatever the mix of offers and polls', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 400 }), (steps) => {
      const queue = new BoundedQueue<number>(50);
      const model: number[] = [];
      steps.forEach((isOffer, index) => {
        if (!isOffer) assert.equal(queue.poll(), model.shift());
        else assert.equal(queue.offer(index), model.length < 50 && model.push(index) > 0);
        assert.equal(queue.size, model.length);
      });
    }),
  );
});

test('deadlines expire once each, in order, also after a stall', () => {
  const clock = new SimulatedClock();
  const deadlines = new Deadlines(clock);
  const expired: string[] = [];
  const file = (name: string, at: number) => {
    const waiter = { expire: () => expired.push(name) };
    return { waiter, tick: deadlines.add(waiter, at) };
  };
  file('late', 500);
  file('soon', 20);
  const removed = file('removed', 30);
  deadlines.remove(removed.waiter, removed.tick);
  clock.advance(100);
  assert.deepEqual(expired, ['soon']);
  clock.advance(10_000);
  assert.deepEqual(expired, ['soon', 'late']);
  file('past', 0);
  clock.advance(20);
  assert.deepEqual(expired, ['soon', 'late', 'past']);
  deadlines.stop();
});

test('equal seeds give equal draws, other streams give others', () => {
  const draws = (seed: number, stream?: number) => {
    const prng = createPrng(seed, stream);
    return Array.from({ length: 8 }, () => prng.uint32());
  };
  assert.deepEqual(draws(1), draws(1));
  assert.notDeepEqual(draws(1), draws(2));
  assert.notDeepEqual(draws(1, 0), draws(1, 1));
});

test('draws are uniform, normal draws have mean 0 and deviation 1', () => {
  const prng = createPrng(42);
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 100_000; i++) counts[prng.int(10)]!++;
  const chiSquare = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
  assert.ok(chiSquare < 27.9, `chi-square of 9 degrees of freedom is ${chiSquare}`);
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < 100_000; i++) {
    const draw = prng.normal();
    sum += draw;
    squares += draw * draw;
  }
  assert.ok(Math.abs(sum / 100_000) < 0.02 && Math.abs(squares / 100_000 - 1) < 0.02);
});

test('a shuffle keeps every item', () => {
  const items = Uint32Array.from({ length: 1000 }, (_, index) => index);
  shuffle(items, createPrng(3));
  assert.notEqual(items[0], 0);
  assert.deepEqual(
    [...items].sort((a, b) => a - b),
    [...items.keys()],
  );
});

test('sleep ends by its clock, or by its signal', async () => {
  const clock = new SimulatedClock();
  const slept = sleep(clock, 50);
  clock.advance(50);
  await slept;
  const controller = new AbortController();
  const cut = sleep(clock, 50, controller.signal);
  controller.abort(new FlotillaError('cancelled', 'enough'));
  await assert.rejects(cut, { code: 'cancelled' });
});
