// The journals of durable entities: what each of them promises to who relies on it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JOURNALS } from './journals.ts';
import type { TestContext } from 'node:test';
import type { JournalBench, JournalKind } from './journals.ts';

const key = (epoch: number, shard = 3) => ({ type: 'counter', shard, epoch });
const text = (value: string) => Buffer.from(value);
const read = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();
const stale = (error: unknown) => {
  const { code } = error as { code: string };
  // Who looks at the owner first says that it is another one.
  assert.ok(['epoch_stale', 'shard_not_owned'].includes(code), String(error));
  return true;
};

for (const kind of JOURNALS) {
  const { name, skip } = kind;
  const start = async (t: TestContext, from: JournalKind = kind): Promise<JournalBench> => {
    const bench = await from.start();
    t.after(() => bench.stop());
    await bench.grant('a', key(1));
    return bench;
  };

  test(`${name}: what was acknowledged is there after a restart`, { skip }, async (t) => {
    const bench = await start(t);
    const first = bench.of('a');
    assert.deepEqual(await first.open(key(1)), []);
    assert.equal(await first.load(key(1), 'a'), undefined);
    await first.append(key(1), 'a', text('one'));
    await Promise.all([
      first.append(key(1), 'b', text('two')),
      first.append(key(1), 'c', new Uint8Array(0)),
      first.append(key(1), 'a', text('three')),
    ]);
    assert.equal(read(await first.load(key(1), 'a')), 'three');
    await bench.restart();
    await bench.grant('b', key(2));
    const second = bench.of('b');
    assert.deepEqual([...(await second.open(key(2)))].sort(), ['a', 'b', 'c']);
    assert.equal(read(await second.load(key(2), 'a')), 'three');
    assert.equal(read(await second.load(key(2), 'b')), 'two');
    assert.equal(read(await second.load(key(2), 'c')), '');
    assert.equal(await second.load(key(2), 'd'), undefined);
  });

  test(`${name}: earlier epochs are refused, also after a restart`, { skip }, async (t) => {
    const bench = await start(t);
    const old = bench.of('a');
    await old.open(key(1));
    await old.append(key(1), 'a', text('old'));
    await bench.grant('b', key(2));
    const young = bench.of('b');
    await young.open(key(2));
    await assert.rejects(old.append(key(1), 'a', text('late')), stale);
    await assert.rejects(old.append(key(1), 'new', text('late')), stale);
    await assert.rejects(old.load(key(1), 'a'), stale);
    await assert.rejects(old.open(key(1)), stale);
    await bench.restart();
    await assert.rejects(bench.of('a').append(key(1), 'a', text('late')), stale);
    assert.equal(read(await bench.of('b').load(key(2), 'a')), 'old');
    assert.equal(await bench.of('b').load(key(2), 'new'), undefined);
  });

  test(`${name}: an owner goes on at the next epoch without a word`, { skip }, async (t) => {
    const bench = await start(t);
    const journal = bench.of('a');
    await journal.open(key(1));
    await journal.append(key(1), 'a', text('one'));
    await bench.grant('a', key(2));
    await journal.append(key(2), 'a', text('two'));
    assert.equal(read(await journal.load(key(2), 'a')), 'two');
    await assert.rejects(journal.append(key(1), 'a', text('late')), stale);
  });

  test(`${name}: shards and types do not know each other`, { skip }, async (t) => {
    const bench = await start(t);
    const other = { type: 'counter.2', shard: 3, epoch: 9 };
    for (const each of [key(1, 33), other]) await bench.grant('a', each);
    const journal = bench.of('a');
    await journal.append(key(1), 'a', text('3'));
    await journal.append(key(1, 33), 'a', text('33'));
    await journal.append(other, 'a', text('other'));
    assert.equal(read(await journal.load(key(1), 'a')), '3');
    assert.equal(read(await journal.load(key(1, 33), 'a')), '33');
    assert.equal(read(await journal.load(other, 'a')), 'other');
    assert.deepEqual(await journal.open(key(1)), ['a']);
  });

  test(`${name}: any id is kept as it is`, { skip }, async (t) => {
    const bench = await start(t);
    const journal = bench.of('a');
    const ids = [
      '__proto__',
      'constructor',
      'a/b',
      '../x',
      '\u0000',
      ' ',
      'ü€😀',
      'x'.repeat(1_024),
    ];
    ids.push('€'.repeat(1_024));
    for (const id of ids) await journal.append(key(1), id, text(id));
    await bench.restart();
    const again = bench.of('a');
    assert.deepEqual([...(await again.open(key(1)))].sort(), ids.sort());
    for (const id of ids) assert.equal(read(await again.load(key(1), id)), id);
  });

  test(`${name}: what cannot be kept is refused by name, and nothing is`, { skip }, async (t) => {
    const bench = await start(t);
    const journal = bench.of('a');
    await journal.append(key(1), 'a', text('small'));
    const large = new Uint8Array(16 * 1024 * 1024 + 1);
    await assert.rejects(journal.append(key(1), 'a', large), { code: 'state_too_large' });
    assert.equal(read(await journal.load(key(1), 'a')), 'small');
    for (const id of ['', '\ud800', 'x'.repeat(1_025)]) {
      await assert.rejects(journal.append(key(1), id, text('x')), { code: 'entity_id_invalid' });
    }
    const invalid = { code: 'shard_message_invalid' };
    const keys = [
      ...[key(-1), key(0.5), key(Number.NaN), key(Infinity), key(2 ** 53)],
      ...[key(1, -1), key(1, 0.5), key(1, 2 ** 32), { ...key(1), type: '' }],
      ...[
        { ...key(1), type: 'a/b' },
        { ...key(1), type: 'x'.repeat(65) },
      ],
    ];
    for (const odd of keys) {
      await assert.rejects(journal.append(odd, 'a', text('x')), invalid);
      await assert.rejects(journal.open(odd), invalid);
      await assert.rejects(journal.load(odd, 'a'), invalid);
    }
    assert.deepEqual(await journal.open(key(1)), ['a']);
  });
}
