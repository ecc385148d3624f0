// The ring: golden routes, balance, minimal movement, order of additions, the walk; against a plain
// model that sorts and searches all points.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createPrng, hasCode, shuffle } from '../../src/core/index.ts';
import { finalise64, fnv1a64, toBigInt } from '../../src/hash/index.ts';
import { HashRing, loadCap } from '../../src/ring/index.ts';
import { EMPTY_POINTS, mergePoints, searchPoints } from '../../src/ring/points.ts';
import type { RingOptions } from '../../src/ring/index.ts';

const MODES = ['mixed', 'fnv1a'] as const;

const names = (count: number, prefix = 'node-') =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);
const keysOf = (count: number) =>
  Array.from({ length: count }, (_, index) => `key/${index * 7919}`);

function ringOf(nodes: readonly string[], options: RingOptions = {}): HashRing {
  const ring = new HashRing(options);
  for (const node of nodes) ring.addNode(node);
  return ring;
}

/** Distinct owners clockwise from `key`, worked out the slow way. */
function modelOrder(nodes: readonly string[], key: string, ring: RingOptions): string[] {
  const hashOf = (text: string) => {
    const hash = fnv1a64(text, { hi: 0, lo: 0 });
    return toBigInt(ring.hash === 'fnv1a' ? hash : finalise64(hash));
  };
  const replicas = Array.from({ length: ring.replicas ?? 150 }, (_, index) => index);
  const points = nodes
    .flatMap((node) => replicas.map((replica) => ({ node, hash: hashOf(`${node}#${replica}`) })))
    .sort((a, b) => (a.hash < b.hash ? -1 : 1));
  const target = hashOf(key);
  const clockwise = [
    ...points.filter(({ hash }) => hash >= target),
    ...points.filter(({ hash }) => hash < target),
  ];
  return [...new Set(clockwise.map(({ node }) => node))];
}

