// Tables from creation to checkpoint, restart, loss of a node and drop.
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { hasCode } from '../../src/core/index.ts';
import { FakeFleet, idsOf, noise } from './fleet.ts';
import type { Table } from '../../src/tables/index.ts';

const SPEC = { dim: 5, shards: 16, init: { deviation: 0.1, seed: 1 } } as const;

async function trained(fleet: FakeFleet, name = 'words'): Promise<Table> {
  const table = await fleet.service(0).create(name, SPEC);
  const handles = await table.insert(idsOf(300));
  await table.push(handles, noise(1_500), { rate: 0.1 });
  return table;
}

test('create spreads shards over the healthy nodes, and every node can open and list', async () => {
  await using fleet = await FakeFleet.start();
  const table = await fleet.service(1).create('words', { dim: 8 });
  assert.deepEqual(table.spec, {
    dim: 8,
    shards: 256,
    optimiser: 'adagrad',
    init: { deviation: 1e-3, seed: 1 },
  });
  assert.deepEqual(table.owners, ['node-0', 'node-1', 'node-2']);
  const [info] = await fleet.service(2).list();
  assert.equal(info?.name, 'words');
  assert.deepEqual(Object.values(info?.shards ?? {}).sort(), [85, 85, 86]);
  assert.equal((await fleet.service(2).open('words')).ownerOf('dog'), table.ownerOf('dog'));
  await assert.rejects(fleet.service(0).create('words', { dim: 8 }), { code: 'table_exists' });
  await assert.rejects(fleet.service(0).open('none'), { code: 'table_unknown' });
  await assert.rejects(fleet.service(0).drop('none'), { code: 'table_unknown' });
});

test('of two creates of one name one wins, and its table works', async () => {
  await using fleet = await FakeFleet.start();
  const results = await Promise.allSettled(
    [0, 1, 2].map((node) => fleet.service(node).create('words', SPEC)),
  );
  const lost = results.filter((result) => result.status === 'rejected');
  assert.equal(lost.length, 2);
  assert.ok(lost.every(({ reason }) => hasCode(reason, 'table_exists')));
  const table = await fleet.service(0).open('words');
  await table.insert(idsOf(50));
  assert.equal(await table.count(), 50);
});

test('names and specs that break a rule are refused with option, rule and value', async () => {
  await using fleet = await FakeFleet.start(1);
  const service = fleet.service(0);
  for (const name of ['', '.', '../words', 'a b', 'x'.repeat(129)]) {
    await assert.rejects(service.create(name, SPEC), { code: 'invalid_option' }, name);
  }
  for (const dim of [0, -1, 1.5, Number.NaN, 16_385]) {
    await assert.rejects(service.create('words', { dim }), { code: 'dimension_invalid' });
  }
  await assert.rejects(service.create('words', { dim: 1, shards: 0 }), /shards must be .* is 0/);
  await assert.rejects(
    service.create('words', { dim: 1, init: { deviation: -1, seed: 1 } }),
    /init\.deviation must be .* is -1/,
  );
  assert.deepEqual(await service.list(), []);
});

test('after checkpoint and restart, bytes, handles and optimiser state are the same', async () => {
  for (const optimiser of ['adagrad', 'adagrad-row'] as const) {
    await using fleet = await FakeFleet.start();
    const before = await fleet.service(0).create('kg/words', { ...SPEC, optimiser });
    const ids = [...idsOf(300), 'naïve', '狼', '🐺'];
    const handles = await before.insert(ids);
    const gradients = noise(ids.length * 5);
    await before.push(handles, gradients, { rate: 0.1 });
    assert.equal(await before.checkpoint(), ids.length);
    const saved = await before.pull(handles);
    await before.push(handles, gradients, { rate: 0.1 });
    const continued = await before.pull(handles);

    for (const name of fleet.names) await fleet.kill(name);
    for (const name of fleet.names) await fleet.startNode(name);
    const after = await fleet.service(1).open('kg/words');
    assert.deepEqual(await after.resolve(ids), handles);
    assert.deepEqual(await after.names(handles), ids);
    assert.deepEqual(await after.pull(handles), saved);
    await after.push(handles, gradients, { rate: 0.1 });
    assert.deepEqual(await after.pull(handles), continued);
    const [file] = readdirSync(fleet.directoryOf('node-0'));
    assert.equal(file, 'kg%2Fwords.table');
  }
});

