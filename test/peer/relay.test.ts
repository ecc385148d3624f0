// Messages passed on between nodes that share no link (docs/protocol.md, Relay).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AssertionError, FlotillaError, hasCode } from '../../src/core/index.ts';
import { hypercube, kRegular, relayRoute } from '../../src/peer/index.ts';
import { createNetwork, NETWORK_KINDS } from './networks.ts';
import type { Payload, PeerHostOptions, Topology } from '../../src/peer/index.ts';
import type { TestNetwork, TestNode } from './networks.ts';

const code = (expected: string) => (error: unknown) => hasCode(error, expected);

interface Fleet {
  readonly network: TestNetwork;
  readonly nodes: readonly TestNode[];
  readonly names: readonly string[];
  /** What each node received, as `source: body`. */
  readonly received: readonly string[][];
  relay(from: number, to: number, message: Payload): Promise<void>;
  /** Breaks the link between two ranks, at both ends. */
  cut(one: number, other: number): Promise<void>;
}

/** A fleet with links along the topology only, and routes by it. */
async function withFleet(
  kind: TestNetwork['kind'],
  topology: Topology,
  use: (fleet: Fleet) => Promise<void>,
  options: PeerHostOptions = {},
): Promise<void> {
  const network = await createNetwork(kind);
  const names = Array.from({ length: topology.size }, (_, rank) => `node-${rank}`);
  const received: string[][] = names.map(() => []);
  try {
    const nodes: TestNode[] = [];
    for (const name of names) nodes.push(await network.node(name, options));
    for (const [rank, { host }] of nodes.entries()) {
      host.handle('ping', () => ({ body: null }));
      host.routeRelays(relayRoute(topology, names, host.name));
      host.onRelay(({ body }, source) => received[rank]!.push(`${source}: ${String(body)}`));
      for (const other of topology.neighbours(rank)) {
        if (other < rank) await network.settle(host.connect(nodes[other]!.address));
      }
    }
    const relay = (from: number, to: number, message: Payload) =>
      network.settle(nodes[from]!.host.relay(names[to]!, message));
    const cut = async (one: number, other: number) => {
      const gone = new Promise<void>((resolve) => nodes[other]!.host.onDisconnect(() => resolve()));
      const peer = nodes[one]!.host.peer(names[other]!)!;
      await network.settle(peer.close(CUT));
      await network.settle(gone);
    };
    await use({ network, nodes, names, received, relay, cut });
  } finally {
    await network.stop();
  }
}

const CUT = new FlotillaError('peer_disconnected', 'the test cuts this link');

