// Rows of tables over three nodes: insert, find, pull, push, against plain JavaScript.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';

import { hasCode } from '../../src/core/index.ts';
import { FakeFleet, idsOf, noise } from './fleet.ts';
import type { Table } from '../../src/tables/index.ts';

/** Adagrad in plain JavaScript, rounded to float32 where the kernels store. */
class Reference {
  readonly rows: Float32Array;
  readonly state: Float32Array;
  readonly dim: number;
  readonly #rowWise: boolean;

  constructor(rows: Float32Array, dim: number, rowWise = false) {
    this.rows = rows.slice();
    this.state = new Float32Array(rows.length);
    this.dim = dim;
    this.#rowWise = rowWise;
  }

  push(indexes: readonly number[], gradients: Float32Array, rate: number): void {
    for (const [i, index] of indexes.entries()) {
      const gradient = gradients.subarray(i * this.dim, (i + 1) * this.dim);
      const mean = gradient.reduce((sum, g) => sum + g * g, 0) / this.dim;
      for (const [j, g] of gradient.entries()) {
        const at = index * this.dim + j;
        this.state[at]! += this.#rowWise ? mean : g * g;
        this.rows[at]! -= (rate * g) / (Math.sqrt(this.state[at]!) + 1e-10);
      }
    }
  }
}

function assertClose(actual: Float32Array, expected: Float32Array): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of actual.entries()) {
    const difference = Math.abs(value - expected[i]!);
    assert.ok(difference <= 1e-5 * (1 + Math.abs(value)), `${i}: ${value}, ${expected[i]}`);
  }
}

const sortedByOwner = (table: Table, handles: Uint32Array) => {
  const owners = table.ownersOf(handles);
  const order = [...owners.keys()].sort((a, b) => owners[a]! - owners[b]!);
  return Uint32Array.from(order.flatMap((i) => [handles[2 * i]!, handles[2 * i + 1]!]));
};

test('a new row depends on seed and id only: not on fleet size, shard count or order', async () => {
  await using one = await FakeFleet.start(1);
  await using three = await FakeFleet.start(3);
  const init = { deviation: 0.5, seed: 7 };
  const ids = idsOf(100);
  const alone = await one.service(0).create('words', { dim: 9, shards: 1, init });
  const spread = await three.service(1).create('words', { dim: 9, shards: 64, init });
  const other = await three.service(1).create('others', { dim: 9, init: { ...init, seed: 8 } });
  await alone.insert(ids.toReversed());
  await spread.insert(ids);
  await other.insert(ids);
  assert.deepEqual(await alone.pull(ids), await spread.pull(ids));
  assert.notDeepEqual(await alone.pull(ids), await other.pull(ids));
});

test('new rows are normal draws with mean 0 and the deviation asked for', async () => {
  await using fleet = await FakeFleet.start(2);
  const init = { deviation: 0.1, seed: 1 };
  const table = await fleet.service(0).create('words', { dim: 50, init });
  const ids = idsOf(2_000);
  await table.insert(ids);
  const values = await table.pull(ids);
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const variance = values.reduce((sum, x) => sum + x * x, 0) / values.length;
  const within = values.filter((x) => Math.abs(x) < 0.1).length / values.length;
  assert.ok(Math.abs(mean) < 2e-3, `mean ${mean}`);
  assert.ok(Math.abs(Math.sqrt(variance) - 0.1) < 2e-3, `variance ${variance}`);
  assert.ok(Math.abs(within - 0.6827) < 0.01, `within one deviation ${within}`);
});

test('insert is idempotent, and handles are the same from every node', async () => {
  await using fleet = await FakeFleet.start();
  const table = await fleet.service(0).create('words', { dim: 4, shards: 16 });
  const ids = idsOf(3_000);
  const [first, second] = await Promise.all([table.insert(ids), table.insert(ids)]);
  assert.deepEqual(first, second);
  const elsewhere = await fleet.service(2).open('words');
  assert.deepEqual(await elsewhere.resolve(ids), first);
  assert.deepEqual(await elsewhere.names(first), ids);
  assert.equal(await elsewhere.count(), ids.length);
  const twice = await table.insert(['new', 'word-1', 'new']);
  assert.deepEqual(twice.subarray(0, 2), twice.subarray(4, 6));
  assert.equal(await elsewhere.count(), ids.length + 1);
});

test('unknown ids: resolve names the first ten, lookup leaves gaps', async () => {
  await using fleet = await FakeFleet.start();
  const table = await fleet.service(0).create('words', { dim: 4 });
  const handles = await table.insert(['dog']);
  assert.deepEqual(await table.lookup(['cat', 'dog']), [undefined, [handles[0], handles[1]]]);
  await assert.rejects(table.resolve(['dog', 'cat']), {
    code: 'row_unknown',
    message: 'table words has no row cat',
    details: { table: 'words', ids: ['cat'], unknown: 1 },
  });
  await assert.rejects(table.pull(idsOf(12)), (error) => {
    assert.ok(hasCode(error, 'row_unknown'));
    assert.deepEqual(error.details['ids'], idsOf(10));
    return /and 2 more/.test(error.message);
  });
  for (const id of ['', 'x'.repeat(1_025)]) {
    await assert.rejects(table.insert([id]), { code: 'row_id_invalid' });
  }
  assert.equal(await table.count(), 1);
});

