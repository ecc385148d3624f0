// Durable entities when the founder goes away and comes back, in real nodes: with the embedded
// store they wait for it, with etcd they do not need it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { defineEntity, Fleet, hasCode } from '../../src/node/index.ts';
import { flotilla } from '../cli/run-cli.ts';
import { eventually, temporaryFolder } from '../fleet/processes.ts';
import { ETCD, EtcdServers } from '../store/etcd-servers.ts';
import type { TestContext } from 'node:test';

const Account = defineEntity({
  name: 'account',
  shards: 4,
  durable: true,
  initial: () => ({ value: 0 }),
  handlers: {
    add: (state, amount: number) => {
      state.value += amount;
      return state.value;
    },
    get: (state) => state.value,
  },
});
const IDS = Array.from({ length: 20 }, (_, i) => `account-${i}`);

type Options = Parameters<typeof Fleet.found>[0];

class Nodes {
  readonly #folder: string;
  readonly #store: Partial<Options>;
  readonly #t: TestContext;
  #token = '';

  constructor(t: TestContext, store: Partial<Options> = {}) {
    const folder = temporaryFolder();
    t.after(() => folder.dispose());
    this.#folder = folder.path;
    this.#store = store;
    this.#t = t;
  }

  optionsOf(name: string, port = 0): Options {
    const listen = { host: '127.0.0.1', port };
    const dataDir = path.join(this.#folder, name);
    return { name, dataDir, listen, http: false, log: 'silent', ...this.#store };
  }

  async found(port = 0, seeds: readonly string[] = []): Promise<Fleet> {
    const options = this.optionsOf('node-0', port);
    const fleet = await Fleet.found({ ...options, seeds: [...seeds] });
    this.#t.after(() => fleet.stop());
    fleet.host(Account);
    if (this.#token === '') {
      const { stdout } = await flotilla(['token', '--data-dir', options.dataDir, '--uses', '9']);
      this.#token = stdout.trim();
    }
    return fleet;
  }

  async join(name: string, seed: Fleet): Promise<Fleet> {
    const token = this.#token;
    const fleet = await Fleet.join({ ...this.optionsOf(name), seeds: [seed.address], token });
    this.#t.after(() => fleet.stop());
    fleet.host(Account);
    return fleet;
  }
}

const portOf = (fleet: Fleet) => Number(new URL(`tcp://${fleet.address}`).port);

/** Of all accounts, once each has answered. */
function values(fleet: Fleet): Promise<number[]> {
  const ask = (id: string) => fleet.entity(Account, id).ask('get', { timeoutMs: 15_000 });
  return Promise.all(IDS.map(ask));
}

const expected = IDS.map((_, i) => i);

async function spread(fleet: Fleet, owners: number): Promise<void> {
  await eventually(
    () => fleet.sharding.describe(),
    (shards) => {
      const running = shards.filter(({ state }) => state === 'running');
      return running.length === 4 && new Set(running.map(({ owner }) => owner)).size === owners;
    },
  );
}

test('durable entities answer again when the founder is started again', async (t) => {
  const nodes = new Nodes(t);
  const founder = await nodes.found();
  const second = await nodes.join('node-1', founder);
  await spread(second, 2);
  for (const [i, id] of IDS.entries()) await second.entity(Account, id).ask({ add: i });
  const port = portOf(founder);
  await founder.stop();
  // Without the founder nothing durable is acknowledged: whatever is said, it is not success.
  const ask = second.entity(Account, IDS[1]!).ask({ add: 1_000 }, { timeoutMs: 2_000 });
  const error = await ask.then(
    (value) => value,
    (reason: unknown) => reason,
  );
  assert.ok(hasCode(error, 'not_delivered', 'outcome_unknown'), String(error));
  const again = await nodes.found(port);
  await spread(again, 2);
  const found = await values(again);
  // What was said to be unknown may have come through when the founder was back.
  const isThere = hasCode(error, 'outcome_unknown') && found[1] === 1_001;
  assert.deepEqual(found, isThere ? expected.with(1, 1_001) : expected);
  assert.deepEqual(await values(second), found);
});

test('with etcd durable entities outlive the founder, and every node', {
  skip: ETCD.skip,
}, async (t) => {
  const servers = await EtcdServers.start(1);
  t.after(() => servers.stop());
  const nodes = new Nodes(t, { store: { etcd: { hosts: servers.hosts } } });
  const founder = await nodes.found();
  const second = await nodes.join('node-1', founder);
  await spread(second, 2);
  for (const [i, id] of IDS.entries()) await second.entity(Account, id).ask({ add: i });
  const port = portOf(founder);
  await founder.stop();
  await spread(second, 1);
  assert.deepEqual(await values(second), expected);
  assert.equal(await second.entity(Account, IDS[0]!).ask({ add: 5 }), 5);
  await second.stop();
  const again = await nodes.found(port);
  await spread(again, 1);
  assert.deepEqual(await values(again), [5, ...expected.slice(1)]);
});
