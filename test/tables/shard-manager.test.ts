import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';

import { shardOf } from '../../src/hash/index.ts';
import { ShardAssignment, ShardManager } from '../../src/tables/index.ts';
import { idsOf } from './fleet.ts';
import type { ShardingStrategy } from '../../src/tables/index.ts';

const STRATEGIES: readonly ShardingStrategy[] = ['entity-hash', 'round-robin'];
const manyIds = fc.array(fc.string({ unit: 'binary' }), { maxLength: 200 });
const sizes = (assignment: ShardAssignment) => assignment.buckets.map((bucket) => bucket.length);

test('zero shards means one, and counts that are no counts are refused', () => {
  assert.equal(new ShardManager(0).numShards, 1);
  assert.equal(new ShardManager(0).shardFor('anything'), 0);
  assert.equal(new ShardManager(4).strategy, 'entity-hash');
  for (const shards of [-1, 1.5, Number.NaN, 65_537]) {
    assert.throws(() => new ShardManager(shards), { code: 'invalid_option' });
  }
});

test('entity hash is jump(xxh64(id), shards): golden values of another implementation', () => {
  // From the specifications of xxHash64 and jump hash in Python integers, checked with the official
  // vectors xxh64("") = ef46db3751d8e999 and xxh64("abc") = 44bc2cf5ad770999.
  const manager = new ShardManager(256);
  const golden = { 'dog.n.01': 27, 'wolf.n.01': 71, '': 40, Zürich: 30 };
  for (const [id, shard] of Object.entries(golden)) {
    assert.equal(manager.shardFor(id), shard, id);
    assert.equal(manager.shardFor(id), shardOf(id, 256));
  }
});

test('buckets hold every id once per mention, in input order, where shardFor says', () => {
  fc.assert(
    fc.property(
      manyIds,
      fc.integer({ min: 0, max: 40 }),
      fc.constantFrom(...STRATEGIES),
      (ids, shards, strategy) => {
        const manager = new ShardManager(shards, strategy);
        const assignment = manager.partition(ids);
        assert.equal(assignment.numShards, Math.max(1, shards));
        assert.equal(assignment.total, ids.length);
        for (const [shard, bucket] of assignment.buckets.entries()) {
          assert.deepEqual(
            bucket,
            ids.filter((id) => manager.shardFor(id) === shard),
          );
        }
        for (const id of ids) assert.equal(assignment.shardOf(id), manager.shardFor(id));
      },
    ),
  );
});

test('entity hash needs no memory: any two managers agree', () => {
  const [first, second] = [new ShardManager(7), new ShardManager(7)];
  assert.deepEqual(first.partition(idsOf(100)), second.partition(idsOf(100)));
  assert.ok(sizes(first.partition(idsOf(500))).every((size) => size > 0));
});

test('round-robin fills evenly and goes on over calls', () => {
  const manager = new ShardManager(4, 'round-robin');
  for (let call = 0; call < 10; call++) manager.partition([`first-${call}`]);
  const all = manager.partition([...Array.from({ length: 10 }, (_, i) => `first-${i}`), 'a', 'b']);
  assert.deepEqual(sizes(all), [3, 3, 3, 3]);
});

test('round-robin remembers what it assigned and hashes what it has not seen', () => {
  const manager = new ShardManager(3, 'round-robin');
  assert.deepEqual(manager.partition(['a', 'b', 'a', 'c', 'd']).buckets, [
    ['a', 'a', 'd'],
    ['b'],
    ['c'],
  ]);
  assert.deepEqual(manager.partition(['d', 'c', 'e']).buckets, [['d'], ['e'], ['c']]);
  assert.equal(manager.shardFor('unseen'), shardOf('unseen', 3));
});

test('unassigned ids have no shard', () => {
  const assignment = new ShardManager(2).partition(['a']);
  assert.equal(assignment.shardOf('missing'), undefined);
  assert.equal(assignment.shardOf('constructor'), undefined);
});