test('pull gives rows in the order asked, sorted by owner or not, into any memory', async () => {
  await using fleet = await FakeFleet.start();
  const dim = 5;
  const table = await fleet.service(0).create('words', { dim, shards: 32 });
  const ids = idsOf(200);
  const handles = await table.insert(ids);
  const all = await table.pull(handles);
  const rowOf = new Map<string, Float32Array>();
  for (const [i] of ids.entries()) {
    rowOf.set(`${handles.subarray(2 * i, 2 * i + 2)}`, all.subarray(i * dim, (i + 1) * dim));
  }
  const check = (asked: Uint32Array, rows: Float32Array) => {
    for (let i = 0; i < asked.length / 2; i++) {
      const expected = rowOf.get(`${asked.subarray(2 * i, 2 * i + 2)}`);
      assert.deepEqual(rows.slice(i * dim, (i + 1) * dim), expected?.slice());
    }
  };
  const sorted = sortedByOwner(table, handles);
  check(sorted, await table.pull(sorted));
  const repeated = Uint32Array.from([...handles.subarray(0, 60), ...handles.subarray(0, 20)]);
  check(repeated, await table.pull(repeated));
  const { kernels } = fleet.nodes.get('node-0')!;
  const wasm = kernels.floats(kernels.alloc(ids.length * dim * 4), ids.length * dim);
  const shared = new Uint32Array(new SharedArrayBuffer(sorted.byteLength));
  shared.set(sorted);
  for (const into of [wasm, new Float32Array(1 + ids.length * dim).subarray(1)]) {
    for (const asked of [shared, handles]) {
      into.fill(0);
      assert.equal(await table.pull(asked, into), into);
      check(asked, into.slice());
    }
  }
  assert.equal((await table.pull([])).length, 0);
  await assert.rejects(table.pull(handles, new Float32Array(1)), { code: 'dimension_invalid' });
});

for (const optimiser of ['adagrad', 'adagrad-row'] as const) {
  test(`${optimiser}: rows after any pushes equal plain Adagrad, duplicates included`, async () => {
    await using fleet = await FakeFleet.start();
    const [dim, ids] = [7, idsOf(40)];
    const push = fc.record({
      rows: fc.array(fc.integer({ min: 0, max: ids.length - 1 }), { maxLength: 60 }),
      seed: fc.integer(),
      rate: fc.constantFrom(0, 0.1, 1),
      node: fc.integer({ min: 0, max: 2 }),
      sort: fc.boolean(),
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(push, { maxLength: 6 }), async (pushes) => {
        const name = `table-${run++}`;
        const table = await fleet.service(0).create(name, { dim, shards: 16, optimiser });
        const handles = await table.insert(ids);
        const reference = new Reference(await table.pull(ids), dim, optimiser === 'adagrad-row');
        for (const { rows, seed, rate, node, sort } of pushes) {
          const owners = table.ownersOf(handles);
          const order = sort ? rows.toSorted((a, b) => owners[a]! - owners[b]!) : rows;
          const asked = Uint32Array.from(
            order.flatMap((row) => [handles[2 * row]!, handles[2 * row + 1]!]),
          );
          const gradients = noise(order.length * dim, seed);
          await (await fleet.service(node).open(name)).push(asked, gradients, { rate });
          reference.push(order, gradients, rate);
        }
        assertClose(await table.pull(handles), reference.rows);
        await fleet.service(0).drop(name);
      }),
      { numRuns: 25 },
    );
  });
}

test('concurrent pushes from all nodes are all applied', async () => {
  await using fleet = await FakeFleet.start();
  const [dim, ids] = [3, idsOf(30)];
  const table = await fleet.service(0).create('words', { dim, shards: 8 });
  const handles = await table.insert(ids);
  const reference = new Reference(await table.pull(ids), dim);
  const tables = await Promise.all([0, 1, 2].map((node) => fleet.service(node).open('words')));
  // Equal gradients, so that the order in which they arrive does not matter.
  const gradients = noise(ids.length * dim);
  const pushes = Array.from({ length: 60 }, (_, i) =>
    tables[i % 3]!.push(handles, gradients, { rate: 0.1 }),
  );
  await Promise.all(pushes);
  for (const _ of pushes) reference.push([...ids.keys()], gradients, 0.1);
  assertClose(await table.pull(handles), reference.rows);
});

