// Durable and remembered entities as their users see them: what an answer promises, what a failure
// leaves, what comes back unasked.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError, silentLogger } from '../../src/core/index.ts';
import { defineEntity, FileJournal, StoreJournal } from '../../src/sharding/index.ts';
import { newFleet } from './entity-fleet.ts';
import { FaultyDisk } from './faulty-disk.ts';
import type { EntityOptions, Journal } from '../../src/sharding/index.ts';
import type { EntityFleet } from './entity-fleet.ts';

interface Account {
  value: number;
  note: string;
}

const define = (options: EntityOptions = {}) =>
  defineEntity({
    name: 'account',
    shards: 4,
    durable: true,
    initial: (): Account => ({ value: 0, note: '' }),
    handlers: {
      add: (state, amount: number) => {
        state.value += amount;
        return state.value;
      },
      get: (state) => state.value,
      write: (state, length: number) => {
        state.note = 'x'.repeat(length);
        return state.note.length;
      },
      fail: (state) => {
        state.value = -1_000;
        throw new Error('half-way');
      },
      refuse: (state) => {
        state.value = -1_000;
        throw new FlotillaError('too_much', 'more than there is');
      },
    },
    ...options,
  });

/** One node, and an entity of it. */
async function alone(options: EntityOptions = {}, journal?: Journal) {
  const fleet = newFleet(journal);
  const Account = define(options);
  const a = await fleet.start('a', Account);
  await fleet.spread('account', 'a');
  return { fleet, a, Account, account: a.entity(Account, 'x') };
}

/** Answers, and codes of errors. */
async function codesOf(fleet: EntityFleet, asks: readonly Promise<number>[]): Promise<unknown[]> {
  const outcomes = await fleet.settle(Promise.allSettled(asks));
  return outcomes.map((outcome) =>
    outcome.status === 'rejected' ? outcome.reason.code : outcome.value,
  );
}

test('nobody is answered before the state is on disk', async () => {
  const { fleet, account } = await alone();
  const gate = Promise.withResolvers<void>();
  const append = fleet.journal.append.bind(fleet.journal);
  fleet.journal.append = (...args) => gate.promise.then(() => append(...args));
  let answered = 0;
  const count = () => {
    answered++;
  };
  const first = account.ask({ add: 1 }).then(count);
  const second = account.ask('get').then((value) => {
    assert.equal(value, 1);
    answered++;
  });
  await fleet.fleet.clock.run(1_000);
  assert.equal(answered, 0);
  gate.resolve();
  await fleet.settle(Promise.all([first, second]));
  assert.equal(answered, 2);
});

test('what may not be on disk is unknown; the entity is what the disk has', async () => {
  const { fleet, account } = await alone();
  await fleet.settle(account.ask({ add: 5 }));
  const { journal } = fleet;
  const append = journal.append.bind(journal);
  // Once it is there and once it is not: the entity shows which.
  for (const kept of [false, true]) {
    journal.append = async (...args) => {
      journal.append = append;
      if (kept) await append(...args);
      throw new FlotillaError('peer_disconnected', 'the keeper is gone');
    };
    await assert.rejects(fleet.settle(account.ask({ add: 10 })), { code: 'outcome_unknown' });
    assert.equal(await fleet.settle(account.ask('get')), kept ? 15 : 5);
  }
});

test('a journal that cannot be read lets nothing happen, and comes back', async () => {
  const { fleet, account } = await alone();
  const { journal } = fleet;
  const load = journal.load.bind(journal);
  journal.load = async () => {
    throw new FlotillaError('journal_unavailable', 'no');
  };
  await assert.rejects(fleet.settle(account.ask({ add: 1 })), { code: 'not_delivered' });
  journal.load = load;
  assert.equal(await fleet.settle(account.ask({ add: 1 })), 1);
});

test('a state that is too large is refused by name, and the last one stays', async () => {
  const options = { maxStateBytes: 999 };
  const components = { log: silentLogger, disk: new FaultyDisk() };
  const journal = await FileJournal.open('/journal', components, options);
  const { fleet, account } = await alone({}, journal);
  await fleet.settle(account.ask({ add: 3 }));
  await assert.rejects(fleet.settle(account.ask({ write: 5_000 })), { code: 'state_too_large' });
  assert.equal(await fleet.settle(account.ask('get')), 3);
  assert.equal(await fleet.settle(account.ask({ write: 500 })), 500);
});

test('a refusal, or a failure, of a durable entity leaves what the disk has', async () => {
  for (const onFailure of ['restart', 'stop'] as const) {
    const { fleet, account } = await alone({ onFailure });
    await fleet.settle(account.ask({ add: 3 }));
    await assert.rejects(fleet.settle(account.ask('refuse')), { code: 'too_much' });
    assert.equal(await fleet.settle(account.ask('get')), 3);
    const failed = assert.rejects(account.ask('fail'), { code: 'entity_failed' });
    const behind = account.ask({ add: 1 });
    await fleet.settle(failed);
    assert.equal(await fleet.settle(behind), 4, onFailure);
  }
});

test('policy stop lets an entity go; what waits for it has a fresh one', async () => {
  const { fleet, account } = await alone({ durable: false, onFailure: 'stop' });
  await fleet.settle(account.ask({ add: 3 }));
  await assert.rejects(fleet.settle(account.ask('fail')), { code: 'entity_failed' });
  assert.equal(await fleet.active(), 0);
  const failed = assert.rejects(account.ask('fail'), { code: 'entity_failed' });
  const behind = account.ask({ add: 1 });
  await fleet.settle(failed);
  assert.equal(await fleet.settle(behind), 1);
  assert.equal(await fleet.active(), 1);
});

