// Rank, score and nearest over three nodes, against brute force over all rows in one place.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';

import { FakeFleet, idsOf, noise } from './fleet.ts';
import type { Table } from '../../src/tables/index.ts';

const DIM = 6;

/** A table whose rows come in equal pairs, so that there are ties. */
async function tableWithTies(fleet: FakeFleet, ids: readonly string[]): Promise<Table> {
  const table = await fleet.service(0).create('words', {
    dim: DIM,
    shards: 16,
    init: { deviation: 0, seed: 1 },
  });
  const handles = await table.insert(ids);
  const gradients = noise(ids.length * DIM);
  for (let i = 1; i < ids.length; i += 2) {
    gradients.copyWithin(i * DIM, (i - 1) * DIM, i * DIM);
  }
  // Two pushes make the values differ in size, not only in sign.
  await table.push(handles, gradients, { rate: 1 });
  await table.push(
    handles,
    gradients.map((g) => g * g * Math.sign(g)),
    { rate: 0.7 },
  );
  return table;
}

const scoreOf = (query: Float32Array, row: Float32Array) =>
  row.reduce((sum, value, j) => sum + value * query[j]!, 0);

test('ranks agree with brute force: ties, repeated exclusions, NaN targets', async () => {
  await using fleet = await FakeFleet.start();
  const ids = idsOf(301);
  const table = await tableWithTies(fleet, ids);
  const handles = await table.resolve(ids);
  const handleOf = (i: number) => handles.slice(2 * i, 2 * i + 2);
  const query = fc.record({
    seed: fc.integer(),
    target: fc.integer({ min: 0, max: 300 }),
    excluded: fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 30 }),
    unordered: fc.integer({ min: 0, max: 9 }).map((draw) => draw === 0),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(query, { minLength: 1, maxLength: 8 }), async (asked) => {
      const queries = new Float32Array(asked.length * DIM);
      for (const [q, { seed }] of asked.entries()) queries.set(noise(DIM, seed), q * DIM);
      // Every score by the same kernel: each row of the table against each query.
      const scores = await Promise.all(
        asked.map((_, q) => {
          const repeated = new Float32Array(ids.length * DIM);
          for (let i = 0; i < ids.length; i++) {
            repeated.set(queries.subarray(q * DIM, (q + 1) * DIM), i * DIM);
          }
          return table.score(handles, repeated);
        }),
      );
      const targets = Float32Array.from(asked, ({ target, unordered }, q) =>
        unordered ? Number.NaN : scores[q]![target]!,
      );
      const excluded = asked.map((one) =>
        Uint32Array.from(one.excluded.flatMap((i) => [...handleOf(i)])),
      );
      const ranks = await table.rank({ queries, targets, excluded });
      for (const [q, one] of asked.entries()) {
        const rest = [...scores[q]!].filter((_, i) => !one.excluded.includes(i));
        const greater = rest.filter((score) => one.unordered || score > targets[q]!).length;
        const equal = rest.filter((score) => score === targets[q]).length;
        assert.deepEqual([ranks.greater[q], ranks.equal[q]], [greater, equal]);
        if (!one.unordered && !one.excluded.includes(one.target)) assert.ok(equal >= 1);
      }
    }),
    { numRuns: 30 },
  );
});

test('ties are exact: equal rows on different nodes score the same to the bit', async () => {
  await using fleet = await FakeFleet.start();
  const ids = idsOf(120);
  const table = await tableWithTies(fleet, ids);
  const rows = await table.resolve(ids);
  const one = noise(DIM, 5);
  const queries = new Float32Array(ids.length * DIM);
  for (let i = 0; i < ids.length; i++) queries.set(one, i * DIM);
  const scores = await table.score(rows, queries);
  for (let i = 0; i < ids.length; i += 2) assert.equal(scores[i], scores[i + 1]);
  const values = await table.pull(rows);
  for (const [i, score] of scores.entries()) {
    const exact = scoreOf(one, values.subarray(i * DIM, (i + 1) * DIM));
    assert.ok(Math.abs(score - exact) < 1e-5);
  }
  const { equal } = await table.rank({
    queries: one,
    targets: scores.slice(0, 1),
    excluded: [rows.slice(0, 2)],
  });
  assert.deepEqual([...equal], [1]);
});

test('many queries are ranked in bounded requests, the same as one at a time', async () => {
  await using fleet = await FakeFleet.start();
  const table = await tableWithTies(fleet, idsOf(80));
  const count = 600;
  const queries = noise(count * DIM, 3);
  const targets = noise(count, 4);
  const excluded = Array.from({ length: count }, () => new Uint32Array(0));
  const ranks = await table.rank({ queries, targets, excluded });
  for (const q of [0, 255, 256, 511, 599]) {
    const alone = await table.rank({
      queries: queries.subarray(q * DIM, (q + 1) * DIM),
      targets: targets.subarray(q, q + 1),
      excluded: [new Uint32Array(0)],
    });
    assert.deepEqual([alone.greater[0], alone.equal[0]], [ranks.greater[q], ranks.equal[q]]);
  }
  const empty = await table.rank({
    queries: queries.slice(0, 0),
    targets: targets.slice(0, 0),
    excluded: [],
  });
  assert.equal(empty.greater.length, 0);
  assert.equal((await table.score(new Uint32Array(0), new Float32Array(0))).length, 0);
});

