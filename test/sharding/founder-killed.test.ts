// The founder, which keeps the store and the journal, is killed while durable counters are asked
// from another process, and started again: nothing that was acknowledged is lost or counted twice.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { eventually, temporaryFolder } from '../fleet/processes.ts';
import { CounterNode } from './counter-fleet.ts';
import type { ShardInfo } from '../../src/node/index.ts';
import type { LoadReport } from './counter-node.ts';

const ENTITIES = 500;
const folder = temporaryFolder();
const nodes: CounterNode[] = [];

after(async () => {
  await Promise.all(nodes.map((node) => node.kill()));
  folder.dispose();
});

/** Until both nodes run shards of the durable kind. */
async function settled(node: CounterNode): Promise<void> {
  await eventually(
    () => node.run<ShardInfo[]>({ type: 'shards' }),
    (all) => {
      const mine = all.filter(({ type }) => type === 'account');
      const owners = new Set(mine.map(({ owner }) => owner));
      return owners.size === 2 && mine.every(({ state }) => state === 'running');
    },
  );
}

test('with a killed founder no acknowledged increment is lost, none made twice', async () => {
  const founder = await CounterNode.start(folder.path, 'node-0');
  nodes.push(founder);
  const other = await CounterNode.start(folder.path, 'node-1', founder);
  nodes.push(other);
  await settled(other);
  await other.run({ type: 'load', kind: 'account', entities: ENTITIES, perTick: 4 });
  const values = () => other.run<number[]>({ type: 'values', kind: 'account', entities: ENTITIES });
  const isUnderWay = (counts: readonly number[]) => counts.every((count) => count >= 2);
  await eventually(values, isUnderWay);
  await founder.kill();
  nodes.push(await founder.restart(folder.path));
  await settled(other);
  const report = await other.run<LoadReport>({ type: 'stop-load', kind: 'account' });
  assert.deepEqual(report.others, []);
  for (const [entity, value] of (await values()).entries()) {
    const least = report.acknowledged[entity]!;
    const most = least + report.unknown[entity]!;
    assert.ok(value >= least && value <= most, `${entity}: ${value}, not ${least} to ${most}`);
  }
});
