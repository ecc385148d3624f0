// The admission queue as its clients see it: bounded, fair, with priorities and deadlines, and
// nothing left over whatever happens in which order.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AdmissionQueue } from '../../src/admission/index.ts';
import { FlotillaError, hasCode } from '../../src/core/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { QueueDriver } from './queue-driver.ts';
import type { Visitor } from './queue-driver.ts';

/** Code, status and the seconds after which to come back. */
function refusalOf({ refused }: Visitor): unknown[] {
  return [refused?.code, refused?.details['status'], refused?.details['retryAfterS']];
}

test('requests start at once while there is room, then in the order in which they came', () => {
  const driver = new QueueDriver({ maxRunning: 2 });
  for (const name of ['a', 'b', 'c', 'd', 'e']) driver.enter({ client: 'one', name });
  assert.deepEqual(driver.started, ['a', 'b']);
  assert.deepEqual([driver.queue.running, driver.queue.waiting], [2, 3]);
  driver.finish(2);
  driver.finish();
  assert.deepEqual(driver.started, ['a', 'b', 'c', 'd', 'e']);
  driver.finish(2);
  assert.deepEqual([driver.queue.running, driver.queue.clients], [0, 0]);
});

test('a client that floods the queue delays another by no more than one of its turns', () => {
  const driver = new QueueDriver({ maxRunning: 1 });
  for (let i = 0; i < 101; i++) driver.enter({ client: 'flood' });
  for (let i = 0; i < 10; i++) driver.enter({ client: 'quiet' });
  driver.finish(20);
  const quiet = driver.started.slice(1).filter((name) => name === 'quiet');
  assert.equal(quiet.length, 10, driver.started.join(' '));
});

test('shares are counted in tokens: long requests do not buy a client more of the engines', () => {
  const driver = new QueueDriver({ maxRunning: 1, maxWaiting: 10_000 });
  const tokens = { long: 8_000, short: 200 };
  driver.enter({ client: 'first' });
  for (let i = 0; i < 50; i++) driver.enter({ client: 'long', tokens: tokens.long });
  for (let i = 0; i < 2_000; i++) driver.enter({ client: 'short', tokens: tokens.short });
  const taken = { long: 0, short: 0 };
  for (let i = 0; i < 1_500; i++) {
    driver.finish();
    const name = driver.started.at(-1) as 'long' | 'short';
    taken[name] += tokens[name];
    const apart = Math.abs(taken.long - taken.short);
    assert.ok(apart <= 8_000 + 2 * 512, `after ${i}: ${taken.long} and ${taken.short}`);
  }
});

test('no client falls behind another that waits all the time, by more than a request', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 40, maxLength: 40 });
  const priorities = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 40, maxLength: 40 });
  fc.assert(
    fc.property(fc.array(sizes, { minLength: 2, maxLength: 4 }), priorities, (clients, levels) => {
      const driver = new QueueDriver({ maxRunning: 1, maxWaiting: 1_000 });
      driver.enter({ client: 'first' });
      clients.forEach((requests, client) => {
        for (const [i, tokens] of requests.entries()) {
          const name = `${client} ${tokens}`;
          driver.enter({ client: `c${client}`, name, tokens, priority: levels[i]! });
        }
      });
      const taken = clients.map(() => 0);
      const most = Math.max(...clients.flat());
      while (clients.every((_, client) => driver.queue.waitingOf(`c${client}`) > 0)) {
        driver.finish();
        const [client = 0, tokens = 0] = driver.started.at(-1)!.split(' ').map(Number);
        taken[client]! += tokens;
        assert.ok(Math.max(...taken) - Math.min(...taken) <= most + 2 * 512, taken.join());
      }
    }),
    { numRuns: 60 },
  );
});

test('what a request really took is charged, so that nobody gains by a low estimate', () => {
  const driver = new QueueDriver({ maxRunning: 1, maxWaiting: 1_000 });
  driver.enter({ client: 'first' });
  for (let i = 0; i < 100; i++) {
    driver.enter({ client: 'liar', tokens: 1 });
    driver.enter({ client: 'honest', tokens: 512 });
  }
  for (let i = 0; i < 60; i++) {
    const running = driver.visitors.find(({ isRunning }) => isRunning)!;
    running.ticket!.end(512);
  }
  const liar = driver.started.filter((name) => name === 'liar').length;
  const honest = driver.started.filter((name) => name === 'honest').length;
  assert.ok(Math.abs(liar - honest) <= 3, `${liar} and ${honest}`);
});

