// `flotilla up` as a newcomer runs it, on a small graph: founds, trains, serves, stops, serves
// again.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { eventually, Running, temporaryFolder, writeSmallGraph } from './processes.ts';

const folder = temporaryFolder();
const started: Running[] = [];
after(async () => {
  await Promise.all(started.map((running) => running.end('SIGKILL')));
  folder.dispose();
});

function up(...args: string[]): Running {
  const ports = ['--port', '0', '--peer-port', '0'];
  const running = new Running(['up', '--data-dir', path.join(folder.path, 'd'), ...ports, ...args]);
  started.push(running);
  return running;
}

const SMALL = ['--dim', '16', '--epochs', '4', '--batch', '50', '--negatives', '20'];

async function refusesConnections(url: string): Promise<boolean> {
  return fetch(`${url}/health`).then(
    () => false,
    () => true,
  );
}

test('the first start trains, Ctrl-C stops every process, the second only serves', async () => {
  const file = writeSmallGraph(folder.path);
  const first = up('--data', file, ...SMALL);
  const [, url = ''] = await first.waitFor(/the fleet stands after [\d.]+ s: (\S+)/);
  assert.equal((await fetch(`${url}/health`)).status, 200);
  const [result] = await first.waitFor(/test MRR \d\.\d{3} .*Hits@10 \d\.\d{3}/);
  await first.waitFor(/serving until Ctrl-C/);
  assert.match(first.output, /symmetry/);
  assert.equal(first.output.match(/^ *curl /gm)?.length, 3);
  assert.equal(await first.end('SIGINT'), 0);
  await eventually(
    () => refusesConnections(url),
    (refused) => refused,
  );
  assert.deepEqual(readdirSync(folder.path).sort(), ['d', 'family.tsv']);

  const second = up('--data', file, ...SMALL);
  await second.waitFor(/serving until Ctrl-C/);
  assert.ok(second.output.includes(result), second.output);
  assert.doesNotMatch(second.output, /epoch/);
  const [, again = ''] = await second.waitFor(/the fleet stands after [\d.]+ s: (\S+)/);
  const answer = await fetch(`${again}/v1/neighbors?word=person-1&k=3`);
  assert.equal(answer.status, 200);
  assert.equal(await second.end('SIGINT'), 0);
});
