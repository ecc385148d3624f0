// Entities as their users see them: typed messages, one at a time and in order, on whichever node;
// what happens when handlers fail, mailboxes are full, entities idle, and nobody is there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError } from '../../src/core/index.ts';
import { defineEntity } from '../../src/sharding/index.ts';
import { newFleet } from './entity-fleet.ts';

interface Count {
  value: number;
}

const handlers = {
  add: (state: Count, amount: number) => {
    state.value += amount;
    return state.value;
  },
  get: (state: Count) => state.value,
  echo: (_: Count, what: { readonly list: number[] }) => what,
  where: (_: Count, __: undefined, context: { readonly node: string; readonly epoch: number }) =>
    `${context.node} ${context.epoch}`,
  fail: (state: Count) => {
    state.value = -1000;
    throw new Error('broken');
  },
  refuse: (): number => {
    throw new FlotillaError('too_much', 'more than there is');
  },
};

const define = (name: string, options = {}) =>
  defineEntity({ name, shards: 8, initial: (): Count => ({ value: 0 }), handlers, ...options });

/** Never answers. */
const Deaf = defineEntity({
  name: 'deaf',
  shards: 2,
  initial: () => ({}),
  handlers: { wait: () => new Promise<void>(() => {}) },
});

test('an entity answers, keeps its state, and is one and the same from every node', async () => {
  const fleet = newFleet();
  const Counter = define('counter');
  const a = await fleet.start('a', Counter);
  const b = await fleet.start('b', Counter);
  await fleet.spread('counter', 'a', 'b');
  for (let i = 0; i < 20; i++) {
    const id = `user-${i}`;
    assert.equal(await fleet.settle(a.entity(Counter, id).ask({ add: 2 })), 2);
    assert.equal(await fleet.settle(b.entity(Counter, id).ask({ add: 3 })), 5);
    const value: number = await fleet.settle(a.entity(Counter, id).ask('get'));
    assert.equal(value, 5);
    const where = await fleet.settle(a.entity(Counter, id).ask('where'));
    assert.equal(await fleet.settle(b.entity(Counter, id).ask('where')), where);
  }
});

test('messages of one sender to one entity keep their order, tells among them', async () => {
  const fleet = newFleet();
  const Log = defineEntity({
    name: 'log',
    shards: 4,
    initial: (): { seen: number[] } => ({ seen: [] }),
    handlers: {
      note: async (state, number: number) => {
        if (number % 3 === 0) await undefined;
        state.seen.push(number);
      },
      read: (state) => state.seen,
    },
  });
  const a = await fleet.start('a', Log);
  await fleet.start('b', Log);
  await fleet.spread('log', 'a', 'b');
  for (let entity = 0; entity < 6; entity++) {
    const log = a.entity(Log, `log-${entity}`);
    for (let i = 0; i < 50; i++) {
      if (i % 2 === 0) log.tell({ note: i });
      else void log.ask({ note: i });
    }
    const seen = await fleet.settle(log.ask('read'));
    assert.deepEqual(
      seen,
      Array.from({ length: 50 }, (_, i) => i),
    );
  }
});

test('neither side can change what the other has: local messages are copies too', async () => {
  const fleet = newFleet();
  const Counter = define('counter');
  const a = await fleet.start('a', Counter);
  await fleet.spread('counter', 'a');
  const sent = { list: [1, 2] };
  const got = await fleet.settle(a.entity(Counter, 'x').ask({ echo: sent }));
  assert.deepEqual(got, sent);
  assert.notEqual(got, sent);
});

test('a handler that fails answers with a typed error, and the entity begins anew', async () => {
  const fleet = newFleet();
  const Counter = define('counter');
  const a = await fleet.start('a', Counter);
  await fleet.start('b', Counter);
  await fleet.spread('counter', 'a', 'b');
  for (let i = 0; i < 6; i++) {
    const counter = a.entity(Counter, `c-${i}`);
    await fleet.settle(counter.ask({ add: 7 }));
    await assert.rejects(fleet.settle(counter.ask('fail')), { code: 'entity_failed' });
    assert.equal(await fleet.settle(counter.ask('get')), 0);
    // A refusal on purpose is the handler's own error, and changes nothing.
    await fleet.settle(counter.ask({ add: 7 }));
    await assert.rejects(fleet.settle(counter.ask('refuse')), { code: 'too_much' });
    assert.equal(await fleet.settle(counter.ask('get')), 7);
    const none = (counter as unknown as { ask(message: string): Promise<unknown> }).ask('none');
    await assert.rejects(fleet.settle(none), { code: 'handler_unknown' });
  }
});

