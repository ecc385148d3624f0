// Lanes beside each other: none blocks another, each keeps its order (docs/protocol.md, Channels).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../src/core/index.ts';
import { createNetwork, NETWORK_KINDS, withPair } from './networks.ts';
import type { Channel, Peer } from '../../src/peer/index.ts';
import type { TestNetwork, TestNode } from './networks.ts';

const code = (expected: string) => (error: unknown) => hasCode(error, expected);

/** Messages of a channel that its sender may have outstanding. */
const CREDIT = 256;

/** Channels that may send on one connection: its 608 streams less those of other lanes. */
const CHANNELS = 512;

/** Round trips after which what has not arrived will not. */
const MAX_ROUNDS = 2000;

interface Ends {
  readonly a: Peer;
  readonly b: Peer;
  readonly network: TestNetwork;
  readonly nodes: readonly [TestNode, TestNode];
  /** A round trip each way: what was sent before on the same stream has arrived. */
  fence(): Promise<void>;
  /** Goes on with round trips until `condition` holds: streams keep no order among each other. */
  until(condition: () => boolean): Promise<void>;
}

async function withPeers(
  kind: TestNetwork['kind'],
  use: (ends: Ends) => Promise<void>,
): Promise<void> {
  await withPair(kind, async ({ a, b, network }) => {
    for (const { host } of [a, b]) host.handle('fence', () => ({ body: null }));
    const near = await network.settle(a.host.connect(b.address));
    const fence = async () => {
      await network.settle(a.host.call('node-b', 'fence', { body: null }));
      await network.settle(b.host.call('node-a', 'fence', { body: null }));
    };
    await fence();
    const until = async (condition: () => boolean) => {
      for (let rounds = 0; !condition(); rounds++) {
        assert.ok(rounds < MAX_ROUNDS, `not within ${MAX_ROUNDS} round trips: ${condition}`);
        await fence();
      }
    };
    await use({ a: near, b: b.host.peer('node-a')!, network, nodes: [a, b], fence, until });
  });
}

/** The next message of a control kind at this node. */
function nextControl({ host }: TestNode, kind: string): Promise<unknown> {
  return new Promise((resolve) => host.onControl(kind, resolve));
}