test('ranks and scores refuse wrong widths and rows that do not exist', async () => {
  await using fleet = await FakeFleet.start();
  const table = await tableWithTies(fleet, idsOf(10));
  const none = new Uint32Array(0);
  const wrong = [
    { queries: noise(DIM + 1), targets: noise(1), excluded: [none] },
    { queries: noise(DIM), targets: noise(1), excluded: [] },
  ];
  for (const request of wrong) {
    await assert.rejects(table.rank(request), { code: 'dimension_invalid' });
  }
  const excluded = [Uint32Array.of(3, 4_000)];
  await assert.rejects(table.rank({ queries: noise(DIM), targets: noise(1), excluded }), {
    code: 'row_out_of_range',
  });
  await assert.rejects(table.score(Uint32Array.of(3, 4_000), noise(DIM)), {
    code: 'row_out_of_range',
  });
  await assert.rejects(table.score(none, noise(DIM)), { code: 'dimension_invalid' });
});

for (const metric of ['dot', 'cosine'] as const) {
  test(`nearest by ${metric} agrees with brute force, equal scores in order of ids`, async () => {
    await using fleet = await FakeFleet.start();
    const ids = idsOf(333);
    const table = await tableWithTies(fleet, ids);
    const handles = await table.resolve(ids);
    const rows = await table.pull(handles);
    const length = (x: Float32Array) => Math.sqrt(scoreOf(x, x));
    for (const [k, excluded] of [
      [1, 0],
      [10, 5],
      [100, 1],
      [1_000, 7],
    ] as const) {
      const query = noise(DIM, k);
      const scored = ids.map((id, i) => {
        const row = rows.subarray(i * DIM, (i + 1) * DIM);
        const lengths = metric === 'cosine' ? length(query) * length(row) : 1;
        return { id, score: scoreOf(query, row) / lengths };
      });
      const expected = scored
        .slice(excluded)
        .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
        .slice(0, k);
      const exclude = handles.slice(0, 2 * excluded);
      const found = await table.nearest(query, { k, metric, exclude });
      assert.equal(found.length, expected.length);
      for (const [i, { score }] of found.entries()) {
        assert.ok(Math.abs(score - expected[i]!.score) < 1e-5);
        const next = found[i + 1];
        if (next?.score === score) assert.ok(found[i]!.id < next.id);
      }
      const known = new Map(scored.map(({ id, score }) => [id, score]));
      assert.ok(found.every(({ id, score }) => Math.abs(known.get(id)! - score) < 1e-5));
      assert.equal(new Set(found.map(({ id }) => id)).size, found.length);
    }
  });
}

test('a row or a query of zeros has cosine 0, and k is checked', async () => {
  await using fleet = await FakeFleet.start();
  const table = await fleet.service(0).create('words', {
    dim: 3,
    init: { deviation: 0, seed: 0 },
  });
  await table.insert(['b', 'a']);
  const request = { k: 5, metric: 'cosine' } as const;
  const zeros = [
    { id: 'a', score: 0 },
    { id: 'b', score: 0 },
  ];
  assert.deepEqual(await table.nearest(Float32Array.of(1, 2, 3), request), zeros);
  assert.deepEqual(await table.nearest(new Float32Array(3), request), zeros);
  for (const k of [0, 1.5, 4_097]) {
    await assert.rejects(table.nearest(new Float32Array(3), { k, metric: 'dot' }), {
      code: 'invalid_option',
    });
  }
  await assert.rejects(table.nearest(new Float32Array(2), request), { code: 'dimension_invalid' });
});

test('a scan lets the event loop run, and ends when its table is dropped', async () => {
  await using fleet = await FakeFleet.start(1);
  const table = await fleet.service(0).create('words', { dim: 128 });
  await table.insert(idsOf(20_000));
  const queries = noise(256 * 128);
  const excluded = Array.from({ length: 256 }, () => new Uint32Array(0));
  const request = { queries, targets: noise(256), excluded };
  let turns = 0;
  let running = true;
  const turn = () => {
    turns++;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  await table.rank(request);
  running = false;
  assert.ok(turns >= 3, `${turns} turns of the event loop`);
  const ranking = table.rank(request);
  const failure = assert.rejects(ranking, { code: 'table_unknown' });
  await fleet.service(0).drop('words');
  await failure;
  const { usedBytes } = fleet.nodes.get('node-0')!.kernels;
  assert.ok(usedBytes < 8 * 2 ** 20, `${usedBytes} bytes are still taken`);
});