test('checkpoints during pushes, and several at once, are each whole', async () => {
  await using fleet = await FakeFleet.start();
  const table = await trained(fleet);
  const handles = await table.resolve(idsOf(300));
  const work: Promise<unknown>[] = [];
  for (let i = 0; i < 5; i++) {
    work.push(table.checkpoint(), table.push(handles, noise(1_500, i), { rate: 0.1 }));
  }
  await Promise.all(work);
  await table.checkpoint();
  const saved = await table.pull(handles);
  await fleet.kill('node-1');
  await fleet.startNode('node-1');
  assert.deepEqual(await table.pull(handles), saved);
});

test('a node that is gone: every operation on its rows says which node and shard', async () => {
  await using fleet = await FakeFleet.start();
  const table = await trained(fleet);
  const ids = idsOf(300);
  const handles = await table.resolve(ids);
  await fleet.kill('node-2');
  const lost = ids.filter((id) => table.ownerOf(id) === 'node-2');
  const kept = ids.filter((id) => table.ownerOf(id) !== 'node-2');
  assert.equal((await table.pull(kept)).length, kept.length * 5);
  const attempts: (() => Promise<unknown>)[] = [
    () => table.pull(handles),
    () => table.push(handles, noise(1_500), { rate: 0.1 }),
    () => table.resolve(lost.slice(0, 1)),
    () => table.insert(lost),
    () => table.names(handles),
    () => table.count(),
    () => table.checkpoint(),
    () => table.nearest(noise(5), { k: 3, metric: 'dot' }),
    () => table.score(handles, noise(1_500)),
    () => table.rank({ queries: noise(5), targets: noise(1), excluded: [new Uint32Array(0)] }),
  ];
  for (const attempt of attempts) {
    await assert.rejects(attempt, (error) => {
      assert.ok(hasCode(error, 'owner_unreachable'), String(error));
      assert.equal(error.details['node'], 'node-2');
      assert.equal(error.details['table'], 'words');
      const { shard } = error.details;
      const [info] = [table.ownersOf(Uint32Array.of(Number(shard), 0))];
      assert.equal(table.owners[info[0]!], 'node-2');
      assert.equal(error.message, `node-2, which owns shard ${shard} of table words, is gone`);
      return true;
    });
  }
  await assert.rejects(fleet.service(0).create('more', SPEC), { code: 'owner_unreachable' });
  assert.equal((await fleet.service(0).list()).length, 1);
});

test('an owner restarted without a checkpoint refuses instead of serving fresh rows', async () => {
  await using fleet = await FakeFleet.start();
  const table = await trained(fleet);
  const ids = idsOf(300);
  await fleet.kill('node-1');
  await fleet.startNode('node-1');
  const lost = ids.filter((id) => table.ownerOf(id) === 'node-1');
  for (const attempt of [table.pull(lost), table.insert(lost), table.count()]) {
    await assert.rejects(attempt, {
      code: 'shard_not_loaded',
      message: /^node-1 owns shard \d+ of table words, but has no checkpoint to load it from$/,
    });
  }
  const elsewhere = await fleet.service(1).open('words');
  await assert.rejects(elsewhere.pull(lost), { code: 'shard_not_loaded' });
  await fleet.service(0).drop('words');
  await trained(fleet);
});