test('what was saved up for a large request is not there for many small ones in its place', () => {
  const driver = new QueueDriver({ maxRunning: 1 });
  driver.enter({ client: 'first' });
  const large = driver.enter({ client: 'sly', tokens: 1_000_000, priority: 9 });
  for (let i = 0; i < 50; i++) driver.enter({ client: 'sly', priority: 9 });
  for (let i = 0; i < 200; i++) driver.enter({ client: 'plain' });
  driver.finish(100);
  large.ticket!.end();
  driver.finish(20);
  const sly = driver.started.slice(-20).filter((name) => name === 'sly').length;
  assert.ok(sly <= 11, driver.started.slice(-20).join(' '));
});

test('who waits for its own limit saves nothing up meanwhile', () => {
  const driver = new QueueDriver({ maxRunning: 2 });
  const own = driver.enter({ client: 'capped', concurrency: 1 });
  for (let i = 0; i < 50; i++) driver.enter({ client: 'capped', concurrency: 1, priority: 9 });
  for (let i = 0; i < 200; i++) driver.enter({ client: 'plain' });
  const endPlain = () =>
    driver.visitors.find(({ isRunning, name }) => isRunning && name === 'plain')?.ticket?.end();
  for (let i = 0; i < 100; i++) endPlain();
  driver.enter({ client: 'capped', concurrency: 10 });
  own.ticket!.end();
  driver.finish(20);
  const capped = driver.started.slice(-20).filter((name) => name === 'capped').length;
  assert.ok(capped <= 11, driver.started.slice(-20).join(' '));
});

test('the more important goes first, within a client and between clients', () => {
  const driver = new QueueDriver({ maxRunning: 1 });
  driver.enter({ client: 'one', name: 'running' });
  driver.enter({ client: 'one', name: 'batch', priority: 0 });
  driver.enter({ client: 'one', name: 'usual' });
  driver.enter({ client: 'two', name: 'chat', priority: 9 });
  driver.finish(3);
  assert.deepEqual(driver.started, ['running', 'chat', 'usual', 'batch']);
});

test('an unimportant request is passed over for a while and no longer', () => {
  const options = { maxRunning: 1, headStartMs: 2_000, maxWaitMs: 60_000 };
  const driver = new QueueDriver(options);
  driver.enter({ client: 'one', name: 'running' });
  driver.enter({ client: 'one', name: 'batch', priority: 0 });
  // Another important one each second, as fast as they are served.
  for (let second = 0; second < 30 && !driver.started.includes('batch'); second++) {
    driver.enter({ client: 'one', name: `chat ${second}`, priority: 9 });
    driver.clock.advance(1_000);
    driver.finish();
  }
  assert.equal(driver.started.at(-1), 'batch');
  assert.ok(driver.started.length <= 2 + 18 + 1, driver.started.join());
});

test('a client at its own limit waits for itself, and others pass it', () => {
  const driver = new QueueDriver({ maxRunning: 10 });
  for (const name of ['a1', 'a2', 'a3']) driver.enter({ client: 'a', name, concurrency: 1 });
  const b = driver.enter({ client: 'b' });
  assert.deepEqual(driver.started, ['a1', 'b']);
  b.ticket!.end();
  assert.deepEqual(driver.started, ['a1', 'b']);
  driver.finish();
  assert.deepEqual(driver.started, ['a1', 'b', 'a2']);
  // The key was given more: what waits may go, before what comes.
  driver.enter({ client: 'a', name: 'a4', concurrency: 3 });
  assert.deepEqual(driver.started, ['a1', 'b', 'a2', 'a3', 'a4']);
});

test('who waits in vain is told why: 503 for the fleet, 429 for its own limit', () => {
  const driver = new QueueDriver({ maxRunning: 2, maxWaitMs: 30_000 });
  driver.enter({ client: 'a', concurrency: 1 });
  const own = driver.enter({ client: 'a', concurrency: 1, maxWaitMs: 5_000 });
  driver.enter({ client: 'b' });
  const fleet = driver.enter({ client: 'b' });
  const patient = driver.enter({ client: 'b', maxWaitMs: 1e9 });
  driver.clock.advance(5_010);
  assert.deepEqual(refusalOf(own), ['too_many_running', 429, 1]);
  assert.equal(fleet.refused, undefined);
  driver.clock.advance(25_000);
  assert.deepEqual(refusalOf(fleet), ['queue_timeout', 503, 1]);
  assert.deepEqual(refusalOf(patient), ['queue_timeout', 503, 1]);
  assert.deepEqual([driver.queue.waiting, driver.queue.running], [0, 2]);
  assert.deepEqual(refusalOf(driver.enter({ client: 'c', maxWaitMs: 0 })), [
    'queue_timeout',
    503,
    1,
  ]);
  assert.equal(driver.queue.clients, 2);
});

