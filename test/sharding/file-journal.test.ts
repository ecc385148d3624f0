// The journal's file when power fails, disks are full or broken, bits flip, and while it is written
// anew: what was acknowledged is there, or the journal says by name that it cannot tell.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrng, hasCode, silentLogger } from '../../src/core/index.ts';
import { FileJournal } from '../../src/sharding/index.ts';
import { FaultyDisk } from './faulty-disk.ts';
import type { Prng } from '../../src/core/index.ts';
import type { Operation } from './faulty-disk.ts';

const FILE = '/data/journal';
const log = silentLogger;
const key = (epoch: number, shard = 3) => ({ type: 'counter', shard, epoch });
const text = (value: string) => Buffer.from(value);
const read = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();
const open = (disk: FaultyDisk, compactBytes?: number) =>
  FileJournal.open(FILE, { log, disk }, compactBytes === undefined ? {} : { compactBytes });
const turn = () => new Promise(setImmediate);

/** Some appends in some order, and what of them was acknowledged. */
class Writer {
  readonly #prng: Prng;
  readonly acknowledged = new Map<string, number>();
  readonly attempted = new Map<string, number>();
  /** Epochs that a shard was opened at. */
  readonly opened = [0, 0, 0];

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  /** Until the power fails. */
  async run(disk: FaultyDisk): Promise<void> {
    const journal = await Promise.race([open(disk, 2_000), failure(disk)]);
    if (journal === undefined) return;
    while (!disk.hasFailed) {
      for (let burst = 1 + this.#prng.int(6); burst > 0; burst--) this.#act(journal);
      for (let turns = this.#prng.int(4); turns > 0; turns--) await turn();
    }
  }

  #act(journal: FileJournal): void {
    const shard = this.#prng.int(3);
    if (this.#prng.int(20) === 0) {
      const epoch = this.opened[shard]! + 1;
      void journal.open(key(epoch, shard)).then(() => {
        this.opened[shard] = Math.max(this.opened[shard]!, epoch);
      });
      return;
    }
    const id = `e${this.#prng.int(4)}`;
    const name = `${shard}/${id}`;
    const value = (this.attempted.get(name) ?? 0) + 1;
    this.attempted.set(name, value);
    const state = text(`${value} ${'x'.repeat(this.#prng.int(300))}`);
    const epoch = this.opened[shard]! + 1;
    void journal.append(key(epoch, shard), id, state).then(() => {
      this.acknowledged.set(name, value);
    });
  }

  /** What is found is not older than what was acknowledged, and was written once. */
  async check(journal: FileJournal): Promise<void> {
    for (let shard = 0; shard < 3; shard++) {
      const epoch = this.opened[shard]!;
      if (epoch > 0) await assert.rejects(journal.open(key(epoch - 1, shard)));
      this.opened[shard] = epoch + 1;
      await journal.open(key(epoch + 1, shard));
    }
    for (const [name, most] of this.attempted) {
      const [shard, id] = name.split('/') as [string, string];
      const at = key(this.opened[Number(shard)]!, Number(shard));
      const found = Number(read(await journal.load(at, id))?.split(' ')[0] ?? 0);
      const least = this.acknowledged.get(name) ?? 0;
      assert.ok(found >= least && found <= most, `${name}: ${found}, not ${least} to ${most}`);
      this.acknowledged.set(name, found);
      this.attempted.set(name, found);
    }
  }
}

async function failure(disk: FaultyDisk): Promise<undefined> {
  while (!disk.hasFailed) await turn();
  return undefined;
}

test('whenever the power fails, what was acknowledged is there, undamaged', async () => {
  for (let seed = 1; seed <= 250; seed++) {
    const prng = createPrng(seed);
    const writer = new Writer(prng);
    let disk = new FaultyDisk();
    for (let life = 0; life < 3; life++) {
      disk.changesLeft = 1 + prng.int(120);
      await writer.run(disk);
      disk = disk.afterPowerFailure(prng);
      try {
        const journal = await open(disk);
        await writer.check(journal);
        await journal.close();
      } catch (error) {
        throw new Error(`seed ${seed}, life ${life}: ${String(error)}`, { cause: error });
      }
    }
  }
});

async function twoBatches(): Promise<{ disk: FaultyDisk; whole: number }> {
  const disk = new FaultyDisk();
  const journal = await open(disk);
  await journal.append(key(1), 'a', text('kept'));
  const whole = disk.bytesOf(FILE).length;
  await Promise.all([
    journal.append(key(1), 'b', text('torn')),
    journal.append(key(1), 'c', text('torn as well')),
  ]);
  await journal.close();
  return { disk, whole };
}

test('an end that was torn off is cut, wherever, and everything before it counts', async () => {
  const { disk, whole } = await twoBatches();
  const bytes = disk.bytesOf(FILE);
  const check = async (left: Buffer, what: string) => {
    const found = new FaultyDisk();
    found.put(FILE, left);
    const journal = await open(found);
    assert.equal(read(await journal.load(key(1), 'a')), 'kept', what);
    assert.equal(await journal.load(key(1), 'b'), undefined, what);
    assert.equal(await journal.load(key(1), 'c'), undefined, what);
    assert.equal(found.bytesOf(FILE).length, whole, what);
    // And there is room for more.
    await journal.append(key(1), 'b', text('new'));
    await journal.close();
    const again = await open(found);
    assert.equal(read(await again.load(key(1), 'b')), 'new', what);
    await again.close();
  };
  for (let cut = whole; cut < bytes.length; cut++) {
    await check(bytes.subarray(0, cut), `cut at ${cut}`);
    const zeros = Buffer.from(bytes);
    zeros.fill(0, whole, cut + 1);
    await check(zeros, `zeros to ${cut}`);
  }
});

test('damage before the end is told with file and place, whichever bit it is', async () => {
  const { disk, whole } = await twoBatches();
  const bytes = disk.bytesOf(FILE);
  for (let bit = 0; bit < 8 * whole; bit += 3) {
    const damaged = Buffer.from(bytes);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    const found = new FaultyDisk();
    found.put(FILE, damaged);
    await assert.rejects(open(found), {
      code: 'journal_corrupt',
      details: { file: FILE, at: 0 },
      message: /\/data\/journal is damaged at byte 0/,
    });
    assert.deepEqual(found.bytesOf(FILE), damaged);
  }
});

test('a state may hold what looks like a journal', async () => {
  const { disk, whole } = await twoBatches();
  const copy = Buffer.from(disk.bytesOf(FILE));
  const journal = await open(disk);
  await journal.append(key(1), 'd', Buffer.concat([copy, copy]));
  await journal.close();
  const end = disk.bytesOf(FILE).length - whole;
  const torn = Buffer.from(disk.bytesOf(FILE));
  torn.fill(0, copy.length, copy.length + 30);
  disk.put(FILE, torn.subarray(0, end));
  const again = await open(disk);
  assert.equal(read(await again.load(key(1), 'b')), 'torn');
  assert.equal(await again.load(key(1), 'd'), undefined);
});

test('a bit that flips later is found when the state is read', async () => {
  const { disk } = await twoBatches();
  const journal = await open(disk);
  disk.bytesOf(FILE)[disk.bytesOf(FILE).indexOf('kept')]! ^= 1;
  await assert.rejects(journal.load(key(1), 'a'), { code: 'journal_corrupt' });
  assert.equal(read(await journal.load(key(1), 'b')), 'torn');
});

function failing(disk: FaultyDisk, code: string, ...operations: readonly Operation[]): void {
  disk.before = (operation, file) => {
    if (!operations.includes(operation)) return;
    throw Object.assign(new Error(`${code}: ${operation} ${file}`), { code });
  };
}

const healed = (disk: FaultyDisk) => {
  disk.before = () => {};
};

test('a full disk refuses what does not fit; the journal goes on when there is room', async () => {
  const disk = new FaultyDisk();
  const journal = await open(disk);
  await journal.open(key(1));
  await journal.append(key(1), 'a', text('one'));
  const before = Buffer.from(disk.bytesOf(FILE));
  failing(disk, 'ENOSPC', 'write');
  const unavailable = { code: 'journal_unavailable', message: /ENOSPC/ };
  await assert.rejects(journal.append(key(1), 'a', text('two')), unavailable);
  await assert.rejects(journal.append(key(1), 'b', text('new')), unavailable);
  await assert.rejects(journal.open(key(2)), unavailable);
  assert.equal(read(await journal.load(key(2), 'a')), 'one');
  assert.equal(await journal.load(key(2), 'b'), undefined);
  assert.deepEqual(disk.bytesOf(FILE), before);
  healed(disk);
  await journal.append(key(2), 'a', text('three'));
  await journal.close();
  const again = await open(disk);
  assert.deepEqual(await again.open(key(3)), ['a']);
  assert.equal(read(await again.load(key(3), 'a')), 'three');
});

test('a disk that fails to sync promises nothing more before it was read again', async () => {
  const disk = new FaultyDisk();
  const journal = await open(disk);
  await journal.append(key(1), 'a', text('one'));
  failing(disk, 'EIO', 'sync');
  await assert.rejects(journal.append(key(1), 'a', text('two')), /EIO/);
  healed(disk);
  const unavailable = { code: 'journal_unavailable', message: /start its node again/ };
  await assert.rejects(journal.append(key(1), 'a', text('three')), unavailable);
  await assert.rejects(journal.load(key(1), 'a'), unavailable);
  await journal.close();
});

test('nobody reads what is not on disk yet', async () => {
  const disk = new FaultyDisk();
  const journal = await open(disk);
  await journal.append(key(1), 'a', text('one'));
  const written = journal.append(key(1), 'a', text('two'));
  const loaded = journal.load(key(1), 'a');
  const first = await Promise.race([written.then(() => 'written'), loaded.then(() => 'loaded')]);
  assert.equal(first, 'written');
  assert.equal(read(await loaded), 'two');
  failing(disk, 'EIO', 'sync');
  const lost = assert.rejects(journal.append(key(1), 'a', text('three')), /EIO/);
  await assert.rejects(journal.load(key(1), 'a'), { code: 'journal_unavailable' });
  await lost;
});

test('what a killed process left in memory is on disk before anybody relies on it', async () => {
  const disk = new FaultyDisk();
  const journal = await open(disk);
  await journal.append(key(1), 'a', text('one'));
  // It is written, and the process ends before the sync.
  disk.changesLeft = 2;
  void journal.append(key(1), 'a', text('two'));
  while (!disk.hasFailed) await turn();
  disk.changesLeft = Infinity;
  const next = await open(disk);
  assert.equal(read(await next.load(key(1), 'a')), 'two');
  for (let seed = 1; seed <= 20; seed++) {
    const found = await open(disk.afterPowerFailure(createPrng(seed)));
    assert.equal(read(await found.load(key(1), 'a')), 'two', `seed ${seed}`);
  }
});

test('outdated records are left out when the file is written anew, and nothing else', async () => {
  const disk = new FaultyDisk();
  const journal = await open(disk, 4_096);
  await journal.open(key(7, 1));
  const state = (round: number, entity: number) => text(`${round}-${entity}-${'x'.repeat(100)}`);
  for (let round = 0; round < 40; round++) {
    await Promise.all(
      Array.from({ length: 20 }, (_, entity) =>
        journal.append(key(7, entity % 3), `e${entity}`, state(round, entity)),
      ),
    );
  }
  const { length } = disk.bytesOf(FILE);
  assert.ok(length < 16_384, `${length} bytes for 20 entities`);
  await journal.close();
  const again = await open(disk);
  for (let entity = 0; entity < 20; entity++) {
    const bytes = await again.load(key(7, entity % 3), `e${entity}`);
    assert.equal(read(bytes), state(39, entity).toString());
  }
  await assert.rejects(again.load(key(6, 1), 'e1'), { code: 'epoch_stale' });
});

test('a file that cannot be written anew stays; one that may be either stops', async () => {
  for (const operation of ['open', 'write', 'sync', 'remove', 'rename'] as const) {
    const disk = new FaultyDisk();
    const journal = await open(disk, 1_024);
    const failed = Promise.withResolvers<void>();
    disk.before = (now, file) => {
      if (now !== operation || !file.endsWith('.new')) return;
      failed.resolve();
      throw new Error('no');
    };
    let last = 0;
    const write = async () => {
      for (let round = 0; round < 40; round++) {
        await journal.append(key(1), 'a', text(`${last + 1} ${'x'.repeat(100)}`));
        last++;
      }
    };
    const outcome = await write().then(
      () => 'written',
      (error: unknown) => (hasCode(error, 'journal_unavailable') ? 'stopped' : String(error)),
    );
    await failed.promise;
    assert.equal(outcome, operation === 'rename' ? 'stopped' : 'written', operation);
    healed(disk);
    await journal.close();
    const again = await open(disk);
    const found = Number(read(await again.load(key(1), 'a'))?.split(' ')[0]);
    assert.ok(found === last || found === last + 1, `${operation}: ${found}, not ${last}`);
    await again.close();
  }
});