test('policy keep goes on with the state there is; too many failures bring a rest', async () => {
  const fleet = newFleet();
  const Keeper = define('keeper', { onFailure: 'keep', maxRestarts: 2, restartWindowMs: 5_000 });
  const a = await fleet.start('a', Keeper);
  await fleet.spread('keeper', 'a');
  const keeper = a.entity(Keeper, 'k');
  for (let i = 0; i < 3; i++) {
    await assert.rejects(fleet.settle(keeper.ask('fail')), { code: 'entity_failed' });
  }
  await assert.rejects(fleet.settle(keeper.ask('get')), { code: 'entity_stopped' });
  await fleet.fleet.clock.run(5_000);
  assert.equal(await fleet.settle(keeper.ask('get')), -1000);
});

test('a mailbox is bounded: what is too much is told so, and nothing else suffers', async () => {
  const fleet = newFleet();
  const gate = Promise.withResolvers<void>();
  const Slow = defineEntity({
    name: 'slow',
    shards: 1,
    mailboxCapacity: 3,
    initial: () => ({}),
    handlers: { wait: () => gate.promise.then(() => 'done') },
  });
  const a = await fleet.start('a', Slow);
  await fleet.spread('slow', 'a');
  const asks = Array.from({ length: 5 }, () => a.entity(Slow, 's').ask('wait'));
  await assert.rejects(asks[4]!, { code: 'mailbox_full' });
  gate.resolve();
  assert.deepEqual(await fleet.settle(Promise.all(asks.slice(0, 4))), Array(4).fill('done'));
});

test('without an owner an ask ends at its deadline and says that nothing happened', async () => {
  const fleet = newFleet();
  const Counter = define('counter');
  const a = await fleet.start('a', Counter);
  await fleet.spread('counter', 'a');
  await fleet.settle(a.drain(100));
  const lonely = a.entity(define('lonely'), 'x').ask('get', { timeoutMs: 500 });
  await assert.rejects(fleet.settle(lonely), { code: 'not_delivered', message: /no node hosts/ });
  assert.throws(() => a.entity(Counter, ''), { code: 'entity_id_invalid' });
  assert.throws(() => a.entity(define('counter', { shards: 9 }), 'x'), { code: 'type_conflict' });
});

test('an ask whose answer does not come in time says that its outcome is not known', async () => {
  const fleet = newFleet();
  const a = await fleet.start('a', Deaf);
  await fleet.spread('deaf', 'a');
  const ask = a.entity(Deaf, 'd').ask('wait', { timeoutMs: 500 });
  await assert.rejects(fleet.settle(ask), { code: 'outcome_unknown' });
});

test('a durable entity survives its node; an idle one leaves memory and comes back', async () => {
  const fleet = newFleet();
  const Account = define('account', { durable: true, passivateAfterMs: 2_000 });
  const a = await fleet.start('a', Account);
  await fleet.start('b', Account);
  await fleet.spread('account', 'a', 'b');
  for (let i = 0; i < 10; i++) {
    await fleet.settle(a.entity(Account, `acc-${i}`).ask({ add: i }));
  }
  const inMemory = async () => {
    const shards = await fleet.settle(a.describe());
    return shards.reduce((sum, { entities }) => sum + entities, 0);
  };
  assert.equal(await inMemory(), 10);
  await fleet.fleet.clock.run(8_000);
  assert.equal(await inMemory(), 0);
  assert.equal(await fleet.settle(a.entity(Account, 'acc-3').ask('get')), 3);
  fleet.fleet.crash('b');
  fleet.nodes.delete('b');
  await fleet.spread('account', 'a');
  for (let i = 0; i < 10; i++) {
    assert.equal(await fleet.settle(a.entity(Account, `acc-${i}`).ask('get')), i);
  }
  // A failure in the middle of a change leaves nothing of it.
  await assert.rejects(fleet.settle(a.entity(Account, 'acc-5').ask('fail')));
  assert.equal(await fleet.settle(a.entity(Account, 'acc-5').ask('get')), 5);
});

