// A fleet whose decisions lie in etcd: every node reaches them by itself, also while the founder is
// away. Real nodes and a real etcd.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { Fleet } from '../../src/node/index.ts';
import { flotilla } from '../cli/run-cli.ts';
import { ETCD, EtcdServers } from './etcd-servers.ts';
import { temporaryDirectory } from './fixtures.ts';

test('a fleet on etcd goes on deciding while its founder is away', {
  skip: ETCD.skip,
}, async (t) => {
  const folder = temporaryDirectory(t);
  const servers = await EtcdServers.start(1);
  t.after(() => servers.stop());
  const optionsOf = (name: string) => ({
    name,
    dataDir: path.join(folder, name),
    listen: { host: '127.0.0.1', port: 0 },
    http: false as const,
    log: 'silent' as const,
    store: { etcd: { hosts: servers.hosts } },
  });
  const first = await Fleet.found(optionsOf('node-0'));
  t.after(() => first.stop());
  const { stdout } = await flotilla(['token', '--data-dir', optionsOf('node-0').dataDir]);
  const seeds = [first.address];
  const second = await Fleet.join({ ...optionsOf('node-1'), seeds, token: stdout.trim() });
  t.after(() => second.stop());
  await first.table('colours', { dim: 8, shards: 16 });
  assert.deepEqual(
    (await second.tables.list()).map(({ name }) => name),
    ['colours'],
  );
  await first.stop();
  assert.deepEqual(
    (await second.tables.list()).map(({ name }) => name),
    ['colours'],
  );
  const { port } = new URL(`tcp://${first.address}`);
  const listen = { host: '127.0.0.1', port: Number(port) };
  await using again = await Fleet.found({
    ...optionsOf('node-0'),
    listen,
    seeds: [second.address],
  });
  assert.deepEqual(
    (await again.tables.list()).map(({ name }) => name),
    ['colours'],
  );
});

test('a store that is none, or cannot be reached, stops the start by name', async (t) => {
  const options = {
    name: 'node-0',
    dataDir: path.join(temporaryDirectory(t), 'node-0'),
    listen: { host: '127.0.0.1', port: 0 },
    http: false as const,
    log: 'silent' as const,
  };
  const etcd = { hosts: ['127.0.0.1:1'], callTimeoutMs: 300 };
  await assert.rejects(Fleet.found({ ...options, store: { etcd } }), { code: 'store_unavailable' });
  const tls = { caFile: path.join(options.dataDir, 'absent.pem') };
  await assert.rejects(Fleet.found({ ...options, store: { etcd: { ...etcd, tls } } }), {
    code: 'config_invalid',
    details: { option: 'store.etcd.tls.caFile' },
  });
  for (const store of ['postgres', { etcd: {} }, { etcd: { hosts: [] } }]) {
    await assert.rejects(Fleet.found({ ...options, store: store as 'embedded' }), (error) => {
      assert.ok(hasCode(error, 'config_invalid'));
      assert.equal(String(error.details['option']).split('.')[0], 'store');
      return true;
    });
  }
  const bad = await flotilla(['node', '--found', '--store', 'etcd://nowhere']);
  assert.equal(bad.code, 2);
  assert.match(bad.stderr, /It must be embedded, or etcd:\/\/HOST:PORT,HOST:PORT\./);
});