test('a full queue refuses with the time after which it makes sense to come back', () => {
  const driver = new QueueDriver({ maxRunning: 1, maxWaiting: 40, maxWaitMs: 60_000 });
  for (let i = 0; i < 60; i++) driver.enter({ client: 'one' });
  assert.deepEqual(refusalOf(driver.visitors.at(-1)!), ['overloaded', 503, 1]);
  for (let i = 0; i < 20; i++) {
    driver.clock.advance(500);
    driver.finish();
  }
  for (let i = 0; i < 60; i++) driver.enter({ client: 'one' });
  // Half a second each, and 40 that wait.
  assert.deepEqual(refusalOf(driver.visitors.at(-1)!), ['overloaded', 503, 20]);
});

test('a full queue takes from the client that fills it, not from the next that comes', () => {
  const driver = new QueueDriver({ maxRunning: 1, maxWaiting: 4 });
  driver.enter({ client: 'flood', name: 'running' });
  const flood = ['f1', 'f2', 'f3', 'f4'].map((name) => driver.enter({ client: 'flood', name }));
  const quiet = driver.enter({ client: 'quiet', name: 'q1' });
  assert.deepEqual(refusalOf(flood[3]!), ['too_many_waiting', 429, 1]);
  assert.ok(quiet.isWaiting);
  const more = driver.enter({ client: 'flood', name: 'f5' });
  assert.deepEqual(refusalOf(more), ['too_many_waiting', 429, 1]);
  driver.enter({ client: 'quiet', name: 'q2' });
  assert.equal(flood[2]?.refused?.code, 'too_many_waiting');
  // Both have their share now.
  const over = driver.enter({ client: 'quiet', name: 'q3' });
  assert.equal(over.refused?.code, 'too_many_waiting');
  driver.finish(4);
  assert.deepEqual(driver.started.toSorted(), ['f1', 'f2', 'q1', 'q2', 'running']);
});

test('in a full queue an important request takes the place of an unimportant one', () => {
  const driver = new QueueDriver({ maxRunning: 1, maxWaiting: 1 });
  driver.enter({ client: 'one', name: 'running' });
  const batch = driver.enter({ client: 'one', name: 'batch', priority: 1 });
  const chat = driver.enter({ client: 'one', name: 'chat', priority: 8 });
  assert.equal(batch.refused?.code, 'overloaded');
  assert.ok(chat.isWaiting);
  driver.finish();
  assert.ok(chat.isRunning);
  chat.ticket!.end();
  assert.equal(driver.queue.clients, 0);
});

test('engines come and go: what waits starts when there is room, what runs is left alone', () => {
  const driver = new QueueDriver({ maxRunning: 0 });
  for (let i = 0; i < 5; i++) driver.enter({ client: 'one' });
  assert.equal(driver.queue.running, 0);
  driver.queue.resize(3);
  assert.equal(driver.queue.running, 3);
  driver.queue.resize(1);
  assert.equal(driver.queue.running, 3);
  driver.finish(2);
  assert.deepEqual([driver.queue.running, driver.queue.waiting], [1, 2]);
  driver.queue.resize(Number.POSITIVE_INFINITY);
  assert.deepEqual([driver.queue.running, driver.queue.waiting], [3, 0]);
});

test('a queue that stops tells all who wait, and lets in nobody', () => {
  const driver = new QueueDriver({ maxRunning: 1 });
  for (let i = 0; i < 4; i++) driver.enter({ client: `c${i % 2}` });
  driver.queue.stop(new FlotillaError('gateway_stopped', 'the node is stopping'));
  const codes = driver.visitors.map(({ refused }) => refused?.code);
  assert.deepEqual(codes, [undefined, 'gateway_stopped', 'gateway_stopped', 'gateway_stopped']);
  assert.equal(driver.enter({ client: 'late' }).refused?.code, 'gateway_stopped');
  driver.finish();
  assert.deepEqual([driver.queue.running, driver.queue.clients, driver.clock.pending], [0, 0, 0]);
});

