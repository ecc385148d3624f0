// Data, raw, communicator and tag channels (docs/protocol.md, Channels; the faults of the original
// runtime's lanes are each a test here).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError, hasCode } from '../../src/core/index.ts';
import { NETWORK_KINDS, withPair } from './networks.ts';
import type { Peer } from '../../src/peer/index.ts';
import type { TestNetwork, TestNode } from './networks.ts';

const code = (expected: string) => (error: unknown) => hasCode(error, expected);

async function withPeers(
  kind: TestNetwork['kind'],
  use: (ends: {
    a: Peer;
    b: Peer;
    network: TestNetwork;
    nodes: [TestNode, TestNode];
  }) => Promise<void>,
): Promise<void> {
  await withPair(kind, async ({ a, b, network }) => {
    const near = await network.settle(a.host.connect(b.address));
    a.host.handle('fence', () => ({ body: null }));
    b.host.handle('fence', () => ({ body: null }));
    await network.settle(b.host.call('node-a', 'fence', { body: null }));
    await use({ a: near, b: b.host.peer('node-a')!, network, nodes: [a, b] });
  });
}

/** What was sent before has arrived when this resolves. */
async function fence(network: TestNetwork, nodes: [TestNode, TestNode]): Promise<void> {
  await network.settle(nodes[0].host.call('node-b', 'fence', { body: null }));
  await network.settle(nodes[1].host.call('node-a', 'fence', { body: null }));
}

