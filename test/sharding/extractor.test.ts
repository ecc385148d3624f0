// From ids to shards: the same in every process, version and language.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Extractor, shardName } from '../../src/sharding/index.ts';

interface Vector {
  readonly id: string;
  readonly shards: number;
  readonly shard: number;
}

const file = new URL('../hash/vectors.json', import.meta.url);
const { shardOf: VECTORS } = JSON.parse(readFileSync(file, 'utf8')) as { shardOf: Vector[] };

test('an envelope gives its entity id, and the id of the shard that it is in', () => {
  const envelope = { entityId: 'user-42', message: { add: 1 } };
  const extractor = new Extractor(256);
  const shard = extractor.shardOf(envelope.entityId);
  assert.equal(extractor.shardIdOf(envelope), `shard-${shard}`);
  assert.equal(shardName(17), 'shard-17');
});

test('the published vectors hold, when an id is asked for again too', () => {
  for (const { id, shards, shard } of VECTORS) {
    if (id === '') continue;
    const extractor = new Extractor(shards);
    assert.equal(extractor.shardOf(id), shard, `${id} of ${shards}`);
    assert.equal(extractor.shardOf(id), shard);
  }
  assert.ok(VECTORS.length > 10);
});

test('one shard more moves one id in so many, and only to the new shard', () => {
  const [before, after] = [new Extractor(16), new Extractor(17)];
  const ids = Array.from({ length: 17_000 }, (_, i) => `entity-${i}`);
  const moved = ids.filter((id) => before.shardOf(id) !== after.shardOf(id));
  assert.ok(moved.every((id) => after.shardOf(id) === 16));
  assert.ok(moved.length > 850 && moved.length < 1_150, `${moved.length}`);
});

test('ids and numbers of shards that are none are refused', () => {
  for (const id of ['', 'x'.repeat(1_025), '\ud800', undefined, 7] as string[]) {
    assert.throws(() => new Extractor(4).shardOf(id), { code: 'entity_id_invalid' });
  }
  for (const shards of [0, -1, 1.5, Number.NaN, 16_385]) {
    assert.throws(() => new Extractor(shards), { code: 'invalid_option' });
  }
});
