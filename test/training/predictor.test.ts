// What a model is asked: words, neighbours, completions, and what it does not know.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { circleGraph } from './graphs.ts';
import { startFleet } from './support.ts';
import type { Models } from '../../src/training/index.ts';
import type { TestFleet } from './support.ts';

let fleet: TestFleet;
let models: Models;

before(async () => {
  fleet = await startFleet(3);
  models = fleet.nodes[2]!.models;
  const options = { dim: 32, batch: 50, negatives: 50, epochs: 60, regularisation: 0.01 };
  await fleet.nodes[0]!.trainer.train(circleGraph(), options);
});
after(() => fleet[Symbol.asyncDispose]());

test('lists models with their figures', async () => {
  const [model, ...others] = await models.list();
  assert.equal(others.length, 0);
  assert.equal(model!.name, 'circle');
  assert.equal(model!.status, 'ready');
  assert.equal(model!.dim, 32);
  assert.deepEqual(model!.relations, ['next', 'skip', 'leap', 'far', 'near']);
  assert.ok(model!.metrics!.mrr > model!.baseline!.mrr);
  await assert.rejects(models.get('square'), { code: 'model_unknown' });
});

test('a word is an id, or what an alias makes of it', async () => {
  const words = ['person_5.n.01', 'person_5', 'Person 5', 'person_6'];
  const { vectors, unknown } = await models.embed('circle', words);
  assert.deepEqual(unknown, []);
  assert.equal(vectors.length, 4 * 32);
  const row = (i: number) => [...vectors.subarray(i * 32, (i + 1) * 32)];
  assert.deepEqual(row(0), row(1));
  assert.deepEqual(row(0), row(2));
  assert.notDeepEqual(row(0), row(3));
  assert.ok(row(0).some((value) => Math.abs(value) > 0.01));
});

test('unknown words are listed, and the others keep their places', async () => {
  const known = await models.embed('circle', ['person_7']);
  const mixed = await models.embed('circle', ['nobody', 'person_7', '']);
  assert.deepEqual(mixed.unknown, ['nobody', '']);
  assert.deepEqual(mixed.vectors.subarray(32, 64), known.vectors);
  assert.deepEqual(new Set(mixed.vectors.subarray(0, 32)), new Set([0]));
});

test('neighbours are the most alike, best first, without the word itself', async () => {
  const neighbors = await models.neighbors('circle', 'person_10', 5);
  assert.equal(neighbors.length, 5);
  const scores = neighbors.map(({ score }) => score);
  assert.deepEqual(
    scores,
    scores.toSorted((a, b) => b - a),
  );
  assert.ok(neighbors.every(({ id, score }) => id !== 'person_10.n.01' && score <= 1.0001));
  assert.equal((await models.neighbors('circle', 'person_10')).length, 10);
});

test('completes triples both ways', async () => {
  const tails = await models.complete('circle', 'person_10', 'leap', 3);
  assert.ok(
    tails.some(({ id }) => id === 'person_17.n.01'),
    JSON.stringify(tails),
  );
  const heads = await models.complete('circle', 'person_10', '~leap', 3);
  assert.ok(
    heads.some(({ id }) => id === 'person_3.n.01'),
    JSON.stringify(heads),
  );
});

test('an unknown word, relation or model is named', async () => {
  await assert.rejects(models.neighbors('circle', 'nobody', 3), (error) => {
    assert.ok(hasCode(error, 'row_unknown'));
    assert.deepEqual(error.details['ids'], ['nobody']);
    return true;
  });
  await assert.rejects(models.complete('circle', 'person_1', 'hates', 3), (error) => {
    assert.ok(hasCode(error, 'relation_unknown'));
    assert.deepEqual(error.details['relations'], ['next', 'skip', 'leap', 'far', 'near']);
    assert.match(error.message, /it has next, skip, leap, far, near/);
    return true;
  });
  await assert.rejects(models.complete('square', 'a', 'next', 3), { code: 'model_unknown' });
});

test('what is already learnt can be asked for while the training goes on', async () => {
  const graph = { ...circleGraph(), name: 'growing' };
  const asked: Promise<unknown>[] = [];
  const onEvent = ({ type }: { type: string }) => {
    if (type !== 'epoch' || asked.length > 0) return;
    asked.push(
      models.get('growing').then(({ status }) => assert.equal(status, 'training')),
      models.neighbors('growing', 'person_1', 3).then(({ length }) => assert.equal(length, 3)),
    );
  };
  await fleet.nodes[1]!.trainer.train(graph, { dim: 8, epochs: 20, validateEvery: 0 }, { onEvent });
  assert.equal(asked.length, 2);
  await Promise.all(asked);
});

test('a finished model is served again after all nodes were stopped', async () => {
  await using first = await startFleet(2);
  const options = { dim: 8, epochs: 3, validateEvery: 0 };
  await first.nodes[0]!.trainer.train(circleGraph(), options);
  const trained = await first.nodes[0]!.models.embed('circle', ['person_3', 'person_4']);
  await first.stop();
  const second = await startFleet(2, first);
  const [, other] = second.nodes;
  assert.equal((await other!.models.get('circle')).status, 'ready');
  assert.deepEqual(await other!.models.embed('circle', ['person_3', 'person_4']), trained);
  assert.equal((await other!.models.complete('circle', 'person_3', 'next', 4)).length, 4);
  await second.stop();
});
