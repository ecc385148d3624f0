// What one peer can make a node hold, or make it say to others: each limit costs who broke it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { MUX_FLAGS } from '../../src/wire/index.ts';
import {
  frameOf,
  framedMessage,
  GREETING,
  helloOf,
  rawPrefix,
  tagPreamble,
} from './hostile-bytes.ts';
import { LivePeer } from './live-peer.ts';
import type { PeerHostOptions } from '../../src/peer/index.ts';
import type { RawEnd } from './pipes.ts';

const { open, reset } = MUX_FLAGS;
const code = (wanted: string) => (error: unknown) => hasCode(error, wanted);

async function withEnemy(
  use: (peer: LivePeer, enemy: RawEnd) => Promise<void>,
  { limits, greeting = GREETING }: { limits?: PeerHostOptions; greeting?: object } = {},
): Promise<void> {
  const peer = new LivePeer(limits);
  await peer.start();
  try {
    const enemy = await peer.enemy(true);
    enemy.send(helloOf(greeting));
    await peer.settle();
    await use(peer, enemy);
    await peer.assertUnharmed();
    enemy.leave();
    await peer.settle();
  } finally {
    await peer.stop();
  }
}

for (const maxMessageBytes of [0, 1, 511]) {
  test(`a greeting that takes messages of ${maxMessageBytes} bytes only is refused`, async () => {
    const greeting = { ...GREETING, maxMessageBytes };
    await withEnemy(async (_peer, enemy) => assert.ok(enemy.over), { greeting });
  });
}

test('an error of a handler fits the least limit that a peer may name', async () => {
  const greeting = { ...GREETING, maxMessageBytes: 512 };
  await withEnemy(
    async (peer, enemy) => {
      enemy.send(frameOf(2, open, Buffer.from([1, 2])));
      const name = 'x'.repeat(255);
      peer.victim.handle(name, async () => {
        throw new Error('y'.repeat(5000));
      });
      const head = Buffer.from([1, 1, 0, 0, 1, 0, 0, 0, 255, 255, 0, 0, name.length]);
      enemy.send(frameOf(2, 0, framedMessage(Buffer.concat([head, Buffer.from(name)]))));
      await peer.settle();
      assert.equal(enemy.over, false);
      assert.match(enemy.read().toString('latin1'), /handler_failed/);
    },
    { greeting },
  );
});

test('a node names no limit below what an error takes', () => {
  assert.throws(() => new LivePeer({ maxMessageBytes: 511 }), code('invalid_option'));
});

test('an instance of any length is no instance', async () => {
  const greeting = { ...GREETING, instance: 'x'.repeat(256) };
  await withEnemy(async (_peer, enemy) => assert.ok(enemy.over), { greeting });
});

test('a removed channel gives the memory of its unfinished message back', async () => {
  await withEnemy(
    async (peer, enemy) => {
      // Each round holds 600 kB of the million that unfinished messages may have.
      for (let round = 0; round < 5; round++) {
        const stream = 2 + round;
        enemy.send(frameOf(stream, open, tagPreamble(100 + round)));
        enemy.send(frameOf(stream, 0, rawPrefix(600_000)));
        for (let i = 0; i < 9; i++) enemy.send(frameOf(stream, 0, Buffer.alloc(65_536)));
        peer.victim
          .peer('node-x')!
          .tag(BigInt(100 + round))
          .remove();
        enemy.send(frameOf(stream, 0, Buffer.alloc(1000)));
        assert.equal(enemy.over, false, `round ${round}`);
      }
      enemy.send(frameOf(2, reset));
      assert.equal(enemy.over, false);
    },
    { limits: { maxMessageBytes: 1e6, maxPartialBytes: 1e6 } },
  );
});

test('a relayed message whose names are no UTF-8 never breaks the next connection', async () => {
  await withEnemy(async (_peer, enemy) => {
    // Written again as UTF-8, this source has 256 bytes: a length of 0 in its byte.
    const source = Buffer.concat([Buffer.from('x'), Buffer.alloc(85, 0xff)]);
    const target = Buffer.from('node-b');
    const fixed = Buffer.from([1, 8, source.length, target.length, 1, 0, 0, 0]);
    enemy.send(frameOf(2, open, Buffer.from([1, 5])));
    enemy.send(frameOf(2, 0, framedMessage(Buffer.concat([fixed, source, target]))));
    assert.ok(enemy.over, 'it costs who wrote it');
  });
});

test('who asks and does not read the answers is refused, and then put off', async () => {
  await withEnemy(
    async (peer, enemy) => {
      enemy.stall();
      enemy.send(frameOf(2, open, Buffer.from([1, 2])));
      const ask = (id: number, bytes: number) => {
        const fields = Buffer.from([1, id === 1 ? 1 : 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0]);
        fields.writeUInt32LE(id, 4);
        const name = id === 1 ? Buffer.from('\x04echo') : Buffer.alloc(0);
        const head = Buffer.concat([fields, name]);
        enemy.send(frameOf(2, 0, framedMessage(head, Buffer.alloc(bytes))));
      };
      let id = 1;
      for (; id <= 40; id++) ask(id, 10_000);
      const { requests } = peer.victim.peer('node-x')!.metrics;
      assert.ok(requests.drops > 0, 'calls beyond the bound are refused');
      assert.equal(enemy.over, false);
      for (; id < 20_000 && !enemy.over; id++) ask(id, 0);
      assert.ok(enemy.over, 'refusals that nobody reads end the connection');
    },
    { limits: { maxQueuedBytes: 100_000 } },
  );
});
