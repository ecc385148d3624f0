// Messages are typed from the definition to the sender's call, and what arrives is what the types
// say. The lines that must not compile are checked by tsc: an error that is none is one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { defineEntity } from '../../src/sharding/index.ts';
import { newFleet } from './entity-fleet.ts';
import type { EntityContext, EntityReference, EntityType } from '../../src/sharding/index.ts';

interface Basket {
  readonly items: { name: string; price: number }[];
}

const Shop = defineEntity({
  name: 'shop',
  shards: 8,
  initial: (): Basket => ({ items: [] }),
  handlers: {
    put: (state, item: { name: string; price: number }) => {
      state.items.push(item);
    },
    total: (state) => state.items.reduce((sum, { price }) => sum + price, 0),
    names: async (state) => state.items.map(({ name }) => name),
    cheaper: (state, than = 10) => state.items.filter(({ price }) => price < than).length,
    last: (state) => state.items.at(-1),
    all: (state) => state.items,
    where: (_, __: undefined, context: EntityContext) => `${context.node} ${context.id}`,
    broken: () => ({ odd: Symbol('odd') }),
    take: (_, what: unknown) => what !== undefined,
  },
});

type Handlers = typeof Shop extends EntityType<Basket, infer H> ? H : never;

/** Not run: what the compiler says of it is the test. */
export function typed(basket: EntityReference<Handlers>): void {
  basket.tell({ put: { name: 'pear', price: 3 } });
  basket.tell('total');
  const total: Promise<number> = basket.ask('total');
  const names: Promise<string[]> = basket.ask('names');
  const last: Promise<{ name: string; price: number } | undefined> = basket.ask('last');
  const none: Promise<void> = basket.ask({ put: { name: 'plum', price: 1 } }, { timeoutMs: 5 });
  const some: Promise<number>[] = [basket.ask('cheaper'), basket.ask({ cheaper: 5 })];
  void [total, names, last, none, some];
  // @ts-expect-error no handler has this name
  void basket.ask('sum');
  // @ts-expect-error no handler has this name
  basket.tell({ remove: 'pear' });
  // @ts-expect-error it needs an argument
  void basket.ask('put');
  // @ts-expect-error of another type
  void basket.ask({ put: 'pear' });
  // @ts-expect-error a part is missing
  basket.tell({ put: { name: 'pear' } });
  // @ts-expect-error of another type
  void basket.ask({ cheaper: 'five' });
  // @ts-expect-error a number
  const wrong: Promise<string> = basket.ask('total');
  // @ts-expect-error two messages in one
  void basket.ask({ cheaper: 5, sum: 1 });
  // @ts-expect-error a deadline is a number
  void basket.ask('total', { timeoutMs: 'soon' });
  void wrong;
  defineEntity({
    name: 'odd',
    initial: () => ({ value: 0 }),
    handlers: {
      // @ts-expect-error the state has no such part
      get: (state) => state.count,
    },
  });
  // @ts-expect-error a state is an object
  defineEntity({ name: 'odd', initial: () => 5, handlers: {} });
}

test('what a handler gets and gives is the same on its own node and on another', async () => {
  const fleet = newFleet();
  const a = await fleet.start('a', Shop);
  const b = await fleet.start('b', Shop);
  await fleet.spread('shop', 'a', 'b');
  for (const [index, node] of [a, b, a, b, a, b].entries()) {
    const basket = node.entity(Shop, `basket-${index}`);
    assert.equal(await fleet.settle(basket.ask('last')), undefined);
    assert.equal(await fleet.settle(basket.ask({ put: { name: 'pear', price: 7 } })), undefined);
    basket.tell({ put: { name: 'fig', price: 12 } });
    assert.equal(await fleet.settle(basket.ask('total')), 19);
    assert.deepEqual(await fleet.settle(basket.ask('names')), ['pear', 'fig']);
    assert.equal(await fleet.settle(basket.ask('cheaper')), 1);
    assert.equal(await fleet.settle(basket.ask({ cheaper: 20 })), 2);
    assert.deepEqual(await fleet.settle(basket.ask('last')), { name: 'fig', price: 12 });
    const where = await fleet.settle(basket.ask('where'));
    assert.match(where, new RegExp(`^[ab] basket-${index}$`));
    const unfit = { code: 'body_unencodable' };
    await assert.rejects(fleet.settle(basket.ask('broken')), unfit);
    await assert.rejects(fleet.settle(basket.ask({ take: [Symbol('odd')] })), unfit);
    assert.equal(await fleet.settle(basket.ask({ take: [] })), true);
  }
  assert.equal(await fleet.settle(a.drain(30_000)), true);
});

