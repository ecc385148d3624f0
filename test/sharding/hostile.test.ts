// A member of the fleet that is broken, or means no good: whatever it says about shards, it gets a
// typed error, and nobody else notices.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode, silentLogger } from '../../src/core/index.ts';
import {
  defineEntity,
  FileJournal,
  RemoteJournal,
  serveJournal,
} from '../../src/sharding/index.ts';
import { packEntities, readOutcome } from '../../src/sharding/messages.ts';
import { Outgoing } from '../../src/sharding/outgoing.ts';
import { newFleet } from './entity-fleet.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { Grants, Wire } from './journals.ts';
import type { PeerHost } from '../../src/peer/index.ts';
import type { Sharding } from '../../src/sharding/index.ts';
import type { EntityFleet } from './entity-fleet.ts';

interface Count {
  value: number;
}

const defineCounter = (name: string) =>
  defineEntity({
    name,
    shards: 8,
    initial: (): Count => ({ value: 0 }),
    handlers: {
      add: (state, amount: number) => {
        state.value += amount;
        return state.value;
      },
      get: (state) => state.value,
      echo: (_, what: unknown) => what,
    },
  });
const Counter = defineCounter('counter');
const IDS = Array.from({ length: 24 }, (_, i) => `user-${i}`);

interface Scene {
  readonly fleet: EntityFleet;
  readonly a: Sharding;
  readonly b: Sharding;
  readonly evil: PeerHost;
  call(to: string, procedure: string, body: unknown, bytes?: Uint8Array): Promise<unknown>;
  /** Its code. */
  refusal(to: string, procedure: string, body: unknown, bytes?: Uint8Array): Promise<string>;
}

/** Two nodes with counters that stand at their index, and a third that hosts nothing. */
async function scene(): Promise<Scene> {
  const fleet = newFleet();
  const a = await fleet.start('a', Counter);
  const b = await fleet.start('b', Counter);
  const evil = await fleet.fleet.start('evil');
  await fleet.spread('counter', 'a', 'b');
  for (const [index, id] of IDS.entries()) {
    await fleet.settle(a.entity(Counter, id).ask({ add: index }));
  }
  const call = (to: string, procedure: string, body: unknown, bytes?: Uint8Array) => {
    const payload = bytes === undefined ? { body } : { body, bytes };
    return fleet.settle(evil.call(to, procedure, payload, { timeoutMs: 2_000 }));
  };
  const refusal = async (...args: Parameters<typeof call>) => {
    try {
      await call(...args);
    } catch (error) {
      assert.ok(hasCode(error), String(error));
      return error.code;
    }
    return 'taken';
  };
  return { fleet, a, b, evil, call, refusal };
}

async function isUnharmed({ fleet, a, b }: Scene): Promise<void> {
  for (const [index, id] of IDS.entries()) {
    for (const node of [a, b]) {
      assert.equal(await fleet.settle(node.entity(Counter, id).ask('get')), index, id);
    }
  }
}

const own = (sharding: Sharding, id: string) => {
  const { shard } = sharding.entity(Counter, id);
  return { shard, ...sharding.view.tables.get('counter')!.entries[shard]! };
};

const PROCEDURES = ['deliver', 'stage', 'released', 'describe'].map((name) => `sharding.${name}`);

test('bodies that are nothing, or nearly something, are refused by name', async () => {
  const all = await scene();
  const { shard, epoch } = own(all.a, IDS[1]!);
  const odd = fc.oneof(
    fc.constantFrom<unknown>(null, undefined, -1, 0.5, NaN, Infinity, 2 ** 53, 2 ** 32, '', {}),
    fc.constantFrom<unknown>('__proto__', 'constructor', '\ud800', 'x'.repeat(5_000), [[]], true),
  );
  const near = (values: readonly unknown[]) =>
    fc
      .tuple(fc.nat(values.length), odd)
      .map(([at, value]) => values.with(at % values.length, value));
  const body = fc.oneof(
    odd,
    fc.object(),
    near(['counter', shard, epoch, IDS[1], 'get', 1_000]),
    near(['counter', shard, epoch, IDS[1], 'get', 1_000, 1]),
    near(['counter', shard, epoch + 1, 0, 1]).map(([type, of, at, part, parts]) => {
      return { type, shard: of, epoch: at, part, parts };
    }),
    near(['counter', [[shard, epoch]]]).map(([type, shards]) => ({ type, shards })),
  );
  const harmless = ['taken', 'shard_message_invalid', 'shard_moved', 'type_unknown'];
  harmless.push('handler_unknown', 'entity_id_invalid', 'deadline_exceeded', 'shard_not_owned');
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('a', 'b'),
      fc.constantFrom(...PROCEDURES),
      body,
      fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined }),
      async (to, procedure, content, bytes) => {
        const code = await all.refusal(to, procedure, content, bytes);
        assert.ok(harmless.includes(code), `${procedure}: ${code}`);
      },
    ),
    { numRuns: 600 },
  );
  await isUnharmed(all);
});