test('an entity that fails too often rests, with what waits for it, and comes back', async () => {
  const { fleet, account } = await alone({ maxRestarts: 2, restartWindowMs: 5_000 });
  await fleet.settle(account.ask({ add: 3 }));
  const asks = ['fail', 'fail', 'fail', 'get', 'get'].map((name) => account.ask(name as 'get'));
  const failed = 'entity_failed';
  assert.deepEqual(await codesOf(fleet, asks), [
    ...[failed, failed, failed],
    ...['entity_stopped', 'entity_stopped'],
  ]);
  await fleet.fleet.clock.run(5_000);
  assert.equal(await fleet.settle(account.ask('get')), 3);
});

test('what was told and lost is counted, wherever it was lost', async () => {
  const { fleet, a, Account, account } = await alone({ mailboxCapacity: 2 });
  const { journal } = fleet;
  const load = journal.load.bind(journal);
  const gate = Promise.withResolvers<void>();
  journal.load = (...args) => gate.promise.then(() => load(...args));
  for (let i = 0; i < 5; i++) account.tell({ add: 1 });
  assert.equal(a.lostTells, 3);
  gate.resolve();
  await fleet.fleet.clock.run(10);
  assert.equal(await fleet.settle(account.ask('get')), 2);
  await fleet.start('b', Account);
  await fleet.spread('account', 'a', 'b');
  fleet.crash('b');
  for (let i = 0; i < 40; i++) a.entity(Account, `e-${i}`).tell({ add: 1 });
  await fleet.fleet.clock.run(20_000);
  let arrived = 0;
  for (let i = 0; i < 40; i++) {
    arrived += await fleet.settle(a.entity(Account, `e-${i}`).ask('get'));
  }
  assert.equal(arrived + a.lostTells - 3, 40);
});

test('a mailbox is bounded for senders on other nodes too', async () => {
  const { fleet, Account } = await alone({ mailboxCapacity: 3 });
  const b = await fleet.start('b', Account);
  await fleet.spread('account', 'a', 'b');
  assert.equal(await fleet.settle(b.drain(30_000)), true);
  const { journal } = fleet;
  const load = journal.load.bind(journal);
  const gate = Promise.withResolvers<void>();
  journal.load = (...args) => gate.promise.then(() => load(...args));
  const asks = Array.from({ length: 8 }, () => b.entity(Account, 'far').ask({ add: 1 }));
  const codes = codesOf(fleet, asks);
  await fleet.fleet.clock.run(1_000);
  gate.resolve();
  assert.deepEqual(await codes, [1, 2, 3, ...Array<string>(5).fill('mailbox_full')]);
});

for (const durable of [false, true]) {
  test(`remembered entities come back unasked, ${durable ? 'with' : 'without'} state`, async () => {
    const { fleet, a, Account } = await alone({ durable, remember: true });
    const b = await fleet.start('b', Account);
    await fleet.spread('account', 'a', 'b');
    const values = () =>
      Promise.all(
        Array.from({ length: 12 }, (_, i) => fleet.settle(a.entity(Account, `e-${i}`).ask('get'))),
      );
    const all = Array.from({ length: 12 }, (_, i) => i);
    for (const i of all) await fleet.settle(a.entity(Account, `e-${i}`).ask({ add: i }));
    // Moved as planned, they take along what they hold.
    assert.equal(await fleet.settle(b.drain(30_000)), true);
    assert.equal(await fleet.active(), 12);
    assert.deepEqual(await values(), all);
    b.undrain();
    await fleet.spread('account', 'a', 'b');
    fleet.crash('b');
    await fleet.spread('account', 'a');
    await fleet.fleet.clock.run(1_000);
    assert.equal(await fleet.active(), 12);
    const found = await values();
    if (durable) assert.deepEqual(found, all);
    else assert.ok(found.every((value, i) => value === i || value === 0));
  });
}

test('idle or over the cap, a durable entity loses nothing', async () => {
  const { fleet, a, Account } = await alone({ maxActive: 4, passivateAfterMs: 1_000 });
  const expected = Array<number>(10).fill(0);
  for (let round = 1; round <= 5; round++) {
    const asks = expected.map((_, i) => a.entity(Account, `e-${i}`).ask({ add: 1 }));
    for (const [i, outcome] of (await codesOf(fleet, asks)).entries()) {
      // More than there may be, all busy: then it is said, and nothing happens.
      if (outcome !== 'not_delivered') assert.equal(outcome, ++expected[i]!);
    }
    assert.ok((await fleet.active()) <= 4);
    await fleet.fleet.clock.run(2_000);
    assert.equal(await fleet.active(), 0);
  }
  assert.ok(expected.some((count) => count === 5));
  for (const [i, count] of expected.entries()) {
    assert.equal(await fleet.settle(a.entity(Account, `e-${i}`).ask('get')), count);
  }
});

test('a journal in the store carries entities over the loss of their node', async () => {
  const fleet = newFleet();
  const Account = define();
  const start = (name: string) =>
    fleet.start(name, Account, { journal: new StoreJournal(fleet.store) });
  const a = await start('a');
  await start('b');
  await fleet.spread('account', 'a', 'b');
  for (let i = 0; i < 12; i++) await fleet.settle(a.entity(Account, `e-${i}`).ask({ add: i }));
  for (let i = 0; i < 12; i++) {
    const large = a.entity(Account, `e-${i}`).ask({ write: 2 ** 20 });
    await assert.rejects(fleet.settle(large), { code: 'state_too_large' });
  }
  fleet.crash('b');
  await fleet.spread('account', 'a');
  for (let i = 0; i < 12; i++) {
    assert.equal(await fleet.settle(a.entity(Account, `e-${i}`).ask('get')), i);
  }
});