for (const kind of NETWORK_KINDS) {
  test(`${kind}: every node of a hypercube reaches every other, in order`, async () => {
    await withFleet(kind, hypercube(6), async ({ relay, nodes, names, received }) => {
      for (let round = 0; round < 2; round++) {
        for (const from of nodes.keys()) {
          for (const to of nodes.keys()) await relay(from, to, { body: round });
        }
      }
      for (const messages of received) {
        const expected = [0, 1].flatMap((round) => names.map((name) => `${name}: ${round}`));
        assert.deepEqual(messages, expected);
      }
      // Beside its links nobody has made one.
      assert.equal(nodes[0]!.host.peers().length, 3);
    });
  });

  test(`${kind}: large bytes pass through whole, one message after the other`, async () => {
    await withFleet(kind, kRegular(6, 2), async ({ network, nodes }) => {
      const target = await network.node('node-z');
      const arrived: Payload[] = [];
      target.host.onRelay((message) => arrived.push(message));
      await network.settle(target.host.connect(nodes[3]!.address));
      for (const { host } of nodes.slice(0, 3)) {
        const rank = nodes.findIndex((node) => node.host === host);
        host.routeRelays(() => ({ next: `node-${rank + 1}` }));
      }
      target.host.routeRelays(() => ({ next: 'node-3' }));
      const bytes = new Uint8Array(3_000_000).map((_, index) => index >> 7);
      const sends = [bytes, bytes.subarray(0, 10), new Uint8Array(0)].map((part, index) =>
        nodes[0]!.host.relay('node-z', { body: index, bytes: part }),
      );
      await network.settle(Promise.all(sends));
      assert.deepEqual(
        arrived.map(({ body }) => body),
        [0, 1, 2],
      );
      assert.ok(Buffer.from(arrived[0]!.bytes!).equals(bytes));
      assert.equal(arrived[1]!.bytes!.length, 10);
    });
  });

  test(`${kind}: with the next hop gone the alternate is taken`, async () => {
    await withFleet(kind, kRegular(8, 4), async ({ relay, cut, nodes, names, received }) => {
      const topology = kRegular(8, 4);
      const target = topologyTarget(topology);
      await cut(0, topology.nextHop(0, target)!);
      await relay(0, target, { body: 'around' });
      assert.deepEqual(received[target], ['node-0: around']);
      const via = names[topology.alternateHop(0, target)!]!;
      assert.equal(nodes[0]!.host.peer(via)!.metrics.relay.sentMessages, 1);
    });
  });

  test(`${kind}: what cannot go on comes back to its source as relay_unreachable`, async () => {
    await withFleet(
      kind,
      kRegular(6, 2),
      async ({ relay, cut, nodes, network }) => {
        await cut(1, 2);
        await assert.rejects(relay(0, 2, { body: 1 }), {
          code: 'relay_unreachable',
          message:
            'nothing can be relayed to node-2: node-1 cannot pass it on to node-2 nor node-0',
        });
        const [first] = nodes;
        await assert.rejects(
          network.settle(first!.host.relay('node-x', { body: 1 })),
          code('relay_unreachable'),
        );
        await assert.rejects(
          network.settle(first!.host.relay('node-1', { body: 1, bytes: new Uint8Array(2000) })),
          code('message_too_large'),
        );
      },
      { maxMessageBytes: 1500 },
    );
  });

  test(`${kind}: a message that goes in circles ends with its hops`, async () => {
    await withFleet(kind, kRegular(3, 2), async ({ network, nodes }) => {
      for (const [rank, { host }] of nodes.entries()) {
        host.routeRelays((target) =>
          target === 'node-x' ? { next: `node-${(rank + 1) % 3}` } : { next: target },
        );
      }
      const lost = network.settle(nodes[0]!.host.relay('node-x', { body: 1 }));
      await assert.rejects(lost, (error) => {
        return hasCode(error, 'relay_unreachable') && /hops are used up/.test(error.message);
      });
      const passed = nodes.flatMap(({ host }) => host.peers()).map(({ metrics }) => metrics.relay);
      const sent = passed.reduce((sum, { sentMessages }) => sum + sentMessages, 0);
      // Eight links with the message, one with the notice about it.
      assert.equal(sent, 9);
    });
  });

  test(`${kind}: a node without a receiver, and a second receiver`, async () => {
    await withFleet(kind, kRegular(3, 2), async ({ network, nodes }) => {
      const bare = await network.node('node-y');
      await network.settle(bare.host.connect(nodes[0]!.address));
      const error = network.settle(nodes[0]!.host.relay('node-y', { body: 1 }));
      await assert.rejects(error, code('relay_unreachable'));
      await assert.rejects(bare.host.relay('node-y', { body: 1 }), code('relay_unreachable'));
      assert.throws(() => nodes[0]!.host.onRelay(() => {}), AssertionError);
    });
  });

  test(`${kind}: a wait for delivery ends with its link, its signal and its deadline`, async () => {
    await withFleet(kind, kRegular(3, 2), async ({ network, nodes, cut }) => {
      // No notice finds its way back, so that the waits last.
      for (const { host } of nodes.slice(1)) host.routeRelays(() => undefined);
      nodes[0]!.host.routeRelays(() => ({ next: 'node-1' }));
      const [a, b] = nodes;
      const far = await network.node('node-f');
      far.host.onRelay(() => {});
      await network.settle(far.host.connect(b!.address));
      const controller = new AbortController();
      const late = a!.host.relay('node-f', { body: 1 }, { timeoutMs: 50 });
      const cancelled = a!.host.relay('node-f', { body: 1 }, { signal: controller.signal });
      const lost = a!.host.relay('node-f', { body: 1 });
      for (const wait of [late, cancelled, lost]) wait.catch(() => {});
      controller.abort();
      await assert.rejects(network.settle(cancelled), code('cancelled'));
      network.clock.advance(100);
      await assert.rejects(network.settle(late), code('deadline_exceeded'));
      await cut(0, 1);
      await assert.rejects(network.settle(lost), code('peer_disconnected'));
    });
  });

  test(`${kind}: a stuck relay link refuses, and control beside it goes on`, async () => {
    await withFleet(
      kind,
      kRegular(3, 2),
      async ({ network, nodes }) => {
        const [a, b] = nodes;
        const barrier = new Promise<unknown>((resolve) => b!.host.onControl('barrier', resolve));
        const bytes = new Uint8Array(1_000_000);
        const sends = Array.from({ length: 300 }, () =>
          a!.host.relay('node-1', { body: 1, bytes }),
        );
        const outcomes = Promise.allSettled(sends);
        assert.equal(a!.host.sendControl('node-1', 'barrier', 7), true);
        assert.equal(await network.settle(barrier), 7);
        const refused = (await network.settle(outcomes)).filter((outcome) => {
          return outcome.status === 'rejected' && hasCode(outcome.reason, 'lane_full');
        });
        assert.ok(refused.length > 0 && refused.length < 300, `${refused.length} refused`);
        const { drops } = a!.host.peer('node-1')!.metrics.relay;
        assert.equal(drops, refused.length);
      },
      { maxRelayBytes: 20_000_000 },
    );
  });
}

/** A rank two hops from rank 0. */
function topologyTarget(topology: Topology): number {
  for (let rank = 0; rank < topology.size; rank++) {
    if (topology.distance(0, rank) === 2) return rank;
  }
  throw new Error('everything is near');
}