test('options outside their rules are refused by name', () => {
  const clock = new SimulatedClock();
  const make = (options: object) => () => new AdmissionQueue({ clock }, options);
  const named = (option: string) => (error: unknown) =>
    hasCode(error, 'invalid_option') && error.details['option'] === option;
  assert.throws(make({ maxRunning: -1 }), named('maxRunning'));
  assert.throws(make({ maxWaiting: Number.POSITIVE_INFINITY }), named('maxWaiting'));
  assert.throws(make({ quantumTokens: 0 }), named('quantumTokens'));
  assert.throws(make({ maxWaitMs: Number.NaN }), named('maxWaitMs'));
});

const CLIENTS = ['a', 'b', 'c'] as const;

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('enter' as const),
      client: fc.constantFrom(...CLIENTS),
      tokens: fc.option(fc.oneof(fc.integer({ min: -1, max: 3_000 }), fc.double()), {
        nil: undefined,
      }),
      priority: fc.option(fc.integer({ min: -3, max: 12 }), { nil: undefined }),
      maxWaitMs: fc.option(fc.integer({ min: 0, max: 400 }), { nil: undefined }),
      concurrency: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
      /** What it does when it hears something, before it returns. */
      reaction: fc.constantFrom('nothing', 'end', 'enter', 'end other'),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      which: fc.nat(),
      used: fc.option(fc.oneof(fc.nat(1e7), fc.double(), fc.constant(Number.POSITIVE_INFINITY)), {
        nil: undefined,
      }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(300) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('resize' as const), to: fc.nat(4) }) },
);

/** Counters agree with the tickets, limits hold, nothing waits that could run. */
function checkInvariants(driver: QueueDriver, limits: Map<string, number>): void {
  const { queue, visitors } = driver;
  const running = visitors.filter(({ isRunning }) => isRunning).length;
  assert.equal(queue.running, running);
  assert.ok(queue.waiting <= 4 && queue.waiting >= 0);
  const perClient = CLIENTS.map((client) => queue.runningOf(client));
  assert.equal(
    perClient.reduce((sum, count) => sum + count, 0),
    running,
  );
  for (const client of CLIENTS) {
    const isIdle = queue.runningOf(client) === 0 && queue.waitingOf(client) === 0;
    if (isIdle) continue;
    const limit = limits.get(client) ?? Number.POSITIVE_INFINITY;
    const couldRun = queue.running < queue.maxRunning && queue.runningOf(client) < limit;
    assert.ok(!couldRun || queue.waitingOf(client) === 0, 'a request waits that could run');
  }
  for (const { turns, refused, ticket } of visitors) {
    assert.ok(turns <= 1);
    if (refused !== undefined) assert.ok(turns === 0 && !ticket?.isRunning);
  }
}

test('no order of events makes a counter leak, a limit break or a request hang', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      const driver = new QueueDriver({ maxRunning: 2, maxWaiting: 4, maxWaitMs: 300 });
      const limits = new Map<string, number>();
      for (const event of steps) {
        if (event.do === 'enter') {
          const { reaction } = event;
          const limit = event.concurrency ?? Number.POSITIVE_INFINITY;
          limits.set(event.client, limit);
          const visitor = driver.enter(event);
          const react = () => {
            if (reaction === 'end') visitor.ticket?.end();
            const { client } = event;
            if (reaction === 'enter') driver.enter({ client, concurrency: limits.get(client) });
            if (reaction === 'end other') driver.finish();
          };
          visitor.onTurnThen = react;
          visitor.onRefusedThen = react;
        } else if (event.do === 'end') {
          const { visitors } = driver;
          visitors[event.which % Math.max(1, visitors.length)]?.ticket?.end(event.used);
        } else if (event.do === 'wait') driver.clock.advance(event.ms);
        else driver.queue.resize(event.to);
        checkInvariants(driver, limits);
      }
      driver.queue.resize(2);
      // Nobody waits past its deadline, and a deadline is seen within one tick.
      driver.clock.advance(300 + 20);
      for (const { ticket } of driver.visitors) ticket?.end();
      driver.clock.advance(320);
      for (const { ticket } of driver.visitors) ticket?.end();
      const { running, waiting, clients } = driver.queue;
      assert.deepEqual([running, waiting, clients], [0, 0, 0]);
      driver.clock.advance(20);
      assert.equal(driver.clock.pending, 0);
      for (const visitor of driver.visitors) {
        assert.ok(visitor.ticket === undefined || !visitor.isRunning);
      }
    }),
    { numRuns: 400 },
  );
});
