// The leak-free split by unordered pair, and the lines that carry a graph over HTTP.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../src/core/index.ts';
import { canonical, findSymmetric, splitByPairs, twoCore } from '../../src/training/split.ts';
import { decodeGraph, encodeGraph, encodeGraphGzip } from '../../src/training/index.ts';
import { createGunzip } from 'node:zlib';
import type { Graph } from '../../src/training/index.ts';

const ENTITIES = 40;
const triplesOf = fc
  .array(fc.tuple(fc.nat(ENTITIES - 1), fc.nat(2), fc.nat(ENTITIES - 1)), {
    minLength: 1,
    maxLength: 400,
  })
  .map((list) => Uint32Array.from(list.flat()));
const nodes = Array.from({ length: ENTITIES }, (_, i) => `e${i}`);

function pairs(triples: Uint32Array): Set<string> {
  const found = new Set<string>();
  for (let i = 0; i < triples.length; i += 3) {
    found.add([triples[i]!, triples[i + 2]!].sort((a, b) => a - b).join());
  }
  return found;
}

/** How many items two sets have in common. */
function shared<T>(one: Set<T>, other: Set<T>): number {
  return [...one].filter((item) => other.has(item)).length;
}

test('splits lose no triple, share no pair, and evaluate no unseen entity', () => {
  fc.assert(
    fc.property(triplesOf, (drawn) => {
      const symmetric = new Set([1]);
      const triples = canonical(drawn, ENTITIES, symmetric);
      const split = splitByPairs({ triples, nodes, symmetric });
      const total = split.train.length + split.valid.length + split.test.length;
      assert.equal(total - 3 * split.mirrored, triples.length);
      const [train, valid, held] = [split.train, split.valid, split.test].map(pairs);
      assert.equal(shared(train!, valid!), 0);
      assert.equal(shared(train!, held!), 0);
      assert.equal(shared(valid!, held!), 0);
      const trained = new Set([...split.train].filter((_, i) => i % 3 !== 1));
      for (const part of [split.valid, split.test]) {
        part.forEach((word, i) => {
          assert.ok(i % 3 === 1 || trained.has(word));
        });
      }
    }),
    { numRuns: 50 },
  );
});

test('a split does not depend on the order of the triples or of a pair', () => {
  const ring = Array.from({ length: 400 }, (_, i) => [i % 40, 0, (i * 7 + 3) % 40]);
  const triples = canonical(Uint32Array.from(ring.flat()), ENTITIES, new Set());
  const turned = Uint32Array.from(
    ring
      .map(([head, relation, tail]) => [tail!, relation!, head!])
      .toReversed()
      .flat(),
  );
  const one = splitByPairs({ triples, nodes, symmetric: new Set() });
  const other = splitByPairs({
    triples: canonical(turned, ENTITIES, new Set()),
    nodes,
    symmetric: new Set(),
  });
  assert.ok(one.test.length > 0);
  assert.deepEqual(pairs(one.test), pairs(other.test));
  assert.deepEqual(pairs(one.valid), pairs(other.valid));
});

test('a relation is symmetric when more than half its pairs occur both ways', () => {
  const both = [0, 0, 1, 1, 0, 0, 2, 0, 3, 3, 0, 2, 4, 0, 5];
  const half = [0, 1, 1, 1, 1, 0, 2, 1, 3];
  assert.deepEqual(findSymmetric(Uint32Array.from([...both, ...half]), 6, 2), [0]);
});

test('the 2-core drops chains and keeps rings', () => {
  const ring = [0, 0, 1, 1, 0, 2, 2, 0, 0];
  const chain = [2, 0, 3, 3, 0, 4];
  const doubled = [5, 0, 6, 6, 1, 5];
  const core = twoCore(Uint32Array.from([...ring, ...chain, ...doubled]), 7);
  assert.deepEqual([...core], ring);
});

const GRAPH: Graph = {
  name: 'letters',
  entities: ['a', 'tab\there', 'back\\slash\\n', 'line\nbreak'],
  relations: ['r', '~r'],
  train: Uint32Array.of(0, 0, 1, 1, 0, 2, 2, 1, 3, 3, 1, 2),
  valid: Uint32Array.of(0, 1, 2),
  test: Uint32Array.of(3, 0, 0),
  symmetric: [1],
  mirrored: 1,
  aliases: ['{}.n.01'],
};

async function* pieces(texts: Iterable<string>) {
  yield* texts;
}

test('a graph crosses HTTP whole: names, splits, mirrors', async () => {
  const options = { name: 'letters', aliases: GRAPH.aliases };
  assert.deepEqual(await decodeGraph(pieces(encodeGraph(GRAPH)), options), GRAPH);
  const unzipped = encodeGraphGzip(GRAPH).pipe(createGunzip());
  assert.deepEqual(await decodeGraph(unzipped, options), GRAPH);
});

test('a broken line of an upload is refused with its number', async () => {
  const good = 'train\ta\tr\tb\n';
  for (const line of ['train\ta\tr\n', 'tests\ta\tr\tb\n', 'a\n', '__proto__\ta\tr\tb\n']) {
    await assert.rejects(decodeGraph(pieces([good, line]), { name: 'x' }), (error) => {
      assert.ok(hasCode(error, 'graph_broken'));
      assert.match(error.message, /^line 2 /);
      return true;
    });
  }
});

test('an upload beyond its limit, or with nothing in it, is refused', async () => {
  const lines = 'train\ta\tr\tb\n'.repeat(5);
  await assert.rejects(decodeGraph(pieces([lines]), { name: 'x', maxTriples: 4 }), {
    code: 'graph_too_large',
  });
  await assert.rejects(decodeGraph(pieces([]), { name: 'x' }), { code: 'graph_empty' });
  await assert.rejects(decodeGraph(pieces(['test\ta\tr\tb\n']), { name: 'x' }), {
    code: 'graph_empty',
  });
});