for (const kind of NETWORK_KINDS) {
  test(`${kind}: 512 stuck tags leave barrier, heartbeat and the way back free`, async () => {
    await withPeers(kind, async ({ a, b, network, nodes, until }) => {
      const waiting: Promise<void>[] = [];
      for (let tag = 0; tag < CHANNELS; tag++) {
        const channel = a.tag(BigInt(tag));
        for (let i = 0; i < CREDIT; i++) void channel.send(Uint8Array.of(tag & 0xff, i));
        waiting.push(channel.send(Uint8Array.of(tag & 0xff, 0)));
      }
      for (const wait of waiting) wait.catch(() => {});
      assert.equal(a.metrics.tag.creditWaits, CHANNELS);
      await until(() => b.metrics.tag.depth === CHANNELS * CREDIT);
      await assert.rejects(a.data.send({ body: 1 }), code('lane_full'));
      const barrier = nextControl(nodes[1], 'barrier');
      assert.equal(nodes[0].host.sendControl('node-b', 'barrier', 7), true);
      assert.equal(await network.settle(barrier), 7);
      const back = nextControl(nodes[0], 'barrier');
      assert.equal(nodes[1].host.sendControl('node-a', 'barrier', 8), true);
      assert.equal(await network.settle(back), 8);
      const beats: unknown[] = [];
      nodes[1].host.onControl('heartbeat', (body) => beats.push(body));
      for (let i = 0; i < 10; i++) {
        assert.equal(nodes[0].host.sendControl('node-b', 'heartbeat', i), true);
        await until(() => beats.length === i + 1);
      }
      await network.settle(b.data.send({ body: 'the other way' }));
      assert.equal((await network.settle(a.data.receive())).body, 'the other way');
      // One tag is read: its sender goes on, the others stay as they are.
      const read = b.tag(5n);
      for (let i = 0; i < CREDIT; i++) await network.settle(read.receive());
      await network.settle(waiting[5]!);
      assert.deepEqual([...(await network.settle(read.receive()))], [5, 0]);
      // A removed channel's stream is free for another one.
      a.tag(9n).remove();
      await network.settle(a.data.send({ body: 2 }));
      assert.equal((await network.settle(b.data.receive())).body, 2);
    });
  });

  test(`${kind}: heartbeats without a reader never hold a barrier up`, async () => {
    await withPeers(kind, async ({ a, b, network, nodes, until }) => {
      const barrier = nextControl(nodes[1], 'barrier');
      let sent = 0;
      while (sent < 50_000 && a.sendControl('heartbeat', { at: sent, pad: 'x'.repeat(500) }))
        sent++;
      assert.equal(nodes[0].host.sendControl('node-b', 'barrier', { epoch: 3 }), true);
      assert.deepEqual(await network.settle(barrier), { epoch: 3 });
      await until(() => b.metrics.control.drops === sent);
      assert.equal(a.sendControl('heartbeat', 0), true);
    });
  });

  test(`${kind}: concurrent senders of a lane keep the order in which they sent`, async () => {
    await withPeers(kind, async ({ a, b, network, nodes }) => {
      let next = 0;
      const sends: Promise<void>[] = [];
      const send = () => {
        const bytes = new Uint8Array(next % 7 === 0 ? 40_000 : 4);
        new DataView(bytes.buffer).setUint32(0, next++);
        sends.push(a.tag(1n).send(bytes));
      };
      for (let i = 0; i < 600; i++) send();
      // More senders come in between: as fast as the receiver reads, and in the same instants.
      nodes[0].host.onControl('more', send);
      const channel = b.tag(1n);
      for (let i = 0; i < 1000; i++) {
        const bytes = await network.settle(channel.receive());
        assert.equal(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0), i);
        if (i < 400) nodes[1].host.sendControl('node-a', 'more', i);
      }
      await network.settle(Promise.all(sends));
      assert.equal(b.metrics.tag.depth, 0);
      assert.equal(b.metrics.tag.depthBytes, 0);
    });
  });

  test(`${kind}: a receive on one tag takes nothing of another`, async () => {
    await withPeers(kind, async ({ a, b, network, fence }) => {
      const wrong = b.tag(2n).receive({ timeoutMs: 100 });
      const same = b.communicator(1n).receive({ timeoutMs: 100 });
      for (const wait of [wrong, same]) wait.catch(() => {});
      await network.settle(a.tag(1n).send(Uint8Array.of(11)));
      await fence();
      network.clock.advance(200);
      await assert.rejects(network.settle(wrong), code('deadline_exceeded'));
      await assert.rejects(network.settle(same), code('deadline_exceeded'));
      assert.deepEqual([...(await network.settle(b.tag(1n).receive()))], [11]);
    });
  });

  test(`${kind}: asking for a channel again gives the same, whoever was first`, async () => {
    await withPeers(kind, async ({ a, b, network, fence }) => {
      await network.settle(a.tag(5n).send(Uint8Array.of(1)));
      await fence();
      const channel = b.tag(5n);
      const first = channel.receive();
      assert.equal(b.tag(5n), channel);
      assert.notEqual(b.tag(6n) as unknown, channel);
      const second = channel.receive();
      await network.settle(a.tag(5n).send(Uint8Array.of(2)));
      assert.deepEqual([...(await network.settle(first))], [1]);
      assert.deepEqual([...(await network.settle(second))], [2]);
      assert.equal(b.data, b.data);
      assert.throws(() => b.tag(-1n), code('invalid_option'));
      assert.throws(() => b.communicator(2n ** 64n), code('invalid_option'));
      assert.equal(b.raw, b.raw);
    });
  });

  test(`${kind}: what had arrived before a disconnect can still be taken`, async () => {
    await withPeers(kind, async ({ a, b, network, nodes, until }) => {
      for (let i = 0; i < 3; i++) await network.settle(a.raw.send(Uint8Array.of(i)));
      await until(() => b.metrics.raw.depth === 3);
      const { raw } = b;
      const gone = new Promise<void>((resolve) => nodes[1].host.onDisconnect(() => resolve()));
      await network.settle(nodes[0].host.stop());
      await network.settle(gone);
      for (let i = 0; i < 3; i++) assert.deepEqual([...(await raw.receive())], [i]);
      await assert.rejects(raw.receive(), code('peer_disconnected'));
      await assert.rejects(b.raw.receive(), code('peer_disconnected'));
    });
  });

  test(`${kind}: what arrived before the other end's removal can be taken`, async () => {
    await withPeers(kind, async ({ a, b, network, fence, until }) => {
      const sender = a.tag(5n);
      for (let i = 0; i < 3; i++) await network.settle(sender.send(Uint8Array.of(i)));
      sender.remove();
      await assert.rejects(sender.send(Uint8Array.of(9)), code('channel_removed'));
      await until(() => b.metrics.tag.depth === 3);
      await fence();
      const reader = b.tag(5n);
      await assert.rejects(reader.send(Uint8Array.of(9)), code('channel_removed'));
      for (let i = 0; i < 3; i++) {
        assert.deepEqual([...(await network.settle(reader.receive()))], [i]);
      }
      await assert.rejects(reader.receive(), code('channel_removed'));
      assert.equal(a.metrics.heldChannels, 0);
      assert.equal(b.metrics.heldChannels, 0);
      // Made anew by the end that removed it, it needs nobody's leave.
      await network.settle(a.tag(5n).send(Uint8Array.of(42)));
      assert.deepEqual([...(await network.settle(b.tag(5n).receive()))], [42]);
      assert.equal(b.metrics.tag.drops, 0);
    });
  });

  test(`${kind}: a tag made anew again and again never overfills its reader`, async () => {
    await withPeers(kind, async ({ a, b, network, fence, until }) => {
      for (let round = 0; round < 6; round++) {
        const channel = a.tag(5n);
        const sends = Array.from({ length: 200 }, (_, i) => channel.send(Uint8Array.of(round, i)));
        await network.settle(Promise.allSettled(sends));
        channel.remove();
        await until(() => b.metrics.tag.depth + 200 * b.metrics.tag.drops === 200 * (round + 1));
        await fence();
      }
      // Two rounds fit: the second came while less than a channel's capacity was held.
      assert.equal(b.metrics.tag.depth, 400);
      assert.equal(b.metrics.tag.drops, 4);
      const reader = b.tag(5n);
      for (let i = 0; i < 400; i++) {
        const expected = [i < 200 ? 0 : 1, i % 200];
        assert.deepEqual([...(await network.settle(reader.receive()))], expected);
      }
      await assert.rejects(reader.receive(), code('channel_removed'));
    });
  });

  test(`${kind}: removing while a large message leaves harms nothing`, async () => {
    await withPeers(kind, async ({ a, b, network, fence }) => {
      const large = a.tag(5n).send(new Uint8Array(20_000_000));
      large.catch(() => {});
      a.tag(5n).remove();
      await assert.rejects(network.settle(large), code('channel_removed'));
      await network.settle(a.tag(5n).send(Uint8Array.of(1)));
      await fence();
      assert.deepEqual([...(await network.settle(b.tag(5n).receive()))], [1]);
      assert.equal(b.metrics.tag.drops, 0);
    });
  });

  test(`${kind}: memory of a message may be used again when its send has resolved`, async () => {
    await withPeers(kind, async ({ a, b, network }) => {
      const bytes = new Uint8Array(3_000_000);
      const received: Uint8Array[] = [];
      for (let round = 1; round <= 5; round++) {
        bytes.fill(round);
        const taken = b.tag(1n).receive();
        await network.settle(a.tag(1n).send(bytes));
        bytes.fill(0xff);
        received.push(await network.settle(taken));
      }
      for (const [index, message] of received.entries()) {
        assert.ok(message.every((value) => value === index + 1));
      }
    });
  });
}