test('a wrong push is refused with a typed error and changes nothing', async () => {
  await using fleet = await FakeFleet.start();
  const table = await fleet.service(0).create('words', { dim: 4, shards: 8 });
  const ids = idsOf(20);
  const handles = await table.insert(ids);
  const before = await table.pull(handles);
  const good = noise(80);
  for (const poison of [Number.NaN, Infinity, -Infinity]) {
    for (const place of [0, 41, 79]) {
      const gradients = good.slice();
      gradients[place] = poison;
      await assert.rejects(table.push(handles, gradients, { rate: 1 }), {
        code: 'gradient_not_finite',
      });
    }
  }
  await assert.rejects(table.push(handles, noise(79), { rate: 1 }), { code: 'gradient_width' });
  await assert.rejects(table.push(ids, noise(81), { rate: 1 }), { code: 'gradient_width' });
  for (const rate of [-1, Number.NaN, Infinity]) {
    await assert.rejects(table.push(handles, good, { rate }), { code: 'invalid_option' });
  }
  assert.deepEqual(await table.pull(handles), before);
});

test('an owner checks what comes over the network, whoever sent it', async () => {
  await using fleet = await FakeFleet.start(1);
  const table = await fleet.service(0).create('words', { dim: 2, shards: 4 });
  const handles = await table.insert(['dog']);
  const before = await table.pull(handles);
  const host = fleet.network.host('stranger');
  const body = { table: 'words', generation: table.generation };
  const send = (procedure: string, more: object, words: readonly number[]) => {
    const bytes = new Uint8Array(Uint32Array.from(words).buffer);
    return host.call('node-0', procedure, { body: { ...body, ...more }, bytes });
  };
  const [shard, row] = [handles[0]!, handles[1]!];
  const nan = 0x7fc00000;
  const wrong: readonly (readonly [string, object, readonly number[], string])[] = [
    ['tables.push', { rows: 1, rate: 1 }, [shard, row, nan, 0], 'gradient_not_finite'],
    ['tables.push', { rows: 1, rate: 1 }, [shard, row, 0], 'gradient_width'],
    ['tables.push', { rows: 9, rate: 1 }, [shard, row, 0, 0], 'request_invalid'],
    ['tables.push', { rows: 1, rate: 'much' }, [shard, row, 0, 0], 'request_invalid'],
    ['tables.push', { rows: 1, rate: 1 }, [shard, 99, 0, 0], 'row_out_of_range'],
    ['tables.pull', {}, [shard, row, 3], 'request_invalid'],
    ['tables.pull', {}, [4, 0], 'row_out_of_range'],
    ['tables.pull', { generation: 99 }, [shard, row], 'table_stale'],
    ['tables.pull', { table: 'none', generation: 99 }, [shard, row], 'table_unknown'],
    ['tables.rank', { queries: 1, excluded: 1 }, [0, 0, 0, 1, 0, shard, row], 'request_invalid'],
    ['tables.insert', { ids: [1] }, [], 'request_invalid'],
  ];
  for (const [procedure, more, words, code] of wrong) {
    await assert.rejects(send(procedure, more, words), { code }, `${procedure} ${code}`);
  }
  assert.deepEqual(await table.pull(handles), before);
});

test('handles that name no row are refused, locally and remotely', async () => {
  await using fleet = await FakeFleet.start();
  const table = await fleet.service(0).create('words', { dim: 4, shards: 8 });
  await table.insert(idsOf(50));
  for (let shard = 0; shard < 8; shard++) {
    const handles = Uint32Array.of(shard, 50);
    const details = { table: 'words', shard, row: 50 };
    await assert.rejects(table.pull(handles), { code: 'row_out_of_range', details });
    await assert.rejects(table.names(handles), { code: 'row_out_of_range' });
    await assert.rejects(table.push(handles, noise(4), { rate: 1 }), { code: 'row_out_of_range' });
  }
  await assert.rejects(table.pull(Uint32Array.of(8, 0)), { code: 'row_out_of_range' });
  assert.throws(() => table.ownersOf(Uint32Array.of(8, 0)), { code: 'row_out_of_range' });
});

test('large batches are cut into bounded requests and arrive whole', async () => {
  await using fleet = await FakeFleet.start(2);
  const table = await fleet.service(0).create('words', { dim: 512, shards: 8 });
  const ids = idsOf(9_000);
  const handles = await table.insert(ids);
  const before = await table.pull(handles);
  fleet.network.calls.length = 0;
  const gradients = noise(ids.length * 512);
  await table.push(handles, gradients, { rate: 1 });
  assert.ok(fleet.network.countOf('tables.push') > 1);
  const after = await table.pull(handles);
  // The first step of Adagrad is rate × the sign of the gradient.
  const stepped = gradients.every(
    (g, i) => g === 0 || Math.abs(before[i]! - after[i]! - Math.sign(g)) < 1e-3,
  );
  assert.ok(stepped);
});
