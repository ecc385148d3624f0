// Three processes, 256 shards, 10 000 entities of each of two kinds and steady asks, while a node
// joins, is drained, comes back, another leaves and a third is killed. How long it takes is what
// bench/sharding measures; here it has to be right.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { flotilla } from '../cli/run-cli.ts';
import { eventually, temporaryFolder } from '../fleet/processes.ts';
import { CounterNode } from './counter-fleet.ts';
import type { ShardInfo } from '../../src/node/index.ts';
import type { Kind, LoadReport } from './counter-node.ts';

const ENTITIES = 10_000;
const SHARDS = 256;
const UNEVEN = 26;
const KINDS: readonly Kind[] = ['tally', 'account'];

const folder = temporaryFolder();
const nodes: CounterNode[] = [];

after(async () => {
  await Promise.all(nodes.map((node) => node.kill()));
  folder.dispose();
});

/** Until exactly these own the shards of both kinds, evenly, all are served and none moves. */
async function settled(...owners: readonly string[]): Promise<void> {
  await eventually(
    () => nodes[0]!.run<ShardInfo[]>({ type: 'shards' }),
    (all) => KINDS.every((kind) => isEven(all, kind, owners)),
  );
}

function isEven(all: readonly ShardInfo[], kind: Kind, owners: readonly string[]): boolean {
  const shards = all.filter(({ type }) => type === kind);
  if (shards.length !== SHARDS || shards.some(({ state }) => state !== 'running')) return false;
  const counts = owners.map((node) => shards.filter(({ owner }) => owner === node).length);
  const none = Math.min(...counts) === 0 || sum(counts) !== SHARDS;
  return !none && Math.max(...counts) - Math.min(...counts) <= UNEVEN;
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

async function join(name: string): Promise<void> {
  nodes.push(await CounterNode.start(folder.path, name, nodes[0]));
}

async function drain(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await flotilla(['drain', ...args, '--url', nodes[0]!.url]);
  assert.equal(code, 0, stderr);
}

async function startLoads(): Promise<void> {
  const [founder] = nodes as [CounterNode];
  await founder.run({ type: 'load', kind: 'tally', entities: ENTITIES, perTick: 8 });
  await founder.run({ type: 'load', kind: 'account', entities: ENTITIES, perTick: 4 });
}

const stopLoad = (kind: Kind) => nodes[0]!.run<LoadReport>({ type: 'stop-load', kind });

const valuesOf = (kind: Kind, entities = ENTITIES) =>
  nodes[0]!.run<number[]>({ type: 'values', kind, entities });

test('planned movement loses nothing: a node joins, drains, comes back, leaves', async () => {
  nodes.push(await CounterNode.start(folder.path, 'node-0'));
  await join('node-1');
  await settled('node-0', 'node-1');
  await nodes[0]!.run({ type: 'touch', kind: 'tally', entities: ENTITIES });
  await startLoads();
  await join('node-2');
  await settled('node-0', 'node-1', 'node-2');
  await drain('node-2');
  await settled('node-0', 'node-1');
  await drain('node-2', '--cancel');
  await settled('node-0', 'node-1', 'node-2');
  await nodes[1]!.run({ type: 'leave' });
  assert.equal(await nodes[1]!.exited, 0);
  await settled('node-0', 'node-2');
  for (const kind of KINDS) {
    const report = await stopLoad(kind);
    assert.deepEqual(report.others, []);
    assert.equal(report.notDelivered, 0);
    assert.equal(sum(report.unknown), 0);
    assert.ok(sum(report.acknowledged) > 0);
    assert.deepEqual(await valuesOf(kind), report.acknowledged, kind);
  }
});

test('a killed node: what was on its way is in doubt, nothing acknowledged is lost', async () => {
  const before = await valuesOf('account');
  await startLoads();
  await eventually(
    () => valuesOf('account', 50),
    (values) => sum(values) > sum(before.slice(0, 50)),
  );
  await nodes[2]!.kill();
  await settled('node-0');
  const tallies = await stopLoad('tally');
  const report = await stopLoad('account');
  assert.deepEqual([...tallies.others, ...report.others], []);
  // What was sent meanwhile has waited for the next owner.
  assert.equal(tallies.notDelivered + report.notDelivered, 0);
  for (const [entity, value] of (await valuesOf('account')).entries()) {
    const least = before[entity]! + report.acknowledged[entity]!;
    const most = least + report.unknown[entity]!;
    assert.ok(value >= least && value <= most, `${entity}: ${value}, not ${least} to ${most}`);
  }
});
