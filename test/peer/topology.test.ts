// Topologies: connected, short, and with a way around the next hop (DESIGN.md, relay).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../src/core/index.ts';
import { fullMesh, hypercube, kRegular } from '../../src/peer/index.ts';
import type { Topology } from '../../src/peer/index.ts';

const sizes = fc.integer({ min: 1, max: 70 });

const anyTopology: fc.Arbitrary<Topology> = fc.oneof(
  sizes.map(fullMesh),
  sizes.map(hypercube),
  fc
    .tuple(fc.integer({ min: 3, max: 70 }), fc.nat())
    .map(([size, choice]) => [size, 2 + (choice % (size - 2))] as const)
    .filter(([size, degree]) => size % 2 === 0 || degree % 2 === 0)
    .map(([size, degree]) => kRegular(size, degree)),
);

const ranks = ({ size }: Topology) => Array.from({ length: size }, (_, rank) => rank);

/** Breadth first over the neighbours: the truth that the closed forms have to meet. */
function distancesFrom(topology: Topology, start: number): number[] {
  const distances = ranks(topology).map(() => Number.POSITIVE_INFINITY);
  distances[start] = 0;
  const queue = [start];
  for (const rank of queue) {
    for (const other of topology.neighbours(rank)) {
      if (distances[other]! !== Number.POSITIVE_INFINITY) continue;
      distances[other] = distances[rank]! + 1;
      queue.push(other);
    }
  }
  return distances;
}

test('links go both ways, never to oneself, never twice', () => {
  fc.assert(
    fc.property(anyTopology, (topology) => {
      for (const rank of ranks(topology)) {
        const neighbours = topology.neighbours(rank);
        assert.equal(new Set(neighbours).size, neighbours.length);
        for (const other of neighbours) {
          assert.ok(other !== rank && other >= 0 && other < topology.size);
          assert.ok(topology.neighbours(other).includes(rank));
        }
      }
    }),
  );
});

test('every rank reaches every other by next hops, on a shortest path, within the diameter', () => {
  fc.assert(
    fc.property(anyTopology, (topology) => {
      let longest = 0;
      for (const from of ranks(topology)) {
        const distances = distancesFrom(topology, from);
        for (const to of ranks(topology)) {
          let hops = 0;
          for (let at = from; at !== to; hops++) at = topology.nextHop(at, to)!;
          assert.equal(hops, distances[to]);
          assert.equal(topology.distance(from, to), hops);
          longest = Math.max(longest, hops);
        }
        assert.equal(topology.nextHop(from, from), undefined);
      }
      assert.equal(topology.diameter, longest);
    }),
    { numRuns: 60 },
  );
});

test('the alternate is another neighbour, the nearest of them, wherever there is one', () => {
  fc.assert(
    fc.property(anyTopology, fc.nat(), fc.nat(), (topology, a, b) => {
      const from = a % topology.size;
      const to = b % topology.size;
      if (from === to) return;
      const next = topology.nextHop(from, to)!;
      const alternate = topology.alternateHop(from, to);
      const others = topology.neighbours(from).filter((rank) => rank !== next);
      if (others.length === 0) {
        assert.equal(alternate, undefined);
        return;
      }
      assert.ok(alternate !== undefined && others.includes(alternate));
      const left = Math.min(...others.map((rank) => topology.distance(rank, to)));
      assert.equal(topology.distance(alternate, to), left);
    }),
    { numRuns: 500 },
  );
});

test('a k-regular topology gives each rank k links, and short paths', () => {
  for (const [size, degree, diameter] of [
    [6, 2, 3],
    [10, 3, 5],
    [64, 4, 7],
    [64, 6, 6],
    [5, 4, 1],
    [4, 3, 1],
  ] as const) {
    const topology = kRegular(size, degree);
    for (const rank of ranks(topology)) assert.equal(topology.neighbours(rank).length, degree);
    assert.ok(topology.diameter <= diameter, `${size}/${degree}: ${topology.diameter}`);
  }
});

test('what no topology can be is refused with the rule', () => {
  const refused = (make: () => Topology) =>
    assert.throws(make, (error) => hasCode(error, 'invalid_option'));
  refused(() => fullMesh(0));
  refused(() => hypercube(2.5));
  refused(() => kRegular(8, 1));
  refused(() => kRegular(8, 8));
  refused(() => kRegular(9, 3));
  refused(() => hypercube(1_000_000));
});
