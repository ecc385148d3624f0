// Where the coordinator puts shards that devices serve: with the device that wants each most, of
// all nodes, which is the one that its node then picks; a balance is an end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { deviceOfShard } from '../../src/devices/index.ts';
import { builtInStrategy } from '../../src/sharding/index.ts';
import type { DeviceStats } from '../../src/devices/index.ts';
import type { AllocationView } from '../../src/sharding/index.ts';

const strategy = builtInStrategy({ name: 'by-device' })!;
const SHARDS = 256;

function viewOf(
  nodes: Readonly<Record<string, number>>,
  owners: (string | undefined)[] = [],
  mayMove: (shard: number) => boolean = () => true,
): AllocationView {
  const candidates = Object.entries(nodes).map(([node, count]) => {
    const devices = Array.from({ length: count }, (_, i) => `${node}/cpu-${i}`);
    return { node, devices, shards: 0, added: 0, load: undefined };
  });
  const ownerOf = (shard: number) => owners[shard];
  return { type: 't', shards: SHARDS, candidates, ownerOf, restedMs: () => Infinity, mayMove };
}

function allocateAll(view: AllocationView): string[] {
  return Array.from({ length: SHARDS }, (_, shard) => strategy.allocate(shard, view));
}

function record(address: string): DeviceStats {
  const figures = { queued: 0, active: 0, buffers: 0, memoryUsed: 0, memoryMax: 1, launches: 0 };
  const rest = { description: '', capabilities: [], state: 'ready', generation: 1 } as const;
  return { address, backend: 'cpu', ...figures, ...rest, faults: 0, busyMs: 0, sampledAtMs: 0 };
}

test('nodes get shards by their devices, each of which picks the same ones there', () => {
  const view = viewOf({ a: 1, b: 3, c: 4 });
  const homes = allocateAll(view);
  const counts = new Map<string, number>();
  for (const home of homes) counts.set(home, (counts.get(home) ?? 0) + 1);
  const [a = 0, b = 0, c = 0] = ['a', 'b', 'c'].map((node) => counts.get(node));
  assert.ok(a > 16 && a < 52 && b > 66 && b < 126 && c > 96, `${a} ${b} ${c}`);
  const all = view.candidates.flatMap(({ devices = [] }) => devices.map(record));
  for (const [shard, home] of homes.entries()) {
    const { address } = deviceOfShard(shard, all);
    assert.equal(address.split('/')[0], home);
    const own = all.filter((device) => device.address.startsWith(`${home}/`));
    assert.equal(deviceOfShard(shard, own).address, address);
  }
});

test('a balance is an end, within the limit, and a device that comes takes only its share', () => {
  const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,6}$/), { minLength: 2, maxLength: 5 });
  fc.assert(
    fc.property(names, fc.integer({ min: 1, max: 40 }), (nodes, limit) => {
      const counts = Object.fromEntries(nodes.map((node, i) => [node, 1 + (i % 3)]));
      const newcomer = nodes.at(-1)!;
      const { [newcomer]: _, ...before } = counts;
      const owners = allocateAll(viewOf(before));
      assert.deepEqual(strategy.rebalance(viewOf(before, owners), limit), []);
      for (let round = 0; ; round++) {
        assert.ok(round <= SHARDS / limit + 1);
        const moves = strategy.rebalance(viewOf(counts, owners), limit);
        assert.ok(moves.length <= limit);
        if (moves.length === 0) break;
        for (const { shard, to } of moves) {
          assert.equal(to, newcomer);
          owners[shard] = to;
        }
      }
      assert.deepEqual(owners, allocateAll(viewOf(counts)));
    }),
  );
});

test('what must not move, or has no owner, is left alone', () => {
  const owners = Array.from({ length: SHARDS }, (_, i) => (i % 2 === 0 ? 'a' : undefined));
  const view = viewOf({ a: 1, b: 1 }, owners, (shard) => shard >= 128);
  const moves = strategy.rebalance(view, SHARDS);
  assert.ok(moves.length > 0);
  assert.ok(moves.every(({ shard, to }) => shard >= 128 && shard % 2 === 0 && to === 'b'));
});
