// The journal of durable entities on a real disk: what was acknowledged is there after a restart, a
// torn end costs nothing that was, damage is told, and earlier epochs stay shut out.
import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { silentLogger } from '../../src/core/index.ts';
import { FileJournal } from '../../src/sharding/index.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'flotilla-journal-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const log = silentLogger;
let files = 0;
const newFile = () => path.join(folder, `journal-${files++}`);
const key = (epoch: number, shard = 3) => ({ type: 'counter', shard, epoch });
const text = (value: string) => Buffer.from(value);
const read = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();

test('what was acknowledged is there after a restart, the last state of each entity', async () => {
  const file = newFile();
  const first = await FileJournal.open(file, { log });
  assert.deepEqual(await first.open(key(1)), []);
  await Promise.all([
    first.append(key(1), 'a', text('one')),
    first.append(key(1), 'b', text('two')),
    first.append(key(1), 'a', text('three')),
  ]);
  assert.equal(read(await first.load(key(1), 'a')), 'three');
  await first.close();
  const second = await FileJournal.open(file, { log });
  assert.deepEqual(await second.open(key(2)), ['a', 'b']);
  assert.equal(read(await second.load(key(2), 'a')), 'three');
  assert.equal(read(await second.load(key(2), 'b')), 'two');
  assert.equal(await second.load(key(2), 'c'), undefined);
  await second.close();
});

test('a reader gets what is still on its way to the disk', async () => {
  const journal = await FileJournal.open(newFile(), { log });
  const written = journal.append(key(1), 'a', text('new'));
  assert.equal(read(await journal.load(key(1), 'a')), 'new');
  await written;
  await journal.close();
});

test('earlier epochs are refused, also after a restart', async () => {
  const file = newFile();
  const first = await FileJournal.open(file, { log });
  await first.append(key(1), 'a', text('old'));
  await first.open(key(2));
  const stale = { code: 'epoch_stale' };
  await assert.rejects(first.append(key(1), 'a', text('late')), stale);
  await assert.rejects(first.load(key(1), 'a'), stale);
  await first.append(key(1, 4), 'x', text('another shard'));
  await first.close();
  const second = await FileJournal.open(file, { log });
  await assert.rejects(second.append(key(1), 'a', text('late')), stale);
  assert.equal(read(await second.load(key(2), 'a')), 'old');
  await second.close();
});

test('an end that was torn off is cut; every whole record before it counts', async () => {
  const file = newFile();
  const first = await FileJournal.open(file, { log });
  await first.append(key(1), 'a', text('kept'));
  const whole = statSync(file).size;
  await first.append(key(1), 'b', text('torn'));
  await first.close();
  const bytes = readFileSync(file);
  for (let cut = whole; cut < bytes.length; cut++) {
    writeFileSync(file, bytes.subarray(0, cut));
    const again = await FileJournal.open(file, { log });
    assert.equal(read(await again.load(key(1), 'a')), 'kept', `cut at ${cut}`);
    assert.equal(await again.load(key(1), 'b'), undefined, `cut at ${cut}`);
    assert.equal(statSync(file).size, whole);
    await again.close();
  }
});

test('damage before the end is told, with file and place', async () => {
  const file = newFile();
  const first = await FileJournal.open(file, { log });
  await first.append(key(1), 'a', text('one'));
  await first.append(key(1), 'b', text('two'));
  await first.close();
  const bytes = readFileSync(file);
  bytes[30]! ^= 1;
  writeFileSync(file, bytes);
  await assert.rejects(FileJournal.open(file, { log }), {
    code: 'journal_corrupt',
    message: /byte 0/,
  });
  appendFileSync(file, 'x');
});

test('outdated records are left out when the file is written anew, and nothing else', async () => {
  const file = newFile();
  const journal = await FileJournal.open(file, { log }, { compactBytes: 4_096 });
  await journal.open(key(7, 1));
  const state = (turn: number, entity: number) => text(`${turn}-${entity}-${'x'.repeat(100)}`);
  for (let turn = 0; turn < 40; turn++) {
    await Promise.all(
      Array.from({ length: 20 }, (_, entity) =>
        journal.append(key(7, entity % 3), `e${entity}`, state(turn, entity)),
      ),
    );
  }
  assert.ok(statSync(file).size < 16_384, `${statSync(file).size} bytes for 20 entities`);
  await journal.close();
  const again = await FileJournal.open(file, { log });
  for (let entity = 0; entity < 20; entity++) {
    const bytes = await again.load(key(7, entity % 3), `e${entity}`);
    assert.equal(read(bytes), state(39, entity).toString());
  }
  await assert.rejects(again.load(key(6, 1), 'e1'), { code: 'epoch_stale' });
  await again.close();
});
