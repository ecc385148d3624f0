// Three node processes, of which one is overloaded and one has a busy engine behind it: the others
// know, say so, and send requests elsewhere; of a node that is killed nothing is known any more.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { flotilla } from '../cli/run-cli.ts';
import { Fleet } from '../../src/node/index.ts';
import { eventually, startNode, temporaryFolder } from './processes.ts';
import { withProcessorShare } from './processor-share.ts';
import type { AddressInfo } from 'node:net';
import type { RouteExplanation } from '../../src/cluster/index.ts';
import type { LoadReport } from '../../src/gateway/index.ts';
import type { NodeProcess } from './processes.ts';

const NAMES = ['node-0', 'node-1', 'node-2'];

const folder = temporaryFolder();
const nodes: NodeProcess[] = [];
let running = 100;
const engine = createServer((_request, response) => {
  response.end(
    `vllm:num_requests_running{engine="0"} ${running}\n` +
      'vllm:num_requests_waiting{engine="0"} 1\nvllm:kv_cache_usage_perc{engine="0"} 0.5\n',
  );
});

const directoryOf = (name: string) => path.join(folder.path, name);

async function token(): Promise<string> {
  return (await flotilla(['token', '--data-dir', directoryOf('node-0')])).stdout.trim();
}

before(async () => {
  await new Promise<void>((resolve) => engine.listen(0, '127.0.0.1', resolve));
  const { port } = engine.address() as AddressInfo;
  const config = path.join(folder.path, 'engine.config.ts');
  const metrics = `http://127.0.0.1:${port}/metrics`;
  writeFileSync(config, `export default { engineMetricsUrl: '${metrics}' };\n`);

  const founder = ['--found', '--data-dir', directoryOf('node-0')];
  nodes.push(await startNode('node-0', founder, withProcessorShare(0.2)));
  const join = async (name: string, share: number, ...args: string[]) => {
    const place = ['--join', nodes[0]!.address, '--data-dir', directoryOf(name)];
    const env = { ...withProcessorShare(share), FLOTILLA_TOKEN: await token() };
    nodes.push(await startNode(name, [...place, ...args], env));
  };
  await join('node-1', 0.3, '--config', config);
  // More than its quota, as in a burst: full.
  await join('node-2', 1.5);
});

after(async () => {
  await Promise.all(nodes.map(({ running }) => running.end('SIGKILL')));
  engine.close();
  folder.dispose();
});

async function loadOf({ url }: { readonly url: string }): Promise<LoadReport> {
  return (await fetch(`${url}/load`)).json() as Promise<LoadReport>;
}

const recordOf = ({ nodes }: LoadReport, name: string) =>
  nodes.find((node) => node.name === name)?.load ?? undefined;

/** Where 40 keys are sent by the node, and why. */
async function routes({ url }: NodeProcess): Promise<RouteExplanation[]> {
  const keys = Array.from({ length: 40 }, (_, key) => `${url}/cluster/route?key=user-${key}`);
  return Promise.all(keys.map(async (key) => (await fetch(key)).json()));
}

const reasonsFor = (explained: readonly RouteExplanation[], node: string) =>
  new Set(
    explained.flatMap(({ candidates }) => candidates.find((each) => each.node === node)!.reason),
  );

test('every node knows what every node does, to the second', async () => {
  for (const node of nodes) {
    const report = await eventually(
      () => loadOf(node),
      ({ nodes }) =>
        nodes.length === 3 &&
        nodes.every(({ load, ageMs }) => load !== null && ageMs !== null && ageMs <= 1_000) &&
        nodes[1]?.load?.engine !== undefined,
    );
    assert.equal(report.self, node.name);
    assert.deepEqual(recordOf(report, 'node-1')?.engine, {
      running: 100,
      waiting: 1,
      kvCacheUsage: 0.5,
    });
    assert.equal(recordOf(report, 'node-2')?.cpu, 1);
    const overloaded = report.nodes.filter((each) => each.overloaded).map(({ name }) => name);
    assert.deepEqual(overloaded, ['node-2']);
  }
  running = 90;
  for (const node of nodes) {
    await eventually(
      () => loadOf(node),
      (report) => recordOf(report, 'node-1')?.engine?.running === 90,
    );
  }
});

test('the command line shows it, as a table and as JSON', async () => {
  const url = nodes[0]!.url;
  const json: LoadReport = JSON.parse((await flotilla(['load', '--json', '--url', url])).stdout);
  assert.equal(recordOf(json, 'node-1')?.engine?.running, 90);
  const table = (await flotilla(['load', '--url', url])).stdout;
  assert.match(table, /^node +status +cpu .* running +waiting +kv cache /);
  assert.match(table, /^node-1 +up +\d+ % .* 90 +1 +50 % /m);
  assert.match(table, /^node-2 +overloaded +100 % /m);
  assert.match(table, /\n3 nodes, 3 healthy, 1 overloaded, /);
  const metrics = await (await fetch(`${nodes[2]!.url}/metrics`)).text();
  assert.match(metrics, /^flotilla_node_cpu_ratio\{node="node-2"\} 1$/m);
});

test('requests pass by the overloaded node, and by one whose engine has its share', async () => {
  for (const node of nodes) {
    const explained = await eventually(
      () => routes(node),
      (all) => all.every(({ node: taken }) => taken === 'node-0'),
    );
    assert.deepEqual([...reasonsFor(explained, 'node-2')], ['overloaded']);
    assert.deepEqual([...reasonsFor(explained, 'node-1')], ['at its cap']);
  }
});

test('a program that joins dispatches by what the others told', async () => {
  await using fleet = await Fleet.join({
    name: 'program',
    dataDir: directoryOf('program'),
    seeds: [nodes[0]!.address],
    token: await token(),
    http: false,
  });
  const { load } = fleet.coordinator;
  await eventually(
    async () => NAMES.map((name) => load.of(name)?.record?.cpu),
    (cpus) => cpus.every((cpu) => cpu !== undefined),
  );
  for (let i = 0; i < 200; i++) {
    const keyed = fleet.coordinator.dispatch(`user-${i}`)!;
    const free = fleet.coordinator.balance('least-outstanding')!;
    assert.notEqual(keyed.node.id, 'node-2');
    assert.notEqual(free.node.id, 'node-2');
    if (i % 2 === 0) keyed.settle(true);
  }
});

test('of a node that was killed nothing is known any more', async () => {
  const [first, second, third] = nodes as [NodeProcess, NodeProcess, NodeProcess];
  await third.running.end('SIGKILL');
  for (const node of [first, second]) {
    const report = await eventually(
      () => loadOf(node),
      (answer) => recordOf(answer, 'node-2') === undefined,
    );
    const gone = report.nodes.find(({ name }) => name === 'node-2');
    assert.ok(gone === undefined || (gone.cpu === null && !gone.overloaded));
    assert.ok(recordOf(report, 'node-0') && recordOf(report, 'node-1'));
  }
});
