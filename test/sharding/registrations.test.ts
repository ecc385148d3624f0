// What a node says of its types to the store: it counts as said once it is seen there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../src/core/index.ts';
import { defineEntity } from '../../src/sharding/index.ts';
import { OwnershipView, regionKey } from '../../src/sharding/ownership-view.ts';
import { Registrations } from '../../src/sharding/registrations.ts';
import type { AnyEntityType } from '../../src/sharding/index.ts';
import type { SwapResult, Write } from '../../src/store/index.ts';

test('a node that drains right after it took shards again has not said so yet', async () => {
  const view = new OwnershipView();
  const type = defineEntity({ name: 't', initial: () => ({}), handlers: { get: () => 0 } });
  const writes: { readonly value: Uint8Array; done(result: SwapResult): void }[] = [];
  const compareAndSwap = (_: unknown, [write]: readonly Write[]) => {
    const { promise, resolve } = Promise.withResolvers<SwapResult>();
    if (write !== undefined && 'put' in write) writes.push({ value: write.value, done: resolve });
    return promise;
  };
  const store = { compareAndSwap };
  const registrations = new Registrations({ node: 'a', store, view, log: silentLogger });
  let revision = 1;
  const say = (draining: boolean) =>
    registrations.put(type as unknown as AnyEntityType, { session: 1, draining });
  const has = (draining: boolean) =>
    registrations.has(type as unknown as AnyEntityType, { session: 1, draining });
  const taken = async () => {
    writes.at(-1)!.done({ ok: true, revision: ++revision });
    await new Promise(setImmediate);
  };
  const seen = () => {
    const { value } = writes.at(-1)!;
    view.apply({ type: 'put', key: regionKey('t', 'a'), value, revision });
  };
  say(true);
  assert.equal(has(true), false);
  await taken();
  seen();
  assert.equal(has(true), true);
  say(false);
  assert.equal(has(true), false, 'what is on its way may count any moment');
  await taken();
  assert.equal(has(true), false, 'what is seen is not what counts');
  seen();
  assert.deepEqual([has(true), has(false)], [false, true]);
});
