import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';

import { movementPlan, placeShards } from '../../src/tables/index.ts';

const nodes = (count: number) => Array.from({ length: count }, (_, i) => `node-${i}`);
const held = (owners: readonly string[], members: readonly string[]) =>
  members.map((member) => owners.filter((owner) => owner === member).length);
const isEven = (owners: readonly string[], members: readonly string[]) => {
  const counts = held(owners, members);
  return Math.max(...counts) - Math.min(...counts) <= 1;
};

test('shards are spread evenly over any number of members', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 32 }), fc.integer({ min: 1, max: 300 }), (n, shards) => {
      const members = nodes(n);
      const owners = placeShards({ table: 'wordnet', shards, members });
      assert.equal(owners.length, shards);
      assert.ok(owners.every((owner) => members.includes(owner)));
      assert.ok(isEven(owners, members), String(held(owners, members)));
    }),
    { numRuns: 60 },
  );
});

test('placement does not depend on the order of members', () => {
  const members = nodes(5);
  assert.deepEqual(
    placeShards({ table: 't', shards: 64, members }),
    placeShards({ table: 't', shards: 64, members: members.toReversed() }),
  );
});

test('tables of one shard do not all land on one node', () => {
  const tables = Array.from({ length: 40 }, (_, i) => `table-${i}`);
  const owners = tables.map((table) => placeShards({ table, shards: 1, members: nodes(3) })[0]);
  assert.equal(new Set(owners).size, 3);
});

test('a member that comes gets at most 1.2 × the ideal share, and nothing else moves', () => {
  for (let count = 1; count < 32; count++) {
    const previous = placeShards({ table: 't', shards: 256, members: nodes(count) });
    const members = nodes(count + 1);
    const next = placeShards({ table: 't', shards: 256, members, previous });
    const plan = movementPlan(previous, next);
    assert.ok(plan.length <= (1.2 * 256) / (count + 1), `${count}: ${plan.length}`);
    assert.ok(plan.length >= Math.floor(256 / (count + 1)));
    assert.ok(plan.every(({ to }) => to === `node-${count}`));
    assert.ok(isEven(next, members));
  }
});

test('a member that goes gives away only its own shards', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 32 }), fc.nat(), (count, draw) => {
      const all = nodes(count);
      const gone = all[draw % count]!;
      const previous = placeShards({ table: 't', shards: 256, members: all });
      const members = all.filter((member) => member !== gone);
      const next = placeShards({ table: 't', shards: 256, members, previous });
      const plan = movementPlan(previous, next);
      assert.ok(plan.every(({ from }) => from === gone));
      assert.equal(plan.length, previous.filter((owner) => owner === gone).length);
      assert.ok(isEven(next, members));
    }),
    { numRuns: 40 },
  );
});

test('over any history of members, placement stays even and moves only what it must', () => {
  const history = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(history, (toggles) => {
      let members = nodes(3);
      let owners = placeShards({ table: 't', shards: 64, members });
      for (const toggle of toggles) {
        const name = `node-${toggle}`;
        const without = members.filter((member) => member !== name);
        members = without.length < members.length ? without : [...members, name];
        if (members.length === 0) members = [name];
        const next = placeShards({ table: 't', shards: 64, members, previous: owners });
        assert.ok(isEven(next, members));
        for (const { from } of movementPlan(owners, next)) {
          const keeps = next.filter((owner) => owner === from).length;
          if (members.includes(from)) assert.ok(keeps >= Math.floor(64 / members.length));
        }
        owners = next;
      }
    }),
    { numRuns: 40 },
  );
});

test('a placement that fits is left alone', () => {
  const previous = placeShards({ table: 't', shards: 100, members: nodes(7) });
  const next = placeShards({ table: 't', shards: 100, members: nodes(7), previous });
  assert.deepEqual(movementPlan(previous, next), []);
});

test('no members, and histories of another length, are refused', () => {
  assert.throws(() => placeShards({ table: 't', shards: 4, members: [] }), {
    code: 'invalid_option',
  });
  assert.throws(() => placeShards({ table: 't', shards: 4, members: ['a'], previous: ['a'] }), {
    code: 'invalid_option',
  });
  assert.throws(() => movementPlan(['a'], []), { code: 'invalid_option' });
});
