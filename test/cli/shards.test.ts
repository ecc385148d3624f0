// `flotilla shards` as a person and a script see it: sums by node, single shards, nothing at all.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withGateway } from '../gateway/fakes.ts';
import { flotilla } from './run-cli.ts';
import type { ShardInfo } from '../../src/node/index.ts';

const SHARDS: readonly ShardInfo[] = [
  { type: 'cart', shard: 0, owner: 'node-0', epoch: 1, state: 'running', entities: 7 },
  { type: 'cart', shard: 1, owner: 'node-1', epoch: 4, state: 'moving', entities: 5 },
  { type: 'cart', shard: 2, owner: 'node-1', epoch: 2, state: 'running', entities: 1 },
  { type: 'user', shard: 0, owner: 'node-9', epoch: 3, state: 'lost', entities: 0 },
];

async function shards(url: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await flotilla(['shards', ...args, '--url', url]);
  assert.equal(code, 0, stderr);
  return stdout.trimEnd().replace(/ +/g, ' ');
}

test('shards are summed up by type and node, listed one by one, and given to scripts', () =>
  withGateway({ shards: async () => SHARDS }, async ({ url }) => {
    assert.deepEqual((await shards(url)).split('\n'), [
      'type node shards entities moving not running',
      'cart node-0 1 7 0 0',
      'cart node-1 2 6 1 0',
      'user node-9 1 0 0 1',
      '4 shards of 2 types',
    ]);
    assert.deepEqual((await shards(url, 'cart', '--all')).split('\n'), [
      'type shard owner epoch state entities',
      'cart 0 node-0 1 running 7',
      'cart 1 node-1 4 moving 5',
      'cart 2 node-1 2 running 1',
      '3 shards of 1 type',
    ]);
    const json = JSON.parse(await shards(url, '--json'));
    assert.deepEqual(json.shards, SHARDS);
    assert.equal(await shards(url, 'nobody'), 'no type is named nobody');
  }));

test('a fleet without entities says so', () =>
  withGateway({}, async ({ url }) => {
    assert.equal(await shards(url), 'no node hosts entities');
  }));