test('reading a durable entity writes nothing', async () => {
  const fleet = newFleet();
  const Account = define('account', { durable: true });
  const a = await fleet.start('a', Account);
  await fleet.spread('account', 'a');
  await fleet.settle(a.entity(Account, 'x').ask({ add: 1 }));
  let appended = 0;
  const { append } = fleet.journal;
  fleet.journal.append = (...args) => {
    appended++;
    return append.apply(fleet.journal, args);
  };
  await fleet.settle(a.entity(Account, 'x').ask('get'));
  assert.equal(appended, 0);
  await fleet.settle(a.entity(Account, 'x').ask({ add: 1 }));
  assert.equal(appended, 1);
});

test('remembered entities are started again where their shards are recovered', async () => {
  const fleet = newFleet();
  const Watcher = define('watcher', { remember: true });
  const a = await fleet.start('a', Watcher);
  await fleet.start('b', Watcher);
  await fleet.spread('watcher', 'a', 'b');
  for (let i = 0; i < 10; i++) await fleet.settle(a.entity(Watcher, `w-${i}`).ask('get'));
  fleet.fleet.crash('b');
  fleet.nodes.delete('b');
  await fleet.spread('watcher', 'a');
  await fleet.fleet.clock.run(100);
  const shards = await fleet.settle(a.describe());
  assert.equal(
    shards.reduce((sum, { entities }) => sum + entities, 0),
    10,
  );
});

test('over the cap those that were idle longest leave memory', async () => {
  const fleet = newFleet();
  const Account = define('account', { durable: true, maxActive: 5 });
  const a = await fleet.start('a', Account);
  await fleet.spread('account', 'a');
  for (let i = 0; i < 12; i++) {
    await fleet.settle(a.entity(Account, `acc-${i}`).ask({ add: 1 }));
    await fleet.fleet.clock.run(1);
  }
  const shards = await fleet.settle(a.describe());
  const entities = shards.reduce((sum, shard) => sum + shard.entities, 0);
  assert.ok(entities <= 5, `${entities} in memory`);
  for (let i = 0; i < 12; i++) {
    assert.equal(await fleet.settle(a.entity(Account, `acc-${i}`).ask('get')), 1);
  }
});

test('asks one after the other leave the event loop its turns, and keep their order', async () => {
  const fleet = newFleet();
  const Counter = define('counter');
  const a = await fleet.start('a', Counter);
  await fleet.spread('counter', 'a');
  const counter = a.entity(Counter, 'x');
  let turns = 0;
  let running = true;
  const turn = () => {
    turns++;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  for (let i = 1; i <= 5_000; i++) assert.equal(await counter.ask({ add: 1 }), i);
  running = false;
  assert.ok(turns > 5, `${turns} turns`);
  const asks = Array.from({ length: 2_000 }, () => counter.ask({ add: 1 }));
  assert.deepEqual(
    await Promise.all(asks),
    Array.from({ length: 2_000 }, (_, i) => 5_001 + i),
  );
});

test('a node that stops leaves no ask without an outcome', async () => {
  const fleet = newFleet();
  const a = await fleet.start('a', Deaf);
  await fleet.spread('deaf', 'a');
  const asks = Array.from({ length: 600 }, () => a.entity(Deaf, 'd').ask('wait'));
  const outcomes = Promise.allSettled(asks);
  await fleet.settle(a.stop());
  const codes = (await fleet.settle(outcomes)).map((outcome) =>
    outcome.status === 'rejected' ? outcome.reason.code : 'answered',
  );
  assert.equal(codes[0], 'outcome_unknown');
  assert.deepEqual(new Set(codes.slice(1)), new Set(['not_delivered']));
});

test('a draining node gives away what its entities hold in memory', async () => {
  const fleet = newFleet();
  const Counter = define('counter');
  const a = await fleet.start('a', Counter);
  const b = await fleet.start('b', Counter);
  await fleet.spread('counter', 'a', 'b');
  for (let i = 0; i < 30; i++) await fleet.settle(a.entity(Counter, `c-${i}`).ask({ add: i }));
  assert.equal(await fleet.settle(b.drain(30_000)), true);
  await fleet.spread('counter', 'a');
  for (let i = 0; i < 30; i++) {
    assert.equal(await fleet.settle(a.entity(Counter, `c-${i}`).ask('get')), i);
  }
  b.undrain();
  await fleet.spread('counter', 'a', 'b');
});
