// The coordinator by itself: what it proposes when, and what each proposal rests on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  OwnershipView,
  regionKey,
  sessionKey,
  tableKey,
} from '../../src/sharding/ownership-view.ts';
import { COORDINATOR_KEY } from '../../src/sharding/ownership-view.ts';
import { ShardCoordinator } from '../../src/sharding/shard-coordinator.ts';
import { encodeTable } from '../../src/sharding/shard-table.ts';
import type { TableWrite } from '../../src/sharding/shard-coordinator.ts';
import type { ShardEntry, ShardTable } from '../../src/sharding/shard-table.ts';

const TYPE = 't';
const TERM = 1;
const OPTIONS = {
  ...{ handoffTimeoutMs: 1_000, retryHandoffMs: 3_000, maxRetryHandoffMs: 10_000 },
  ...{ rebalanceIntervalMs: 100, rebalanceShare: 0.1, retryWriteMs: 50 },
};

/** Nodes that come and go, and a store that takes what is proposed. */
class Scene {
  readonly view = new OwnershipView();
  readonly shards: number;
  coordinator = this.successor();
  nowMs = 0;
  #revision = 100;

  constructor(shards: number) {
    this.shards = shards;
  }

  successor(term = TERM): ShardCoordinator {
    const coordinator = new ShardCoordinator({ view: this.view }, OPTIONS);
    coordinator.elected(term);
    return coordinator;
  }

  put(key: string, record: object): void {
    const value = Buffer.from(JSON.stringify(record));
    this.view.apply({ type: 'put', key, value, revision: ++this.#revision });
  }

  start(node: string, draining = false): void {
    if (!this.view.sessions.has(node)) this.put(sessionKey(node), {});
    const session = this.view.sessions.get(node)!;
    const record = { session, shards: this.shards, draining, allocation: { name: 'least-shards' } };
    this.put(regionKey(TYPE, node), record);
  }

  end(node: string): void {
    const revision = ++this.#revision;
    this.view.apply({ type: 'delete', key: sessionKey(node), revision });
  }

  /** What is proposed now. */
  plan(): TableWrite | undefined {
    const [write] = this.coordinator.plan(this.nowMs);
    if (write !== undefined) this.coordinator.written(TYPE, 'refused', this.nowMs - 1_000);
    return write;
  }

  /** Proposals are taken until there are none. */
  settle(): void {
    for (let write = this.plan(); write !== undefined; write = this.plan()) this.take(write);
  }

  take({ table }: TableWrite): void {
    const [key, value] = [tableKey(TYPE), encodeTable(table)];
    this.view.apply({ type: 'put', key, value, revision: ++this.#revision });
  }

  get table(): ShardTable {
    return this.view.tables.get(TYPE)!.entries;
  }

  /** `a` has all shards, and one of them is marked for `b`. */
  static moving(): { scene: Scene; shard: number } {
    const scene = new Scene(4);
    scene.start('a');
    scene.settle();
    scene.start('b');
    scene.nowMs += 100;
    scene.settle();
    const shard = scene.table.findIndex(({ move }) => move !== undefined);
    assert.equal(scene.table[shard]?.move?.node, 'b');
    assert.equal(scene.table.filter(({ move }) => move !== undefined).length, 1);
    return { scene, shard };
  }
}

test('that another shard was let go of, or this one at another epoch, grants nothing', () => {
  const { scene, shard } = Scene.moving();
  scene.coordinator.released(TYPE, (shard + 1) % 4, 1);
  assert.equal(scene.plan(), undefined);
  scene.coordinator.released(TYPE, shard, 2);
  assert.equal(scene.plan(), undefined);
});

test('a release is honoured though it comes late, by whoever coordinates', () => {
  for (const successor of [false, true]) {
    const { scene, shard } = Scene.moving();
    if (successor) scene.coordinator = scene.successor(2);
    scene.plan();
    // Too late by the clock, but nothing has been decided yet.
    scene.nowMs += 10 * OPTIONS.handoffTimeoutMs;
    scene.coordinator.released(TYPE, shard, 1);
    scene.take(scene.plan()!);
    const { owner, epoch, move } = scene.table[shard]!;
    assert.deepEqual([owner, epoch, move], ['b', 2, undefined]);
  }
});

test('a handoff that takes too long ends where it began, and rests before the next', () => {
  const scene = new Scene(1);
  const shard = 0;
  scene.start('a');
  scene.settle();
  scene.start('b');
  scene.start('a', true);
  scene.settle();
  assert.equal(scene.table[shard]?.move?.node, 'b');
  for (const restMs of [3_000, 6_000, 10_000, 10_000]) {
    scene.nowMs += OPTIONS.handoffTimeoutMs - 1;
    assert.equal(scene.plan(), undefined);
    scene.nowMs += 1;
    const before: number = scene.table[shard]!.epoch;
    scene.take(scene.plan()!);
    const { owner, epoch, move }: ShardEntry = scene.table[shard]!;
    assert.deepEqual([owner, epoch, move], ['a', before + 1, undefined]);
    scene.nowMs += restMs - 1;
    assert.equal(scene.plan(), undefined, `not before ${restMs} ms`);
    scene.nowMs += 1;
    scene.settle();
    assert.equal(scene.table[shard]?.move?.node, 'b');
  }
});

test('a handoff to a node that is gone ends at once', () => {
  const { scene, shard } = Scene.moving();
  scene.end('b');
  scene.take(scene.plan()!);
  const { owner, epoch, move } = scene.table[shard]!;
  assert.deepEqual([owner, epoch, move], ['a', 2, undefined]);
});

test('every proposal rests on the term, the table, and the sessions that it is about', () => {
  const { scene } = Scene.moving();
  scene.end('a');
  const write = scene.plan()!;
  const revision = (key: string) => write.compares.find((compare) => compare.key === key)?.revision;
  assert.equal(revision(COORDINATOR_KEY), TERM);
  assert.equal(revision(tableKey(TYPE)), scene.view.revisionOf(tableKey(TYPE)));
  assert.equal(revision(sessionKey('a')), 0, 'its session has ended');
  assert.equal(revision(sessionKey('b')), scene.view.sessions.get('b'));
  assert.equal(revision(regionKey(TYPE, 'b')), scene.view.revisionOf(regionKey(TYPE, 'b')));
  assert.ok(write.table.every(({ owner }) => owner === 'b'));
});