type Command = { readonly lane: number; readonly from: 0 | 1; readonly size: number };

const command: fc.Arbitrary<Command> = fc.record({
  lane: fc.integer({ min: 0, max: 4 }),
  from: fc.constantFrom(0, 1),
  size: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 15_000, max: 200_000 })),
});

/** The lanes of a peer under one interface: bytes in, bytes out. */
function lanesOf(peer: Peer): Channel<Uint8Array>[] {
  const data: Channel<Uint8Array> = {
    send: (bytes, options) => peer.data.send({ body: bytes.length, bytes }, options),
    async receive(options) {
      const { body, bytes } = await peer.data.receive(options);
      assert.equal(body, bytes?.length ?? 0);
      return bytes ?? new Uint8Array(0);
    },
    remove: () => peer.data.remove(),
  };
  return [data, peer.raw, peer.communicator(1n), peer.tag(1n), peer.tag(2n)];
}

/** Sends as told, reads in a rhythm of its own, and compares lane by lane. */
async function checkInterleaving(
  network: TestNetwork,
  lanes: [Channel<Uint8Array>[], Channel<Uint8Array>[]],
  commands: readonly Command[],
): Promise<void> {
  const sends: Promise<void>[] = [];
  const sent = new Map<string, Uint8Array[]>();
  for (const [index, { lane, from, size }] of commands.entries()) {
    const bytes = new Uint8Array(size).fill(index);
    sends.push(lanes[from][lane]!.send(bytes));
    const key = `${1 - from}/${lane}`;
    sent.set(key, [...(sent.get(key) ?? []), bytes]);
    // Every third: some time passes, so that what arrives meets what is still sent.
    if (index % 3 === 0) await network.settle(Promise.race([...sends.slice(-1), tick()]));
  }
  for (const [key, messages] of sent) {
    const [to, lane] = key.split('/').map(Number) as [0 | 1, number];
    for (const expected of messages) {
      const received = await network.settle(lanes[to][lane]!.receive());
      assert.ok(Buffer.from(expected).equals(received), `${key}: ${received.length} bytes`);
    }
  }
  await network.settle(Promise.all(sends));
}

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

for (const kind of NETWORK_KINDS) {
  test(`${kind}: any interleaving of lanes keeps each one's order and loses nothing`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(command, { maxLength: 120 }),
        fc.integer({ min: 1, max: 1_000_000 }),
        async (commands, seed) => {
          const network = await createNetwork(kind, seed);
          try {
            const a = await network.node('node-a');
            const b = await network.node('node-b');
            const peer = await network.settle(a.host.connect(b.address));
            b.host.handle('ping', () => ({ body: null }));
            await network.settle(a.host.call('node-b', 'ping', { body: null }));
            const lanes: [Channel<Uint8Array>[], Channel<Uint8Array>[]] = [
              lanesOf(peer),
              lanesOf(b.host.peer('node-a')!),
            ];
            await checkInterleaving(network, lanes, commands);
          } finally {
            await network.stop();
          }
        },
      ),
      { numRuns: kind === 'memory' ? 40 : 12 },
    );
  });
}
