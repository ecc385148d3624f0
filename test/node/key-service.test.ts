// API keys as the nodes of a fleet have them: over one store, each with its own service.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { KeyService } from '../../src/node/key-service.ts';
import { FlotillaError, hasCode, silentLogger, systemClock } from '../../src/core/index.ts';
import { EmbeddedStore } from '../../src/store/index.ts';
import { eventually, temporaryFolder } from '../fleet/processes.ts';
import type { TestContext } from 'node:test';
import type { KeyServiceComponents } from '../../src/node/key-service.ts';

type KeyStore = KeyServiceComponents['store'];

/** A store that can be out of reach. */
class Outage implements KeyStore {
  isDown = false;
  readonly #store: KeyStore;
  readonly #cuts = new Set<() => void>();

  constructor(store: KeyStore) {
    this.#store = store;
  }

  #reach(): KeyStore {
    if (!this.isDown) return this.#store;
    throw new FlotillaError('store_unavailable', 'the store is out of reach');
  }

  get: KeyStore['get'] = async (key) => this.#reach().get(key);
  list: KeyStore['list'] = async (prefix) => this.#reach().list(prefix);
  revision: KeyStore['revision'] = async () => this.#reach().revision();
  compareAndSwap: KeyStore['compareAndSwap'] = async (compares, writes) =>
    this.#reach().compareAndSwap(compares, writes);

  watch: KeyStore['watch'] = async (prefix, from, onEvent) => {
    const watch = await this.#reach().watch(prefix, from, onEvent);
    const cut = Promise.withResolvers<FlotillaError>();
    this.#cuts.add(() => {
      watch.close();
      cut.resolve(new FlotillaError('revision_compacted', 'the watch was cut'));
    });
    return { ended: Promise.race([watch.ended, cut.promise]), close: () => watch.close() };
  };

  goDown(): void {
    this.isDown = true;
    for (const cut of this.#cuts) cut();
    this.#cuts.clear();
  }
}

async function openStore(t: TestContext): Promise<EmbeddedStore> {
  const folder = temporaryFolder();
  const store = await EmbeddedStore.open(path.join(folder.path, 'store'), { clock: systemClock });
  t.after(async () => {
    await store.close();
    folder.dispose();
  });
  return store;
}

async function startService(t: TestContext, store: KeyStore): Promise<KeyService> {
  const service = new KeyService({ store, clock: systemClock, log: silentLogger });
  t.after(() => service.stop());
  await service.start();
  return service;
}

/** The name of the key's holder, or the code of the refusal. */
function ask(service: KeyService, text: string | undefined): string {
  try {
    return service.authenticate(text && `Bearer ${text}`)?.name ?? 'anybody';
  } catch (error) {
    assert.ok(hasCode(error));
    return error.code;
  }
}

async function becomes(look: () => unknown, wanted: unknown): Promise<void> {
  await eventually(
    async () => look(),
    (seen) => seen === wanted,
  );
}

test('all nodes know a key that one makes, and refuse one that any revokes', async (t) => {
  const store = await openStore(t);
  const [first, second] = [await startService(t, store), await startService(t, store)];
  assert.deepEqual([first.areRequired, ask(first, undefined)], [false, 'anybody']);
  const { key, text } = await first.create({ name: 'app', tokensPerMinute: 500 });
  assert.equal(ask(first, text), 'app');
  await becomes(() => ask(second, text), 'app');
  assert.equal(ask(second, undefined), 'api_key_refused');
  assert.deepEqual(second.list(), [key]);
  const revoked = await second.revoke(key.id);
  assert.equal(ask(second, text), 'api_key_refused');
  await becomes(() => ask(first, text), 'api_key_refused');
  assert.deepEqual(first.list(), [revoked]);
  // Again changes nothing, and the fleet stays closed.
  assert.deepEqual(await first.revoke(key.id), revoked);
  assert.deepEqual([first.areRequired, second.areRequired], [true, true]);
  for (const id of ['0123456789ab', '', '../models', 'x'.repeat(600)]) {
    await assert.rejects(first.revoke(id), (error) => hasCode(error, 'api_key_unknown'), id);
  }
});

test('a node that starts later knows what was before; no secret is stored', async (t) => {
  const store = await openStore(t);
  const first = await startService(t, store);
  const good = await first.create({ name: 'good' });
  const bad = await first.create({ name: 'bad' });
  await first.revoke(bad.key.id);
  const late = await startService(t, store);
  assert.deepEqual([ask(late, good.text), ask(late, bad.text)], ['good', 'api_key_refused']);
  const stored = (await store.list('')).map(({ value }) => Buffer.from(value).toString()).join();
  assert.ok(!stored.includes(good.text.slice(4)) && stored.includes('good'));
});

test('while the store is away the last known list holds; then it is made up', async (t) => {
  const store = await openStore(t);
  const line = new Outage(store);
  const near = await startService(t, store);
  const far = await startService(t, line);
  const kept = await near.create({ name: 'kept' });
  const lost = await near.create({ name: 'lost' });
  await becomes(() => ask(far, lost.text), 'lost');
  line.goDown();
  await near.revoke(lost.key.id);
  const late = await near.create({ name: 'late' });
  assert.deepEqual([ask(far, kept.text), ask(far, lost.text)], ['kept', 'lost']);
  await assert.rejects(far.create({ name: 'x' }), (error) => hasCode(error, 'store_unavailable'));
  line.isDown = false;
  await becomes(() => ask(far, late.text), 'late');
  assert.deepEqual([ask(far, kept.text), ask(far, lost.text)], ['kept', 'api_key_refused']);
});

test('a node that could not read the keys yet lets nobody in', async (t) => {
  const line = new Outage(await openStore(t));
  line.goDown();
  const service = await startService(t, line);
  assert.throws(
    () => service.authenticate(undefined),
    (error) =>
      hasCode(error, 'api_keys_unknown') &&
      error.details['status'] === 503 &&
      error.details['retryAfterS'] === 1,
  );
  line.isDown = false;
  await becomes(() => ask(service, undefined), 'anybody');
});

test('a damaged record refuses its key and keeps the fleet closed', async (t) => {
  const store = await openStore(t);
  const service = await startService(t, store);
  const { key, text } = await service.create({ name: 'app' });
  const [entry] = await store.list(`api-keys/${key.id}`);
  await store.compareAndSwap(
    [{ key: entry!.key, revision: entry!.revision }],
    [{ put: entry!.key, value: Buffer.from('{"version":2}') }],
  );
  await becomes(() => ask(service, text), 'api_key_refused');
  const late = await startService(t, store);
  assert.deepEqual([ask(late, text), ask(late, undefined)], ['api_key_refused', 'api_key_refused']);
});

test('two that revoke at once both succeed, and neither undoes what the other wrote', async (t) => {
  const store = await openStore(t);
  const services = [await startService(t, store), await startService(t, store)];
  const { key, text } = await services[0]!.create({ name: 'app' });
  const answers = await Promise.all(services.map((service) => service.revoke(key.id)));
  assert.equal(answers[0]?.revokedMs, answers[1]?.revokedMs);
  for (const service of services) assert.equal(ask(service, text), 'api_key_refused');
});