test('a message for a shard that its entity is not in makes no second entity', async () => {
  const all = await scene();
  const { shard, owner } = own(all.a, IDS[1]!);
  const entries = all.a.view.tables.get('counter')!.entries;
  for (const [other, entry] of entries.entries()) {
    if (other === shard || entry.owner !== owner) continue;
    const body = ['counter', other, entry.epoch, IDS[1], 'add', 1_000, 100];
    assert.equal(await all.refusal(owner, 'sharding.deliver', body), 'shard_message_invalid');
  }
  for (const none of [8, 9, 2 ** 40]) {
    const body = ['counter', none, 1, IDS[1], 'add', 1_000, 100];
    assert.equal(await all.refusal(owner, 'sharding.deliver', body), 'shard_message_invalid');
  }
  await isUnharmed(all);
});

test('times without end and epochs without number are none', async () => {
  const all = await scene();
  const { shard, owner, epoch } = own(all.a, IDS[1]!);
  for (const leftMs of [NaN, Infinity, -Infinity, -1, 0, 1e12, '5', null]) {
    const body = ['counter', shard, epoch, IDS[1], 'add', leftMs, 100];
    assert.equal(await all.refusal(owner, 'sharding.deliver', body), 'shard_message_invalid');
  }
  for (const odd of [NaN, Infinity, -1, 0.5, 2 ** 53, 2n ** 63n, '1', null]) {
    const body = ['counter', shard, odd, IDS[1], 'add', 1_000, 100];
    assert.equal(await all.refusal(owner, 'sharding.deliver', body), 'shard_message_invalid');
  }
  // One that nobody has heard of waits for its time and no longer, and in nobody's way.
  const body = ['counter', shard, 2 ** 53 - 1, IDS[1], 'add', 1_000, 100];
  const waits = all.refusal(owner, 'sharding.deliver', body);
  await isUnharmed(all);
  assert.equal(await waits, 'taken');
  await isUnharmed(all);
  const counter = all.a.entity(Counter, IDS[1]!);
  for (const timeoutMs of [NaN, Infinity, -1, 0]) {
    await assert.rejects(counter.ask('get', { timeoutMs }), { code: 'invalid_option' });
  }
});

test('names that every object has are ids and handlers like any other', async () => {
  const { fleet, a, b } = await scene();
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype'];
  for (const name of names) {
    assert.equal(await fleet.settle(a.entity(Counter, name).ask({ add: 2 })), 2);
    assert.equal(await fleet.settle(b.entity(Counter, name).ask({ add: 2 })), 4);
    const odd = a.entity(Counter, 'x') as unknown as { ask(message: unknown): Promise<unknown> };
    await assert.rejects(fleet.settle(odd.ask(name)), { code: 'handler_unknown' });
    const own = JSON.parse(`{"${name}": 1}`) as object;
    await assert.rejects(fleet.settle(odd.ask(own)), { code: 'handler_unknown' });
  }
  const argument = JSON.parse('{"__proto__": {"polluted": 1}}') as object;
  for (const node of [a, b]) await fleet.settle(node.entity(Counter, 'x').ask({ echo: argument }));
  assert.equal(({} as { polluted?: number }).polluted, undefined);
});

/** State for the entities of a shard, as an owner would hand it over. */
const stateOf = (id: string, value: number) => {
  const [bytes] = packEntities([{ id, state: { value } }], 1_000, () => {});
  return bytes!;
};

test('nobody but its owner hands a shard over', async () => {
  const all = await scene();
  for (const id of IDS) {
    const { shard, owner, epoch } = own(all.a, id);
    const target = owner === 'a' ? 'b' : 'a';
    const part = { type: 'counter', shard, part: 0, isLast: true };
    for (const [at, code] of [
      [epoch + 1, 'shard_not_owned'],
      [epoch + 2, 'shard_not_owned'],
      [2 ** 53 - 1, 'shard_not_owned'],
      [epoch, 'shard_moved'],
    ] as const) {
      const body = { ...part, epoch: at };
      const state = stateOf(id, 666);
      assert.equal(await all.refusal(target, 'sharding.stage', body, state), code);
    }
    const none = { ...part, shard: 8, epoch: 1 };
    assert.equal(await all.refusal(target, 'sharding.stage', none), 'shard_moved');
  }
  assert.equal(await all.fleet.settle(all.b.drain(30_000)), true);
  await isUnharmed(all);
});

