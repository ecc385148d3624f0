// Three node processes over real sockets, one of which is killed: what the others say and do.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { flotilla } from '../cli/run-cli.ts';
import { eventually, startNode, temporaryFolder, writeSmallGraph } from './processes.ts';
import type { NodeProcess } from './processes.ts';

interface ClusterAnswer {
  readonly summary: string;
  readonly nodes: readonly { readonly id: string; readonly healthy: boolean }[];
}

const folder = temporaryFolder();
const nodes: NodeProcess[] = [];

before(async () => {
  const founder = await startNode('node-0', ['--found', '--data-dir', directoryOf('node-0')]);
  nodes.push(founder);
  const { stdout } = await flotilla(['token', '--uses', '2', '--data-dir', directoryOf('node-0')]);
  const env = { FLOTILLA_TOKEN: stdout.trim() };
  for (const name of ['node-1', 'node-2']) {
    const args = ['--join', founder.address, '--data-dir', directoryOf(name)];
    nodes.push(await startNode(name, args, env));
  }
});

after(async () => {
  await Promise.all(nodes.map(({ running }) => running.end('SIGKILL')));
  folder.dispose();
});

function directoryOf(name: string): string {
  return path.join(folder.path, name);
}

async function clusterOf({ url }: NodeProcess): Promise<ClusterAnswer> {
  return (await fetch(`${url}/cluster`)).json() as Promise<ClusterAnswer>;
}

function healthy(answer: ClusterAnswer): string[] {
  return answer.nodes.filter((node) => node.healthy).map(({ id }) => id);
}

test('three nodes that joined over TLS know each other, whichever is asked', async () => {
  for (const node of nodes) {
    const answer = await eventually(
      () => clusterOf(node),
      (cluster) => healthy(cluster).length === 3,
    );
    assert.equal(answer.summary, `cluster[nodes=3 healthy=3 vnodes=450 self=${node.name}]`);
  }
});

test('a graph trained through one node is served by every node', async () => {
  const file = writeSmallGraph(folder.path);
  const options = ['--dim', '16', '--epochs', '6', '--batch', '50', '--negatives', '20'];
  const url = nodes[1]?.url ?? '';
  const { code, stdout, stderr } = await flotilla(
    ['train', '--data', file, '--url', url, ...options],
    { cwd: folder.path },
  );
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^test MRR \d\.\d{3} Hits@1 \S+ Hits@3 \S+ Hits@10 \S+$/m);

  const answers = await Promise.all(
    nodes.map(async (node) => {
      const client = new OpenAI({ baseURL: `${node.url}/v1`, apiKey: 'none', maxRetries: 0 });
      const input = ['person-1', 'person-7', 'town-3'];
      return (await client.embeddings.create({ model: 'family', input })).data;
    }),
  );
  assert.equal(answers[0]?.[0]?.embedding.length, 16);
  assert.deepEqual(answers[1], answers[0]);
  assert.deepEqual(answers[2], answers[0]);
});

test('a killed node is found out, skipped and named; nobody else falls', async () => {
  const [first, second, third] = nodes as [NodeProcess, NodeProcess, NodeProcess];
  await third.running.end('SIGKILL');
  const rows = Array.from({ length: 60 }, (_, index) => `person-${index}`);
  const embed = async (input: string) => {
    const response = await fetch(`${second.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'family', input }),
    });
    const body = (await response.json()) as { error?: { code: string; message: string } };
    return { status: response.status, error: body.error };
  };
  const answers = await Promise.all(rows.map(embed));
  const refused = answers.filter(({ status }) => status !== 200);
  assert.ok(refused.length > 0 && refused.length < rows.length, `${refused.length} of 60 refused`);
  for (const { status, error } of refused) {
    assert.equal(status, 503);
    assert.equal(error?.code, 'owner_unreachable');
    assert.match(error?.message ?? '', /node-2.* gone/);
  }

  for (const node of [first, second]) {
    const answer = await eventually(
      () => clusterOf(node),
      (cluster) => !healthy(cluster).includes('node-2'),
    );
    assert.deepEqual(healthy(answer), ['node-0', 'node-1']);
  }
  const { stdout } = await flotilla(['status', '--url', first.url]);
  assert.match(stdout, /^node-2 .* dead /m);
  for (let key = 0; key < 30; key++) {
    const answer = await fetch(`${first.url}/cluster/route?key=user-${key}`);
    assert.notEqual(((await answer.json()) as { node: string }).node, 'node-2');
  }
});

test('the killed node comes back under its name, without a token, with its rows', async () => {
  const [first] = nodes as [NodeProcess];
  const args = ['--join', first.address, '--data-dir', directoryOf('node-2')];
  nodes[2] = await startNode('node-2', args);
  await eventually(
    () => clusterOf(first),
    (cluster) => healthy(cluster).length === 3,
  );
  const client = new OpenAI({ baseURL: `${first.url}/v1`, apiKey: 'none', maxRetries: 0 });
  const input = Array.from({ length: 60 }, (_, index) => `person-${index}`);
  const { data } = await client.embeddings.create({ model: 'family', input });
  assert.equal(data.length, 60);
});
