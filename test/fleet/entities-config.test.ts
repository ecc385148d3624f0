// Kinds of entities in `flotilla.config.ts`: nodes that the command line runs host them.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { flotilla } from '../cli/run-cli.ts';
import { defineEntity, Fleet, hasCode, parseConfig } from '../../src/node/index.ts';
import { eventually, startNode, temporaryFolder } from './processes.ts';

const library = pathToFileURL(path.resolve('src/node/index.ts')).href;
const CONFIG = `
import { defineConfig, defineEntity } from '${library}';
const Counter = defineEntity({
  name: 'counter',
  shards: 8,
  initial: () => ({ value: 0 }),
  handlers: { add: (state, amount: number) => (state.value += amount) },
});
export default defineConfig({ entities: [Counter] });
`;

const Counter = defineEntity({
  name: 'counter',
  shards: 8,
  initial: () => ({ value: 0 }),
  handlers: {
    add: (state, amount: number) => {
      state.value += amount;
      return state.value;
    },
  },
});

test('a node hosts the entities of its configuration, for programs of the fleet too', async (t) => {
  const folder = temporaryFolder();
  t.after(() => folder.dispose());
  const config = path.join(folder.path, 'flotilla.config.ts');
  writeFileSync(config, CONFIG);
  const dataDir = path.join(folder.path, 'node-0');
  const node = await startNode('node-0', ['--found', '--data-dir', dataDir, '--config', config]);
  t.after(() => node.running.end('SIGKILL'));
  const shown = await eventually(
    async () => (await flotilla(['shards', '--url', node.url])).stdout.replace(/ +/g, ' '),
    (text) => text.includes('counter node-0 8'),
  );
  assert.match(shown, /8 shards of 1 type/);
  const { stdout: token } = await flotilla(['token', '--data-dir', dataDir]);
  await using fleet = await Fleet.join({
    ...{ name: 'node-1', dataDir: path.join(folder.path, 'node-1'), http: false, log: 'silent' },
    ...{ listen: { host: '127.0.0.1', port: 0 }, seeds: [node.address], token: token.trim() },
  });
  assert.equal(await fleet.entity(Counter, 'user-42').ask({ add: 2 }), 2);
  assert.equal(await fleet.entity(Counter, 'user-42').ask({ add: 40 }), 42);
});

test('what is no kind of entity is refused with the option and its rule', () => {
  const given = { name: 'node-0', dataDir: 'data', entities: [{ name: 'counter' }] };
  assert.throws(
    () => parseConfig(given),
    (error) => hasCode(error, 'config_invalid') && /entities.0: what defineEntity/.test(`${error}`),
  );
});
