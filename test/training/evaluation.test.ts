// Ranks, the filter, the symmetry rule, and an evaluation against one computed by hand.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrng } from '../../src/core/index.ts';
import { Evaluator } from '../../src/training/evaluator.ts';
import { knownAnswers } from '../../src/training/known-answers.ts';
import { RankTally } from '../../src/training/ranking.ts';
import { symmetryBaseline } from '../../src/training/index.ts';
import { circleGraph } from './graphs.ts';
import { startFleet } from './support.ts';
import type { Graph } from '../../src/training/index.ts';

const FAMILY: Graph = {
  name: 'family',
  entities: ['a', 'b', 'c', 'd'],
  relations: ['knows', 'likes'],
  train: Uint32Array.of(0, 0, 1, 1, 0, 2, 2, 1, 3),
  valid: Uint32Array.of(0, 0, 2),
  test: Uint32Array.of(1, 0, 0, 3, 1, 2),
  symmetric: [],
  mirrored: 0,
  aliases: [],
};

test('ties are realistic, with the best and the worst reading beside them', () => {
  const tally = new RankTally();
  tally.add(0, 0);
  tally.add(1, 2);
  const { mrr, mrrOptimistic, mrrPessimistic, hits1, hits3, count } = tally.metrics();
  assert.equal(mrr, (1 + 1 / 3) / 2);
  assert.equal(mrrOptimistic, (1 + 1 / 2) / 2);
  assert.equal(mrrPessimistic, (1 + 1 / 4) / 2);
  assert.deepEqual([hits1, hits3, count], [0.5, 1, 2]);
});

test('figures of nothing are zeros, not NaN', () => {
  assert.deepEqual(new Set(Object.values(new RankTally().metrics())), new Set([0]));
});

test('the filter knows the answers of all splits, both ways', () => {
  const known = knownAnswers(FAMILY, Uint32Array.of(0, 0, 1, 2, 1, 3));
  assert.deepEqual([...known.of(0, 0)].sort(), [1, 2]);
  assert.deepEqual([...known.of(1, 2)], [0]);
  assert.deepEqual([...known.of(3, 3)], [2]);
  assert.deepEqual([...known.of(2, 0)], []);
});

test('the symmetry rule scores mirrored triples, and nothing else', () => {
  const { hits1, mrr } = symmetryBaseline(FAMILY);
  assert.equal(hits1, 1);
  assert.equal(mrr, 1);
  const unrelated = { ...FAMILY, test: Uint32Array.of(2, 0, 0) };
  assert.ok(symmetryBaseline(unrelated).hits1 === 0);
});

/** Rows that are known: small whole numbers, so that scores are exact and ties happen. */
async function rankedByHand(rows: (row: number) => number) {
  await using fleet = await startFleet(2);
  const { tables } = fleet.nodes[0]!;
  const graph = circleGraph();
  const dim = 4;
  const spec = { dim, init: { deviation: 0, seed: 1 } };
  const entities = await tables.create('e', spec);
  const relations = await tables.create('r', spec);
  const directions = graph.relations.flatMap((name) => [`>${name}`, `<${name}`]);
  const entityHandles = await entities.insert(graph.entities);
  const relationHandles = await relations.insert(directions);
  const fill = async (table: typeof entities, handles: Uint32Array) => {
    // From zero, the first step of Adagrad moves each element by the rate against its sign.
    for (let round = 1; round <= 2; round++) {
      const signs = Float32Array.from({ length: (handles.length / 2) * dim }, (_, i) =>
        rows(i + round),
      );
      await table.push(handles, signs, { rate: 1 });
    }
    return table.pull(handles);
  };
  const e = await fill(entities, entityHandles);
  const r = await fill(relations, relationHandles);
  const evaluator = new Evaluator(graph, {
    entities,
    relations,
    entityHandles,
    relationHandles,
    dim,
  });
  const { signal } = new AbortController();
  return { graph, e, r, dim, metrics: await evaluator.evaluate(graph.test, { signal }) };
}

test('an evaluation on two nodes is the one computed by hand', async () => {
  const prng = createPrng(7);
  const { graph, e, r, dim, metrics } = await rankedByHand(() => prng.normal());
  const row = (rows: Float32Array, i: number) => rows.subarray(i * dim, (i + 1) * dim);
  const score = (h: Float32Array, q: Float32Array, t: Float32Array) =>
    (h[0]! * q[0]! - h[2]! * q[2]!) * t[0]! +
    (h[1]! * q[1]! - h[3]! * q[3]!) * t[1]! +
    (h[0]! * q[2]! + h[2]! * q[0]!) * t[2]! +
    (h[1]! * q[3]! + h[3]! * q[1]!) * t[3]!;
  const count = graph.relations.length;
  const known = knownAnswers(graph, graph.test);
  const tally = new RankTally();
  const rank = (subject: number, relation: number, target: number) => {
    const of = (entity: number) => score(row(e, subject), row(r, relation), row(e, entity));
    const answers = new Set(known.of(subject, relation)).add(target);
    const others = [...graph.entities.keys()].filter((entity) => !answers.has(entity)).map(of);
    const mine = of(target);
    tally.add(
      others.filter((other) => other > mine + 1e-5).length,
      others.filter((other) => Math.abs(other - mine) <= 1e-5).length,
    );
  };
  for (let i = 0; i < graph.test.length; i += 3) {
    const [head, relation, tail] = graph.test.subarray(i, i + 3);
    rank(head!, relation!, tail!);
    rank(tail!, relation! + count, head!);
  }
  const expected = tally.metrics();
  assert.ok(expected.count > 20);
  for (const key of ['mrr', 'hits1', 'hits10', 'mrrOptimistic', 'mrrPessimistic'] as const) {
    assert.ok(Math.abs(metrics[key] - expected[key]) < 1e-9, `${key} ${metrics[key]}`);
  }
});

test('a model that gives every entity the same row ties with everything', async () => {
  const { graph, metrics } = await rankedByHand(() => 1);
  assert.ok(metrics.mrrOptimistic === 1);
  assert.ok(metrics.mrr < 3 / graph.entities.length);
  assert.equal(metrics.hits10, 0);
});