function largestShare(ring: HashRing, keys: readonly string[]): number {
  const counts = new Map<string, number>();
  for (const key of keys) {
    const node = ring.getNode(key) ?? '';
    counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  return (Math.max(...counts.values()) * ring.nodeCount) / keys.length;
}

test('plain FNV-1a gives the golden routes', () => {
  const ring = ringOf(['node-a', 'node-b', 'node-c'], { hash: 'fnv1a' });
  const routes = { 'my-request-key': 'b', 'user-42': 'c', 'req-1': 'c', 'stable-request': 'c' };
  for (const [key, node] of Object.entries(routes)) assert.equal(ring.getNode(key), `node-${node}`);
});

test('an empty ring has no node for any key', () => {
  const ring = new HashRing();
  assert.equal(ring.getNode('key'), undefined);
  assert.deepEqual(ring.getNodes('key', 3), []);
  assert.equal(
    ring.walk('key', () => true),
    undefined,
  );
  assert.deepEqual([ring.nodeCount, ring.vnodeCount, ring.nodes()], [0, 0, []]);
});

test('adding a node twice changes nothing, nor does removing one that is not there', () => {
  const ring = ringOf(names(3));
  const before = keysOf(500).map((key) => ring.getNode(key));
  ring.addNode('node-1');
  ring.removeNode('node-7');
  assert.deepEqual([ring.nodeCount, ring.vnodeCount], [3, 450]);
  assert.deepEqual(
    keysOf(500).map((key) => ring.getNode(key)),
    before,
  );
});

test('replicas below 1 count as 1; what is no number or no hash is refused', () => {
  assert.equal(ringOf(names(2), { replicas: 0 }).vnodeCount, 2);
  assert.equal(new HashRing({ replicas: -5 }).replicas, 1);
  const isInvalid = (error: unknown) => hasCode(error, 'invalid_option');
  assert.throws(() => new HashRing({ replicas: Number.NaN }), isInvalid);
  assert.throws(() => new HashRing({ hash: 'md5' as 'mixed' }), isInvalid);
});

for (const hash of MODES) {
  test(`${hash}: every order of nodes is that of the sorted circle`, () => {
    const options = fc.record({ replicas: fc.integer({ min: 1, max: 8 }) });
    const nodes = fc.uniqueArray(fc.string({ maxLength: 6 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(nodes, options, fc.string(), (ids, { replicas }, key) => {
        const ring = ringOf(ids, { replicas, hash });
        const expected = modelOrder(ids, key, { replicas, hash });
        assert.deepEqual(ring.getNodes(key, ids.length), expected);
        assert.equal(ring.getNode(key), expected[0]);
      }),
    );
  });

  test(`${hash}: adding a node moves keys only to it, removing one only its own keys`, () => {
    const keys = keysOf(20_000);
    const ring = ringOf(names(20), { hash });
    const before = keys.map((key) => ring.getNode(key));
    ring.addNode('newcomer');
    keys.forEach((key, index) => {
      const owner = ring.getNode(key);
      assert.ok(owner === before[index] || owner === 'newcomer');
    });
    ring.removeNode('newcomer');
    assert.deepEqual(
      keys.map((key) => ring.getNode(key)),
      before,
    );
    ring.removeNode('node-3');
    keys.forEach((key, index) => {
      const owner = ring.getNode(key);
      assert.ok(before[index] === 'node-3' ? owner !== 'node-3' : owner === before[index]);
    });
  });
}

test('the order of additions and removals in between never matter', () => {
  const nodes = names(12);
  const keys = keysOf(100);
  const expected = keys.map((key) => ringOf(nodes, { replicas: 20 }).getNodes(key, 4).join());
  fc.assert(
    fc.property(fc.integer(), fc.subarray(nodes), (seed, removed) => {
      const order = [...nodes];
      shuffle(order, createPrng(seed));
      const ring = ringOf(order, { replicas: 20 });
      for (const node of removed) ring.removeNode(node);
      for (const node of removed) ring.addNode(node);
      assert.deepEqual(
        keys.map((key) => ring.getNodes(key, 4).join()),
        expected,
      );
      assert.deepEqual(ring.nodes(), [...nodes].sort());
    }),
    { numRuns: 20 },
  );
});

test('equal hashes are ordered by node, whichever came first', () => {
  const ids = ['a', 'b', 'c'];
  const owners = (order: readonly number[]) => {
    let points = EMPTY_POINTS;
    for (const slot of order) {
      const hashes = [
        { hi: 9, lo: 9 },
        { hi: 7, lo: slot },
        { hi: 0xffffffff, lo: 0xffffffff },
      ];
      const id = ids[slot] ?? '';
      points = mergePoints(points, { slot, hashes }, (other) => id < (ids[other] ?? ''));
    }
    assert.equal(points.owners[searchPoints(points, { hi: 9, lo: 9 })], 0);
    return [...points.owners];
  };
  const expected = [0, 1, 2, 0, 1, 2, 0, 1, 2];
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
    [1, 0, 2],
  ]) {
    assert.deepEqual(owners(order), expected);
  }
});

test('the finaliser evens out the shares of 100 nodes (R2)', () => {
  // The largest of 100 shares of 150 random points each is 1.22 times the mean at the median of
  // fleets, whatever the hash; 1.15 to 1.33 as names go. Plain FNV-1a is beyond that range.
  const keys = keysOf(100_000);
  const shares = Array.from({ length: 9 }, (_, fleet) =>
    largestShare(ringOf(names(100, `fleet-${fleet}-node-`)), keys),
  ).sort((a, b) => a - b);
  assert.ok((shares[4] ?? 9) < 1.3 && (shares[8] ?? 9) < 1.45, `shares: ${shares.join(' ')}`);
  assert.ok(largestShare(ringOf(names(100), { hash: 'fnv1a' }), keys) > 1.5);
});

test('a new node takes at most 1.2 times its ideal share, at the median of newcomers (R3)', () => {
  const keys = keysOf(50_000);
  const ring = ringOf(names(100));
  const before = keys.map((key) => ring.getNode(key));
  const moved = names(15, 'newcomer-')
    .map((newcomer) => {
      ring.addNode(newcomer);
      const count = keys.filter((key, index) => ring.getNode(key) !== before[index]).length;
      ring.removeNode(newcomer);
      return (count * 101) / keys.length;
    })
    .sort((a, b) => a - b);
  assert.ok((moved[7] ?? 9) <= 1.2, `moved: ${moved.join(' ')}`);
});

test('the walk asks each node once in the order of getNodes and takes the first to accept', () => {
  const nodes = names(7);
  const ring = ringOf(nodes);
  fc.assert(
    fc.property(fc.string(), fc.subarray(nodes), (key, accepting) => {
      const order = ring.getNodes(key, 7);
      const asked: string[] = [];
      const taken = ring.walk(key, (node) => asked.push(node) > 0 && accepting.includes(node));
      assert.equal(
        taken,
        order.find((node) => accepting.includes(node)),
      );
      const end = taken === undefined ? order.length : order.indexOf(taken) + 1;
      assert.deepEqual(asked, order.slice(0, end));
    }),
  );
});

test('a walk may look at the ring, and change it, while it asks', () => {
  const ring = ringOf(names(5));
  const order = ring.getNodes('key', 5);
  const asked: string[] = [];
  ring.walk('key', (node) => {
    asked.push(node);
    assert.equal(ring.getNodes('other', 5).length, 5 - (asked.length - 1));
    ring.removeNode(node);
    return false;
  });
  assert.deepEqual(asked, order);
  assert.equal(ring.nodeCount, 0);
});

test('getNodes gives at most as many as asked for, and as there are', () => {
  const ring = ringOf(names(4));
  const lengths = [-1, 0, 1, 3, 4, 9].map((count) => ring.getNodes('key', count).length);
  assert.deepEqual(lengths, [0, 0, 1, 3, 4, 4]);
});

test('the cap is 1.25 times the mean of what is in flight with the new request, rounded up', () => {
  assert.deepEqual(
    [
      loadCap(0, 1),
      loadCap(0, 10),
      loadCap(99, 10),
      loadCap(100, 10),
      loadCap(7, 4, 1),
      loadCap(5, 0),
    ],
    [2, 1, 13, 13, 2, 0],
  );
  assert.throws(
    () => loadCap(1, 1, 0.9),
    (error) => hasCode(error, 'invalid_option'),
  );
});

test('bounded load: some node is always below the cap, and none ever exceeds it', () => {
  const nodes = names(6);
  const ring = ringOf(nodes);
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 300 }), (requests) => {
      const loads = new Map(nodes.map((node) => [node, 0]));
      requests.forEach((key, total) => {
        const cap = loadCap(total, nodes.length);
        const node = ring.walk(`hot-${key}`, (candidate) => (loads.get(candidate) ?? 0) < cap);
        assert.ok(node !== undefined);
        loads.set(node, (loads.get(node) ?? 0) + 1);
        assert.ok(Math.max(...loads.values()) <= cap);
      });
    }),
    { numRuns: 50 },
  );
});