for (const kind of NETWORK_KINDS) {
  test(`${kind}: each channel keeps its order and its own messages`, async () => {
    await withPeers(kind, async ({ a, b, network }) => {
      const pairs = [
        [a.raw, b.raw],
        [a.tag(7n), b.tag(7n)],
        [a.tag(2n ** 64n - 1n), b.tag(2n ** 64n - 1n)],
        [a.communicator(7n), b.communicator(7n)],
      ] as const;
      for (let round = 0; round < 20; round++) {
        for (const [index, [from]] of pairs.entries()) {
          await network.settle(from.send(Buffer.from(`${index}/${round}`)));
        }
      }
      for (const [index, [, to]] of pairs.entries()) {
        for (let round = 0; round < 20; round++) {
          const received = await network.settle(to.receive());
          assert.equal(Buffer.from(received).toString(), `${index}/${round}`);
        }
      }
    });
  });

  test(`${kind}: data carries body and bytes both ways; empty messages count`, async () => {
    await withPeers(kind, async ({ a, b, network }) => {
      await network.settle(a.data.send({ body: { step: 1 }, bytes: Uint8Array.of(1, 2) }));
      await network.settle(b.data.send({ body: undefined }));
      const there = await network.settle(b.data.receive());
      assert.deepEqual(there.body, { step: 1 });
      assert.deepEqual([...there.bytes!], [1, 2]);
      assert.deepEqual(await network.settle(a.data.receive()), { body: undefined });
      await network.settle(a.raw.send(new Uint8Array(0)));
      assert.equal((await network.settle(b.raw.receive())).length, 0);
    });
  });

  test(`${kind}: large raw messages arrive whole`, async () => {
    await withPeers(kind, async ({ a, b, network }) => {
      const payload = new Uint8Array(5_000_000).map((_, index) => index >> 5);
      await network.settle(a.tag(1n).send(payload));
      const received = await network.settle(b.tag(1n).receive());
      assert.ok(Buffer.from(received).equals(payload));
    });
  });

  test(`${kind}: a full tag makes its sender wait; a tag beside it and calls go on`, async () => {
    await withPeers(kind, async ({ a, b, network, nodes }) => {
      const stuck = a.tag(1n);
      for (let i = 0; i < 256; i++) await network.settle(stuck.send(Uint8Array.of(i)));
      const waiting = [stuck.send(Uint8Array.of(1)), stuck.send(Uint8Array.of(2))];
      const late = stuck.send(Uint8Array.of(3), { timeoutMs: 100 });
      late.catch(() => {});
      await network.settle(a.tag(2n).send(Uint8Array.of(42)));
      assert.deepEqual([...(await network.settle(b.tag(2n).receive()))], [42]);
      await fence(network, nodes);
      network.clock.advance(200);
      await assert.rejects(network.settle(late), code('deadline_exceeded'));
      const seen: number[] = [];
      for (let i = 0; i < 258; i++) seen.push((await network.settle(b.tag(1n).receive()))[0]!);
      await network.settle(Promise.all(waiting));
      assert.deepEqual(
        seen,
        Array.from({ length: 258 }, (_, i) => (i < 256 ? i : i - 255)),
      );
    });
  });

  test(`${kind}: bytes have a window too, and a message larger than it passes`, async () => {
    await withPeers(kind, async ({ a, b, network }) => {
      const large = new Uint8Array(65 * 1024 * 1024);
      await network.settle(a.raw.send(large));
      let sent = false;
      const second = a.raw.send(Uint8Array.of(2)).then(() => {
        sent = true;
      });
      const first = await network.settle(b.raw.receive());
      assert.equal(first.length, large.length);
      await network.settle(second);
      assert.equal(sent, true);
      assert.deepEqual([...(await network.settle(b.raw.receive()))], [2]);
    });
  });

  test(`${kind}: a disconnect wakes who waits on any channel, and who comes later`, async () => {
    await withPeers(kind, async ({ a, network, nodes }) => {
      const full = a.tag(9n);
      for (let i = 0; i < 256; i++) await network.settle(full.send(Uint8Array.of(i)));
      const waits = [
        full.send(Uint8Array.of(1)),
        a.tag(1n).receive(),
        a.communicator(1n).receive(),
        a.raw.receive(),
        a.data.receive(),
      ];
      const outcomes = Promise.allSettled(waits);
      await network.settle(nodes[1].host.stop());
      for (const outcome of await network.settle(outcomes)) {
        assert.ok(outcome.status === 'rejected' && hasCode(outcome.reason, 'peer_disconnected'));
      }
      await assert.rejects(a.tag(77n).receive(), code('peer_disconnected'));
      await assert.rejects(a.tag(1n).send(Uint8Array.of(1)), code('peer_disconnected'));
      await assert.rejects(a.data.receive(), code('peer_disconnected'));
    });
  });

  test(`${kind}: so does an end that comes without a word of the channels`, async () => {
    await withPeers(kind, async ({ a, b, network }) => {
      const tags = [1n, 2n, 3n, 4n];
      for (const tag of tags) {
        await network.settle(b.tag(tag).send(Uint8Array.of(1)));
        await network.settle(a.tag(tag).receive());
      }
      const outcomes = Promise.allSettled(tags.map((tag) => a.tag(tag).receive()));
      b.destroy(new FlotillaError('frame_invalid', 'nonsense'));
      for (const outcome of await network.settle(outcomes)) {
        assert.ok(outcome.status === 'rejected' && hasCode(outcome.reason, 'peer_disconnected'));
      }
    });
  });

  test(`${kind}: a removed tag is freed and not brought back by late arrivals`, async () => {
    await withPeers(kind, async ({ a, b, network, nodes }) => {
      const before = b.tag(5n);
      before.remove();
      // The other end knows nothing of it yet: its message arrives late.
      await network.settle(a.tag(5n).send(Uint8Array.of(1)));
      await fence(network, nodes);
      assert.equal(b.metrics.tag.drops, 1);
      await assert.rejects(network.settle(before.receive()), code('channel_removed'));
      // Asked for again at both ends, it is a new channel without the late message.
      const again = b.tag(5n);
      assert.notEqual(again, before);
      await network.settle(a.tag(5n).send(Uint8Array.of(2)));
      assert.deepEqual([...(await network.settle(again.receive()))], [2]);
    });
  });

  test(`${kind}: removing a channel wakes who waits at the other end to send`, async () => {
    await withPeers(kind, async ({ a, b, network }) => {
      const sender = a.tag(3n);
      for (let i = 0; i < 256; i++) await network.settle(sender.send(Uint8Array.of(i)));
      const waiting = sender.send(Uint8Array.of(1));
      waiting.catch(() => {});
      assert.deepEqual([...(await network.settle(b.tag(3n).receive()))], [0]);
      b.tag(3n).remove();
      await assert.rejects(network.settle(waiting), code('channel_removed'));
    });
  });

  test(`${kind}: a wait for a message ends by its signal or its deadline`, async () => {
    await withPeers(kind, async ({ a, network }) => {
      const controller = new AbortController();
      const cancelled = a.raw.receive({ signal: controller.signal });
      const late = a.raw.receive({ timeoutMs: 50 });
      cancelled.catch(() => {});
      late.catch(() => {});
      controller.abort();
      await assert.rejects(network.settle(cancelled), code('cancelled'));
      network.clock.advance(100);
      await assert.rejects(network.settle(late), code('deadline_exceeded'));
    });
  });
}
