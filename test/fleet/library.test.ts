// The public `Fleet` as a program uses it: the snippets of the README and the guide, run.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, test } from 'node:test';
import { Fleet } from '../../src/node/index.ts';
import { flotilla } from '../cli/run-cli.ts';
import { eventually, temporaryFolder } from './processes.ts';

const folder = temporaryFolder();
after(() => folder.dispose());

const LISTEN = { host: '127.0.0.1', port: 0 };

function optionsOf(name: string) {
  const dataDir = path.join(folder.path, name);
  return { name, dataDir, listen: LISTEN, http: false, log: 'silent' } as const;
}

for (const preset of ['local', 'wan'] as const) {
  test(`a program founds a fleet, another joins it, and both reach the same rows: ${preset}`, () =>
    foundAndJoin(preset));
}

async function foundAndJoin(preset: 'local' | 'wan'): Promise<void> {
  await using first = await Fleet.found({ ...optionsOf(`${preset}-0`), preset });
  const dataDir = path.join(folder.path, `${preset}-0`);
  const token = (await flotilla(['token', '--data-dir', dataDir])).stdout.trim();
  await using second = await Fleet.join({
    ...optionsOf(`${preset}-1`),
    preset,
    seeds: [first.address],
    token,
  });
  await eventually(
    async () => first.members().filter(({ healthy }) => healthy).length,
    (healthy) => healthy === 2,
  );
  assert.equal(first.route('user-42').id, second.route('user-42').id);
  assert.equal(first.explain('user-42').node, first.route('user-42').id);

  const table = await first.table('colours', { dim: 8, shards: 16 });
  const ids = ['red', 'green', 'blue', 'grey', 'pink', 'teal'];
  await table.insert(ids);
  const before = await table.pull(ids);
  assert.equal(before.length, ids.length * 8);
  const other = await second.table('colours');
  assert.deepEqual(await other.pull(ids), before);
  await other.push(['red'], new Float32Array(8).fill(0.1), { rate: 0.05 });
  const [row] = await table.pull(['red']);
  assert.ok(Math.abs((row ?? 0) - ((before[0] ?? 0) - 0.05)) < 1e-4, `${row} after ${before[0]}`);
  await assert.rejects(table.pull(['purple']), { code: 'row_unknown' });
  await assert.rejects(second.table('shapes'), { code: 'table_unknown' });
}

test('a fleet stops twice without harm, and starts again where it was', async () => {
  const fleet = await Fleet.found(optionsOf('again'));
  await fleet.stop();
  await fleet.stop();
  await using restarted = await Fleet.found(optionsOf('again'));
  assert.equal(restarted.members().length, 1);
});

test('a configuration that breaks a rule is refused with option and rule', async () => {
  await assert.rejects(Fleet.found({ ...optionsOf('Bad Name') }), {
    code: 'config_invalid',
    message: /name: lower-case letters/,
  });
  await assert.rejects(Fleet.join(optionsOf('lonely')), { code: 'token_required' });
});