test('a damaged checkpoint is refused by name, whatever byte is wrong; others load', async () => {
  await using fleet = await FakeFleet.start(1);
  const table = await trained(fleet);
  await table.checkpoint();
  await (await trained(fleet, 'others')).checkpoint();
  const file = path.join(fleet.directoryOf('node-0'), 'words.table');
  const whole = readFileSync(file);
  const flipped = (at: number) => {
    const bytes = Buffer.from(whole);
    bytes[at]! ^= 1;
    return bytes;
  };
  const places = [0, 8, 12, 15, 20, 150, 200, 1_000, whole.length >> 1, whole.length - 1];
  const broken = [
    ...places.map(flipped),
    whole.subarray(0, whole.length - 1),
    whole.subarray(0, 10),
    Buffer.alloc(0),
    Buffer.concat([whole, Buffer.of(0)]),
  ];
  for (const bytes of broken) {
    await fleet.kill('node-0');
    writeFileSync(file, bytes);
    await fleet.startNode('node-0');
    const opened = await fleet.service(0).open('words');
    await assert.rejects(opened.count(), (error) => {
      assert.ok(hasCode(error, 'checkpoint_corrupt'), String(error));
      assert.equal(error.details['file'], file);
      return error.message.includes(file);
    });
    assert.equal(await (await fleet.service(0).open('others')).count(), 300);
  }
  await fleet.kill('node-0');
  writeFileSync(file, whole);
  const { kernels } = await fleet.startNode('node-0');
  assert.equal(await (await fleet.service(0).open('words')).count(), 300);
  const used = kernels.usedBytes;
  assert.ok(used < 8 * 2 ** 20, `${used} bytes`);
});

test('a checkpoint that cannot be written fails with the file and leaves the old one', async () => {
  await using fleet = await FakeFleet.start(1);
  const table = await trained(fleet);
  const file = path.join(fleet.directoryOf('node-0'), 'words.table');
  await table.checkpoint();
  const old = readFileSync(file);
  mkdirSync(`${file}.new`);
  await assert.rejects(table.checkpoint(), { code: 'checkpoint_failed', details: { file } });
  assert.deepEqual(readFileSync(file), old);
  rmdirSync(`${file}.new`);
  await table.checkpoint();
});

test('drop frees memory and files; handles of the old table do not reach a new one', async () => {
  await using fleet = await FakeFleet.start();
  const used = () => fleet.names.map((name) => fleet.nodes.get(name)!.kernels.usedBytes);
  const old = await trained(fleet);
  const rows = await old.resolve(['word-1']);
  await old.checkpoint();
  const held = used();
  const file = path.join(fleet.directoryOf('node-0'), 'words.table');
  assert.ok(existsSync(file));
  await fleet.service(2).drop('words');
  assert.ok(!existsSync(file));
  assert.ok(used().every((bytes, node) => bytes < held[node]!));
  await assert.rejects(old.pull(rows), { code: 'table_unknown' });
  await assert.rejects(fleet.service(0).open('words'), { code: 'table_unknown' });
  const fresh = await trained(fleet);
  assert.notEqual(fresh.generation, old.generation);
  await assert.rejects(old.pull(rows), { code: 'table_stale' });
  await assert.rejects(old.insert(['intruder']), { code: 'table_stale' });
  assert.equal(await fresh.count(), 300);
});

test('a checkpoint of a dropped table is not loaded into a new one of its name', async () => {
  await using fleet = await FakeFleet.start(1);
  const file = path.join(fleet.directoryOf('node-0'), 'words.table');
  await (await trained(fleet)).checkpoint();
  const stale = readFileSync(file);
  await fleet.service(0).drop('words');
  await fleet.service(0).create('words', SPEC);
  await fleet.kill('node-0');
  writeFileSync(file, stale);
  await fleet.startNode('node-0');
  const table = await fleet.service(0).open('words');
  await assert.rejects(table.count(), { code: 'shard_not_loaded' });
});

test('a damaged record in the store is refused, and the node starts all the same', async () => {
  await using fleet = await FakeFleet.start(1);
  await trained(fleet);
  const record = fleet.store.entries.get('tables/words')!;
  fleet.store.entries.set('tables/words', { ...record, value: Buffer.from('{"version":1}') });
  await fleet.kill('node-0');
  await fleet.startNode('node-0');
  await assert.rejects(fleet.service(0).open('words'), { code: 'table_invalid' });
});
