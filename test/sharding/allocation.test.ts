// Where shards go: evenly, to the idle, or where they are pinned, and a balance is an end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrng } from '../../src/core/index.ts';
import { leastLoad, leastShards, loadScore, pinned } from '../../src/sharding/index.ts';
import type { AllocationStrategy, AllocationView } from '../../src/sharding/index.ts';

/** A fleet in which moves happen at once. */
class Board implements AllocationView {
  readonly type = 'test';
  readonly owners: (string | undefined)[];
  readonly loads: Map<string, number | undefined>;
  readonly rested = new Map<number, number>();
  nowMs = 0;

  constructor(owners: (string | undefined)[], loads: Record<string, number | undefined>) {
    this.owners = owners;
    this.loads = new Map(Object.entries(loads));
  }

  get shards(): number {
    return this.owners.length;
  }

  get candidates() {
    return [...this.loads].map(([node, load]) => {
      return { node, load, added: 0, shards: this.count(node) };
    });
  }

  count(node: string): number {
    return this.owners.filter((owner) => owner === node).length;
  }

  ownerOf(shard: number): string | undefined {
    return this.owners[shard];
  }

  restedMs(shard: number): number {
    return this.nowMs - (this.rested.get(shard) ?? -Infinity);
  }

  mayMove(): boolean {
    return true;
  }

  /** Rounds until nothing moves any more; how many moves there were in all. */
  rebalance(strategy: AllocationStrategy, limit: number, afterRound = () => {}): number {
    let moves = 0;
    for (let round = 0; round < 200; round++) {
      this.nowMs += 10_000;
      const proposed = strategy.rebalance(this, limit);
      assert.ok(proposed.length <= limit);
      if (proposed.length === 0) return moves;
      for (const { shard, to } of proposed) {
        this.owners[shard] = to;
        this.rested.set(shard, this.nowMs);
      }
      moves += proposed.length;
      afterRound();
    }
    assert.fail('it never ends');
  }
}

test('least-shards fills empty nodes, moves no more than it must, and ends', () => {
  const owners = Array.from({ length: 256 }, (_, shard) => (shard % 2 === 0 ? 'a' : 'b'));
  const board = new Board(owners, { a: 0, b: 0, c: 0 });
  const moves = board.rebalance(leastShards, 25);
  assert.deepEqual([board.count('a'), board.count('b'), board.count('c')].sort(), [85, 85, 86]);
  assert.ok(moves <= 86, `${moves} moves for 85 shards`);
  assert.equal(board.rebalance(leastShards, 25), 0);
});

test('a small difference is none: one shard more or less moves nothing', () => {
  const board = new Board(['a', 'a', 'b', 'b', 'a'], { a: 0, b: 0 });
  assert.equal(board.rebalance(leastShards, 5), 0);
  const many = Array.from({ length: 200 }, (_, shard) => (shard < 104 ? 'a' : 'b'));
  assert.equal(new Board(many, { a: 0, b: 0 }).rebalance(leastShards, 20), 0);
});

test('least-load gives a vacant shard to the idlest, and not all of them to the same', () => {
  const board = new Board(new Array<string | undefined>(30).fill(undefined), { a: 0.2, b: 0.1 });
  const added = new Map([...board.loads.keys()].map((node) => [node, 0]));
  const view: AllocationView = {
    type: board.type,
    shards: board.shards,
    get candidates() {
      return board.candidates.map((c) => ({ ...c, added: added.get(c.node)! }));
    },
    ownerOf: (shard) => board.ownerOf(shard),
    restedMs: () => Infinity,
    mayMove: () => true,
  };
  const given: string[] = [];
  for (let shard = 0; shard < 30; shard++) {
    const to = leastLoad.allocate(shard, view);
    given.push(to);
    added.set(to, added.get(to)! + 1);
  }
  assert.equal(given[0], 'b');
  const a = given.filter((node) => node === 'a').length;
  assert.ok(a >= 5 && a < 15, `${a} of 30 went to the busier node`);
});

test('least-load moves from busy to idle until they are alike, and ends', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const prng = createPrng(seed);
    const nodes = ['a', 'b', 'c', 'd'].slice(0, 2 + prng.int(3));
    const weights = Array.from({ length: 64 }, () => prng.next() ** 4);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const owners = weights.map(() => nodes[prng.int(2)]!);
    const board = new Board(owners, {});
    const measure = () => {
      for (const node of nodes) {
        const own = weights.filter((_, shard) => board.owners[shard] === node);
        const load = own.reduce((sum, weight) => sum + weight, 0) / total;
        board.loads.set(node, Math.min(1, load * 1.5));
      }
    };
    measure();
    const before = Math.max(...[...board.loads.values()].map((load) => load!));
    const moves = board.rebalance(leastLoad, 6, measure);
    const after = Math.max(...[...board.loads.values()].map((load) => load!));
    assert.ok(after <= before + 1e-9, `seed ${seed}: ${after} after ${before}`);
    assert.ok(moves <= 4 * 64, `seed ${seed}: ${moves} moves`);
  }
});

test('least-load also fills a node that has nothing while nobody has much to do', () => {
  const board = new Board(new Array<string>(64).fill('a'), { a: 0.05, b: 0.04 });
  board.rebalance(leastLoad, 6);
  assert.ok(board.count('b') >= 16, `${board.count('b')} of 64`);
});

test('pinned shards are where they belong while that node is there, the others are even', () => {
  const strategy = pinned({ 0: 'a', 1: 'a', 2: 'gone' });
  const board = new Board(new Array<string>(10).fill('b'), { a: 0, b: 0 });
  assert.equal(strategy.allocate(0, board), 'a');
  assert.equal(strategy.allocate(2, board), 'a');
  board.rebalance(strategy, 2);
  assert.deepEqual(board.owners.slice(0, 2), ['a', 'a']);
  assert.ok(Math.abs(board.count('a') - board.count('b')) <= 3, board.owners.join());
});

test('the score of a load counts what was measured, and is 1 at most', () => {
  const load = {
    ...{ node: 'a', incarnation: 1, timestampMs: 1, heapUsed: 0, heapMax: 0, queued: 0 },
    ...{ eventLoopDelayMs: 0, eventLoopUtilization: 0, inFlight: 0 },
  };
  const idle = loadScore({ ...load, cpu: 0, memoryUsed: 0, memoryMax: 100 }, 0);
  const busy = loadScore({ ...load, cpu: 1, memoryUsed: 100, memoryMax: 100 }, 1e9);
  assert.equal(idle, 0);
  assert.ok(Math.abs(busy - 1) < 1e-6);
  const gpus = [{ utilization: 0, memoryUsed: 80, memoryMax: 100 }];
  const full = loadScore({ ...load, cpu: 0, memoryUsed: 0, memoryMax: 100, gpus }, 0);
  assert.ok(Math.abs(full - 0.16) < 1e-9);
});
