// Relayed messages that break the protocol: who wrote a broken part pays, not who passed it on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { LANES, STREAM_KINDS } from '../../src/peer/index.ts';
import { encodeBody, FRAMED_PREFIX_BYTES, writeFramedPrefix } from '../../src/wire/index.ts';
import { NETWORK_KINDS, withPair } from './networks.ts';
import type { FlotillaError } from '../../src/core/index.ts';
import type { SendStream } from '../../src/transport/index.ts';
import type { TestNetwork, TestNode } from './networks.ts';

const GREETING = { name: 'node-x', instance: 'x', versions: [1, 1], maxMessageBytes: 1000 };

function framed(head: Uint8Array): Buffer {
  const message = Buffer.alloc(FRAMED_PREFIX_BYTES + head.length);
  writeFramedPrefix(message, 0, { headBytes: head.length, bytes: 0 });
  message.set(head, FRAMED_PREFIX_BYTES);
  return message;
}

/** A relayed message of node-x, as it stands in docs/protocol.md. */
function relayed({ hops, target, body }: { hops: number; target: string; body: number[] }): Buffer {
  const source = 'node-x';
  return framed(
    Buffer.concat([
      Uint8Array.of(1, hops, source.length, target.length, 7, 0, 0, 0),
      Buffer.from(source + target),
      Uint8Array.from(body),
    ]),
  );
}

/** An enemy, node-x, linked to node-a, which is linked to node-b. */
async function withEnemy(
  kind: TestNetwork['kind'],
  use: (setting: {
    network: TestNetwork;
    nodes: { a: TestNode; b: TestNode };
    relay: SendStream;
    ended: Promise<FlotillaError>;
    /** Resolves when the enemy has read this text on its relay stream. */
    hears(text: string): Promise<void>;
  }) => Promise<void>,
): Promise<void> {
  await withPair(kind, async ({ a, b, network }) => {
    a.host.handle('ping', () => ({ body: null }));
    await network.settle(b.host.call('node-a', 'ping', { body: null }));
    const transport = await network.transport('node-x');
    const link = await network.settle(transport.connect(a.address));
    let heard = '';
    let listen = () => {};
    const hears = (text: string) =>
      new Promise<void>((resolve) => {
        listen = () => {
          if (heard.includes(text)) resolve();
        };
        listen();
      });
    const ended = new Promise<FlotillaError>((resolve) => {
      link.open({
        stream: ({ preamble }) => ({
          data(bytes, start, end) {
            if (preamble[1] !== LANES.relay) return;
            heard += Buffer.from(bytes.subarray(start, end)).toString('latin1');
            listen();
          },
          end() {},
          reset() {},
        }),
        closed: resolve,
      });
    });
    const open = (lane: keyof typeof LANES, name = '') =>
      link.openStream(Uint8Array.from([STREAM_KINDS.framed, LANES[lane], ...Buffer.from(name)]));
    const { buffer, start, end } = encodeBody({ ...GREETING, attempt: 0 });
    const hello = open('control', 'hello');
    hello.write(framed(buffer.slice(start, end)));
    // What is opened after its end is seen after it.
    hello.end();
    const nodes = { a, b };
    await use({ network, nodes, relay: open('relay'), ended, hears });
  });
}

for (const kind of NETWORK_KINDS) {
  test(`${kind}: a broken body costs the message, not the node that passed it on`, async () => {
    await withEnemy(kind, async ({ network, nodes: { a, b }, relay, hears }) => {
      const received: unknown[] = [];
      b.host.routeRelays(() => ({ next: 'node-a' }));
      b.host.onRelay(({ body }) => received.push(body));
      relay.write(relayed({ hops: 255, target: 'node-b', body: [0xc1] }));
      await network.settle(hears('frame_invalid'));
      assert.equal(b.host.peer('node-a')!.metrics.relay.drops, 1);
      await network.settle(a.host.relay('node-b', { body: 'sound' }));
      assert.deepEqual(received, ['sound']);
    });
  });

  for (const [what, message] of Object.entries({
    'a type that is none': framed(Buffer.from('0908060600000000', 'hex')),
    'names that are cut off': framed(Buffer.from('0108fffe00000000aabb', 'hex')),
    'a message to nobody': relayed({ hops: 8, target: '', body: [] }),
    'a head that is cut off': framed(Uint8Array.of(1, 8)),
  })) {
    test(`${kind}: ${what} costs its sender the connection only`, async () => {
      await withEnemy(kind, async ({ network, nodes: { a, b }, relay, ended }) => {
        b.host.onRelay(() => {});
        relay.write(message);
        assert.ok(hasCode(await network.settle(ended), 'frame_invalid'));
        await network.settle(a.host.relay('node-b', { body: 1 }));
      });
    });
  }
}
