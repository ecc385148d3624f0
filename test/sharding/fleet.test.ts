// Three processes, 256 shards, 10 000 entities and steady asks, while a node joins, another leaves
// and a third is killed. How long it takes is measured by bench/sharding; here it has to be right.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { eventually, temporaryFolder } from '../fleet/processes.ts';
import { CounterNode } from './counter-fleet.ts';
import type { ShardInfo } from '../../src/node/index.ts';
import type { Kind, LoadReport } from './counter-node.ts';

const ENTITIES = 10_000;
const PER_TICK = 8;

const folder = temporaryFolder();
const nodes: CounterNode[] = [];

after(async () => {
  await Promise.all(nodes.map((node) => node.kill()));
  folder.dispose();
});

/** Shards of a type by owner, once they are all served and none moves. */
async function settled(kind: Kind, owners: number): Promise<Map<string, number>> {
  const shards = await eventually(
    () => nodes[0]!.run<ShardInfo[]>({ type: 'shards' }),
    (all) => {
      const mine = all.filter(({ type }) => type === kind);
      const counts = countsOf(mine);
      const most = Math.max(...counts.values());
      const even = counts.size === owners && most - Math.min(...counts.values()) <= 26;
      return mine.length === 256 && mine.every(({ state }) => state === 'running') && even;
    },
  );
  return countsOf(shards.filter(({ type }) => type === kind));
}

function countsOf(shards: readonly ShardInfo[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { owner } of shards) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return counts;
}

async function stopLoad(): Promise<LoadReport> {
  return nodes[0]!.run<LoadReport>({ type: 'stop-load' });
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

test('planned movement loses nothing: a node joins, another leaves', async () => {
  nodes.push(await CounterNode.start(folder.path, 'node-0'));
  nodes.push(await CounterNode.start(folder.path, 'node-1', nodes[0]));
  await settled('tally', 2);
  const [founder, second] = nodes as [CounterNode, CounterNode];
  await founder.run({ type: 'touch', kind: 'tally', entities: ENTITIES });
  await founder.run({ type: 'load', kind: 'tally', entities: ENTITIES, perTick: PER_TICK });
  nodes.push(await CounterNode.start(folder.path, 'node-2', founder));
  await settled('tally', 3);
  await second.run({ type: 'leave' });
  assert.equal(await second.exited, 0);
  await settled('tally', 2);
  const report = await stopLoad();
  assert.deepEqual(report.others, []);
  assert.equal(report.notDelivered, 0);
  assert.equal(sum(report.unknown), 0);
  assert.ok(sum(report.acknowledged) > 0);
  const values = await founder.run<number[]>({ type: 'values', kind: 'tally', entities: ENTITIES });
  assert.deepEqual(values, report.acknowledged);
});

test('a killed node loses no acknowledged increment and doubles none', async () => {
  const [founder, , third] = nodes as [CounterNode, CounterNode, CounterNode];
  const entities = 2_000;
  await settled('account', 2);
  await founder.run({ type: 'load', kind: 'account', entities, perTick: 4 });
  await eventually(
    () => founder.run<number[]>({ type: 'values', kind: 'account', entities: 50 }),
    (values) => sum(values) > 100,
  );
  await third.kill();
  await settled('account', 1);
  const report = await stopLoad();
  assert.deepEqual(report.others, []);
  const values = await founder.run<number[]>({ type: 'values', kind: 'account', entities });
  for (const [entity, value] of values.entries()) {
    const least = report.acknowledged[entity]!;
    const most = least + report.unknown[entity]!;
    assert.ok(value >= least && value <= most, `${entity}: ${value}, not ${least} to ${most}`);
  }
});