test('nobody but its owner says that a shard was let go of', async () => {
  const fleet = newFleet();
  const gate = Promise.withResolvers<void>();
  const Slow = defineEntity({
    name: 'slow',
    shards: 1,
    initial: () => ({ calls: 0 }),
    handlers: {
      count: async (state) => {
        await gate.promise;
        return ++state.calls;
      },
    },
  });
  const a = await fleet.start('a', Slow);
  await fleet.spread('slow', 'a');
  const b = await fleet.start('b', Slow);
  const evil = await fleet.fleet.start('evil');
  const asked = a.entity(Slow, 'x').ask('count');
  const drained = a.drain(60_000);
  const entry = () => a.view.tables.get('slow')!.entries[0]!;
  await fleet.fleet.until(() => entry().move !== undefined);
  for (const epoch of [entry().epoch, entry().epoch + 1, 2 ** 53 - 1]) {
    const body = { type: 'slow', shards: [[0, epoch]] };
    for (const to of ['a', 'b']) {
      await fleet.settle(evil.call(to, 'sharding.released', { body }));
    }
  }
  await fleet.fleet.clock.run(1_000);
  assert.equal(entry().owner, 'a');
  gate.resolve();
  assert.equal(await fleet.settle(asked), 1);
  assert.equal(await fleet.settle(drained), true);
  assert.equal(entry().owner, 'b');
  assert.equal(await fleet.settle(b.entity(Slow, 'x').ask('count')), 2);
});

test('only the owner of a shard gets at its journal, and only at its epoch', async () => {
  const grants = new Grants();
  const wire = new Wire();
  const disk = new FaultyDisk();
  const kept = await FileJournal.open('/journal', { log: silentLogger, disk });
  serveJournal(wire, kept, grants.store);
  const key = { type: 'counter', shard: 3, epoch: 4 };
  grants.grant('a', key);
  const a = new RemoteJournal(wire.of('a'), 'keeper');
  const evil = new RemoteJournal(wire.of('evil'), 'keeper');
  await a.open(key);
  await a.append(key, 'x', Buffer.from('true'));
  const denied = { code: 'shard_not_owned' };
  const attempts = [
    key,
    { ...key, epoch: 5 },
    { ...key, epoch: 2 ** 53 - 1 },
    { ...key, shard: 4 },
  ];
  for (const at of attempts) {
    await assert.rejects(evil.open(at), denied);
    await assert.rejects(evil.append(at, 'x', Buffer.from('false')), denied);
    await assert.rejects(evil.load(at, 'x'), denied);
  }
  // Nor may an owner reach ahead, and shut its successors out.
  await assert.rejects(a.open({ ...key, epoch: 2 ** 53 - 1 }), denied);
  assert.equal(Buffer.from((await a.load(key, 'x'))!).toString(), 'true');
  for (const body of [null, [], [1, 2, 3, 4], ['counter', 3, 4, 'x', 5], { type: 'counter' }]) {
    for (const procedure of ['open', 'load', 'append']) {
      const call = wire.of('a').call('', `journal.${procedure}`, { body });
      await assert.rejects(call, { code: 'shard_message_invalid' });
    }
  }
  grants.grant('b', { ...key, epoch: 5 });
  const b = new RemoteJournal(wire.of('b'), 'keeper');
  assert.deepEqual(await b.open({ ...key, epoch: 5 }), ['x']);
  await kept.close();
});

test('answers that are none cost the asker its answer and nothing else', async () => {
  const outcomes: unknown[] = [];
  const settle = { resolve: (reply: unknown) => outcomes.push(reply), reject: () => {} };
  const region = { answered() {}, refused() {}, expired() {} };
  const content = { shard: 0, id: 'x', handler: 'get', argument: 1, deadlineMs: 1 };
  const bodies = [null, 1, 'text', {}, [1, 2, 3], [null, 5], [null, { code: '' }]];
  for (const body of [...bodies, [null, { code: 'x'.repeat(65), message: 'm' }]]) {
    const message = new Outgoing(region, content, settle);
    assert.throws(() => readOutcome({ body }, message), { code: 'shard_message_invalid' });
  }
  assert.deepEqual(outcomes, []);
  // A listing that is none leaves its node out.
  const { fleet, a, evil } = await scene();
  await fleet.store.compareAndSwap([], [{ put: 'sharding/nodes/evil', value: Buffer.from('{}') }]);
  let body: unknown;
  evil.handle('sharding.describe', () => ({ body }));
  const screen = { types: [{ type: 'x', shards: [[0, 1, '\u001b[2J', 1]] }] };
  for (body of [null, { types: 5 }, screen]) {
    const shards = await fleet.settle(a.describe());
    assert.equal(shards.length, 8);
    assert.ok(shards.every(({ state }) => state === 'running'));
  }
});

test('who defines a type with another number of shards reaches nobody by mistake', async () => {
  const all = await scene();
  const Other = { ...Counter, shards: 9 };
  // It has not heard of the type when it defines its own.
  const c = await all.fleet.start('c', Other);
  const ask = (id: string) => c.entity(Other as typeof Counter, id).ask('get', { timeoutMs: 500 });
  for (const [index, id] of IDS.entries()) {
    const answer = await all.fleet.settle(ask(id)).catch((error: unknown) => error);
    assert.ok(answer === index || hasCode(answer), `${id}: ${String(answer)}`);
  }
  await all.fleet.fleet.clock.run(1_000);
  await assert.rejects(all.fleet.settle(ask(IDS[1]!)), { code: 'type_conflict' });
  await isUnharmed(all);
});
