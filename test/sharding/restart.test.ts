// A node that is killed and back before anybody has noticed: its shards are still those of its
// earlier life, and messages for them wait for whoever owns them next.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrng, silentLogger } from '../../src/core/index.ts';
import { defineEntity, Sharding } from '../../src/sharding/index.ts';
import { newFleet } from './entity-fleet.ts';
import type { EntityFleet } from './entity-fleet.ts';

const Log = defineEntity({
  name: 'log',
  shards: 8,
  initial: (): { seen: number[] } => ({ seen: [] }),
  handlers: {
    note: (state, number: number) => {
      state.seen.push(number);
      return [...state.seen];
    },
  },
});

/** How far the node's next life is when it gets messages for the one before. */
const LIVES: Record<string, (fleet: EntityFleet) => Promise<void>> = {
  'without sharding yet': async (fleet) => {
    await fleet.fleet.start('b');
  },
  'without its types yet': async (fleet) => {
    const host = await fleet.fleet.start('b');
    const sharding = new Sharding({
      ...{ host, store: fleet.store, log: silentLogger },
      ...{ clock: fleet.fleet.network.clock('b'), prng: createPrng(9) },
    });
    sharding.start();
    fleet.nodes.set('b', sharding);
  },
  'with its types': async (fleet) => {
    await fleet.start('b', Log);
  },
};

for (const [how, comeBack] of Object.entries(LIVES)) {
  test(`messages wait for the next owner when a node is back ${how}`, async () => {
    const fleet = newFleet();
    const a = await fleet.start('a', Log);
    await fleet.start('b', Log);
    await fleet.spread('log', 'a', 'b');
    const table = a.view.tables.get('log')!.entries;
    const ids = Array.from({ length: 40 }, (_, i) => `id-${i}`);
    const logs = ids
      .map((id) => a.entity(Log, id))
      .filter((log) => {
        return table[log.shard]!.owner === 'b';
      });
    fleet.nodes.delete('b');
    fleet.fleet.crash('b', { resetAfterMs: 1 });
    // Nothing is on its way to the earlier life.
    await fleet.fleet.clock.run(100);
    await comeBack(fleet);
    const asks = logs.flatMap((log) => [1, 2, 3].map((n) => log.ask({ note: n })));
    const answers = await fleet.settle(Promise.all(asks));
    const expected = logs.flatMap(() => [[1], [1, 2], [1, 2, 3]]);
    assert.deepEqual(answers, expected);
  });
}