test('N → N + 1 shards moves at most 1.2 × the ideal share, and only to the new shard', () => {
  const ids = idsOf(20_000);
  for (const shards of [1, 2, 4, 7, 16, 31]) {
    const prior = new ShardManager(shards).partition(ids);
    const { assignment, plan } = new ShardManager(shards + 1).reshard(prior);
    assert.ok(plan.share <= 1.2 / (shards + 1), `${shards}: ${plan.share}`);
    assert.ok(plan.share >= 0.8 / (shards + 1), `${shards}: ${plan.share}`);
    assert.ok([...plan].every(({ to }) => to === shards));
    assert.equal(assignment.total, ids.length);
  }
});

test('a plan lists exactly what differs between the two assignments', () => {
  const count = fc.integer({ min: 1, max: 20 });
  fc.assert(
    fc.property(manyIds, count, count, fc.constantFrom(...STRATEGIES), (ids, a, b, strategy) => {
      const prior = new ShardManager(a, strategy).partition(ids);
      const manager = new ShardManager(b, strategy);
      const { assignment, plan } = manager.reshard(prior);
      assert.equal(assignment.total, prior.total);
      const moved = ids.filter((id) => prior.shardOf(id) !== assignment.shardOf(id));
      assert.deepEqual([...plan].map(({ id }) => id).sort(), moved.sort());
      for (const { id, from, to } of plan) {
        assert.equal(prior.shardOf(id), from);
        assert.equal(manager.shardFor(id), to);
      }
      const counted = plan.counts().reduce((sum, { count: n }) => sum + n, 0);
      assert.equal(counted, plan.moved);
      assert.equal(plan.total, ids.length);
    }),
  );
});

test('a round-robin reshard ends even and moves no more than it must', () => {
  const size = fc.integer({ min: 1, max: 12 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 300 }), size, size, (ids, from, to) => {
      const prior = new ShardManager(from, 'round-robin').partition(idsOf(ids));
      const { assignment, plan } = new ShardManager(to, 'round-robin').reshard(prior);
      const after = sizes(assignment);
      assert.ok(Math.max(...after) - Math.min(...after) <= 1, String(after));
      const must = sizes(prior).reduce((sum, held, shard) => {
        return sum + (shard < to ? Math.max(0, held - Math.ceil(ids / to)) : held);
      }, 0);
      assert.ok(plan.moved <= Math.max(must, to > from ? Math.ceil((ids * (to - from)) / to) : 0));
    }),
  );
});

test('a reshard of a manager that has assigned ids keeps what it assigned', () => {
  const manager = new ShardManager(3, 'round-robin');
  manager.partition(['a', 'b', 'c', 'd', 'e', 'f']);
  const prior = new ShardAssignment([['f', 'e'], ['g']]);
  const { assignment } = manager.reshard(prior);
  assert.equal(assignment.shardOf('f'), 2);
  assert.equal(assignment.shardOf('e'), 1);
});

test('an assignment survives JSON', () => {
  fc.assert(
    fc.property(manyIds, fc.integer({ min: 1, max: 9 }), (ids, shards) => {
      const assignment = new ShardManager(shards).partition(ids.map((id) => id.toWellFormed()));
      const read = ShardAssignment.fromJSON(JSON.stringify(assignment));
      assert.deepEqual(read.toJSON(), assignment.toJSON());
      assert.equal(read.total, assignment.total);
    }),
  );
});

test('JSON that breaks a rule is refused with the rule', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['{', /not JSON/],
    ['null', /top level/],
    ['{"numShards":1}', /buckets/],
    ['{"numShards":0,"buckets":[]}', /numShards/],
    ['{"numShards":2,"buckets":[["a"]]}', /1 buckets for 2 shards/],
    ['{"numShards":1,"buckets":[[1]]}', /buckets\.0\.0/],
    ['{"numShards":2,"buckets":[["a"],["a"]]}', /"a" is in shards 0 and 1/],
  ];
  for (const [text, message] of wrong) {
    assert.throws(() => ShardAssignment.fromJSON(text), { code: 'assignment_invalid', message });
  }
});
