// Whoever follows a prefix has, sooner or later, what the store has, however often the watch breaks
// and the store is away; time is simulated.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { FlotillaError } from '../../src/core/index.ts';
import { PrefixFollower } from '../../src/store/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { MemoryStore } from '../support/memory-store.ts';
import type { PrefixFollowerComponents } from '../../src/store/index.ts';

type FollowedStore = PrefixFollowerComponents['store'];

/** A follower of `a/` in front of a store that can be out of reach, and what it has heard. */
class Scene {
  readonly clock = new SimulatedClock();
  readonly store = new MemoryStore(this.clock);
  readonly known = new Map<string, string>();
  readonly failures: boolean[] = [];
  readonly follower: PrefixFollower;
  isDown = false;
  listings = 0;
  #cut: (() => void) | undefined;

  constructor() {
    const { clock } = this;
    this.follower = new PrefixFollower(
      { store: this.#reachable(), clock, listener: this.#listener() },
      { prefix: 'a/', retryMs: 100, maxRetryMs: 400 },
    );
  }

  async put(key: string, value: string): Promise<void> {
    await this.store.compareAndSwap([], [{ put: key, value: Buffer.from(value) }]);
  }

  cut(): void {
    this.#cut?.();
  }

  async pass(ms: number): Promise<void> {
    await settle();
    this.clock.advance(ms);
    await settle();
  }

  async truth(): Promise<Map<string, string>> {
    return textsOf(await this.store.list('a/'));
  }

  #listener(): PrefixFollowerComponents['listener'] {
    return {
      listed: (entries) => {
        this.listings++;
        this.known.clear();
        for (const [key, text] of textsOf(entries)) this.known.set(key, text);
      },
      heard: ({ key, value }) => {
        if (value === undefined) this.known.delete(key);
        else this.known.set(key, Buffer.from(value).toString());
      },
      failed: (_, again) => this.failures.push(again),
    };
  }

  #reachable(): FollowedStore {
    const reach = () => {
      if (!this.isDown) return this.store;
      throw new FlotillaError('store_unavailable', 'the store is away');
    };
    return {
      revision: async () => reach().revision(),
      list: async (prefix) => reach().list(prefix),
      watch: async (prefix, from, onEvent) => {
        const watch = await reach().watch(prefix, from, onEvent);
        const cut = Promise.withResolvers<FlotillaError>();
        this.#cut = () => {
          cut.resolve(new FlotillaError('store_unavailable', 'the watch was cut'));
          watch.close();
        };
        return { ended: Promise.race([watch.ended, cut.promise]), close: () => watch.close() };
      },
    };
  }
}

function textsOf(entries: readonly { key: string; value: Uint8Array }[]): Map<string, string> {
  return new Map(entries.map(({ key, value }) => [key, Buffer.from(value).toString()]));
}

/** Everything that needs no time has happened. */
async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await turn();
}

test('what is there is listed, what changes is heard, what lies elsewhere is not', async () => {
  const scene = new Scene();
  await scene.put('a/1', 'x');
  await scene.put('b/1', 'x');
  scene.follower.start();
  await settle();
  await scene.put('a/2', 'y');
  await scene.store.compareAndSwap([], [{ delete: 'a/1' }]);
  await scene.put('b/2', 'y');
  await settle();
  assert.deepEqual([...scene.known], [['a/2', 'y']]);
  assert.equal(scene.listings, 1);
  scene.follower.stop();
  await scene.put('a/3', 'z');
  await scene.pass(1_000);
  assert.deepEqual([...scene.known], [['a/2', 'y']]);
});

test('while the store is away it tries again, ever less often, and says since when', async () => {
  const scene = new Scene();
  scene.isDown = true;
  scene.follower.start();
  await settle();
  const counts: number[] = [];
  for (let i = 0; i < 15; i++) {
    await scene.pass(100);
    counts.push(scene.failures.length);
  }
  // After 100, 200, 400 and 400 ms.
  assert.deepEqual(counts, [2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6]);
  assert.deepEqual(scene.failures.slice(0, 3), [false, true, true]);
  scene.isDown = false;
  await scene.put('a/1', 'x');
  await scene.pass(400);
  assert.deepEqual([...scene.known], [['a/1', 'x']]);
  scene.cut();
  await settle();
  assert.equal(scene.failures.at(-1), false);
  await scene.pass(100);
  assert.equal(scene.listings, 2);
  scene.follower.stop();
});

const step = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key: fc.nat(4), value: fc.string() }),
  fc.record({ kind: fc.constant('delete' as const), key: fc.nat(4) }),
  fc.record({ kind: fc.constantFrom('cut', 'down', 'up', 'pass') }),
);

test('in the end it has what the store has', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      const scene = new Scene();
      scene.follower.start();
      for (const one of steps) {
        if (one.kind === 'put' && 'value' in one) await scene.put(`a/${one.key}`, one.value);
        if (one.kind === 'delete' && 'key' in one) {
          await scene.store.compareAndSwap([], [{ delete: `a/${one.key}` }]);
        }
        if (one.kind === 'cut') scene.cut();
        if (one.kind === 'pass') await scene.pass(150);
        if (one.kind === 'down' || one.kind === 'up') scene.isDown = one.kind === 'down';
        if (one.kind === 'down') scene.cut();
      }
      scene.isDown = false;
      await scene.pass(400);
      assert.deepEqual(new Map([...scene.known].sort()), await scene.truth());
      scene.follower.stop();
    }),
    { numRuns: 150 },
  );
});