test('an answer is the state of its moment; nobody reaches into the entity by it', async () => {
  const fleet = newFleet();
  const a = await fleet.start('a', Shop);
  const b = await fleet.start('b', Shop);
  await fleet.spread('shop', 'a', 'b');
  for (const node of [a, b, a, b]) {
    for (let i = 0; i < 4; i++) {
      const basket = node.entity(Shop, `moment-${i}`);
      const before = await fleet.settle(basket.ask('all'));
      const asked = basket.ask('all');
      basket.tell({ put: { name: 'late', price: 1 } });
      assert.deepEqual(await fleet.settle(asked), before);
      before.push({ name: 'mine', price: 1_000 });
      const after = await fleet.settle(basket.ask('all'));
      assert.deepEqual(
        after.map(({ name }) => name),
        before.map(() => 'late'),
      );
    }
  }
});

test('plain JavaScript that names no handler, or two, is told so', async () => {
  const fleet = newFleet();
  const a = await fleet.start('a', Shop);
  await fleet.spread('shop', 'a');
  const basket = a.entity(Shop, 'x') as unknown as { ask(message: unknown): Promise<unknown> };
  const two = { cheaper: 1, total: undefined };
  await assert.rejects(basket.ask(two), { code: 'invalid_option', message: /cheaper, total/ });
  for (const odd of [{}, null, undefined, 5, [], 'none']) {
    await assert.rejects(fleet.settle(basket.ask(odd)), { code: 'handler_unknown' });
  }
});

test('a definition is checked where it is made', () => {
  const handlers = { get: (state: Basket) => state };
  const definition = { name: 'x', initial: (): Basket => ({ items: [] }), handlers };
  const odd: readonly [string, object][] = [
    ['name', { name: '' }],
    ['name', { name: 'a/b' }],
    ['name', { name: 'x'.repeat(65) }],
    ['shards', { shards: 0 }],
    ['shards', { shards: 2.5 }],
    ['shards', { shards: 16_385 }],
    ['onFailure', { onFailure: 'explode' }],
    ['durable', { durable: 'yes' }],
    ['remember', { remember: 1 }],
    ['maxRestarts', { maxRestarts: 0 }],
    ['restartWindowMs', { restartWindowMs: Number.NaN }],
    ['mailboxCapacity', { mailboxCapacity: -1 }],
    ['passivateAfterMs', { passivateAfterMs: 0 }],
    ['maxActive', { maxActive: 0 }],
    ['initial', { initial: { items: [] } }],
    ['handlers', { handlers: {} }],
    ['handlers', { handlers: { get: 5 } }],
    ['allocation', { allocation: 'pinned' }],
    ['allocation', { allocation: { name: '' } }],
    ['allocation.pins', { allocation: { name: 'pinned', pins: { '-1': 'a' } } }],
    ['allocation.pins', { allocation: { name: 'pinned', pins: { 256: 'a' } } }],
    ['allocation.pins', { allocation: { name: 'pinned', pins: { 0: 5 } } }],
  ];
  for (const [option, part] of odd) {
    const wrong = { ...definition, ...part } as typeof definition;
    assert.throws(
      () => defineEntity(wrong),
      (error) => hasCode(error, 'invalid_option') && error.details['option'] === option,
      option,
    );
  }
  assert.equal(defineEntity(definition).shards, 256);
});
