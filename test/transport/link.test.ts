// Links on every transport: streams, their order, their turns and their ends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError, hasCode } from '../../src/core/index.ts';
import { createLinkNetwork, LINK_KINDS } from './link-networks.ts';
import type { Link, ReceiveStream, StreamReader, Transport } from '../../src/transport/index.ts';
import type { LinkKind, LinkNetwork } from './link-networks.ts';

const MIB = 1024 * 1024;
const REASON = new FlotillaError('peer_disconnected', 'the test is over');

interface Pair {
  readonly near: Link;
  readonly far: Link;
  readonly network: LinkNetwork;
}

async function withLinks(kind: LinkKind, use: (pair: Pair) => Promise<void>): Promise<void> {
  const network = await createLinkNetwork(kind);
  const transports: Transport[] = [];
  try {
    const one = await network.transport('node-a');
    const two = await network.transport('node-b');
    transports.push(one, two);
    // As every node does; what dials may be dialled back.
    await one.listen({ host: '127.0.0.1', port: 0 }, () => {});
    const accepted = Promise.withResolvers<Link>();
    const { port } = await two.listen({ host: '127.0.0.1', port: 0 }, accepted.resolve);
    const near = await network.settle(one.connect(`127.0.0.1:${port}`, { name: 'node-b' }));
    const far = await network.settle(accepted.promise);
    await use({ near, far, network });
    const closing = [near, far].map((link) => link.close(REASON));
    await network.settle(Promise.all(closing));
  } finally {
    await network.settle(Promise.all(transports.map((transport) => transport.stop())));
    await network.stop();
  }
}

interface Received {
  readonly stream: ReceiveStream;
  readonly chunks: Buffer[];
  bytes: number;
  ended: 'no' | 'end' | 'reset';
}

/** Reads everything; `until` resolves when its condition holds. */
function readAll(link: Link) {
  const streams: Received[] = [];
  const order: number[] = [];
  const waiting: { condition: () => boolean; resolve: () => void }[] = [];
  let closed: FlotillaError | undefined;
  const check = () => {
    for (const { condition, resolve } of waiting) if (condition()) resolve();
  };
  link.open({
    stream(stream): StreamReader {
      const received: Received = { stream, chunks: [], bytes: 0, ended: 'no' };
      // Streams do not wait for each other: nothing is promised about the order of openings.
      streams.push(received);
      streams.sort((one, other) => one.stream.id - other.stream.id);
      check();
      const finish = (how: 'end' | 'reset') => () => {
        received.ended = how;
        check();
      };
      return {
        data(bytes, start, end) {
          received.chunks.push(Buffer.from(bytes.slice(start, end)));
          received.bytes += end - start;
          order.push(stream.id);
          check();
        },
        end: finish('end'),
        reset: finish('reset'),
      };
    },
    closed(error) {
      closed = error;
      check();
    },
  });
  return {
    streams,
    order,
    closed: () => closed,
    bytes: (index: number) => Buffer.concat(streams[index]?.chunks ?? []),
    until: (condition: () => boolean) =>
      new Promise<void>((resolve) => {
        waiting.push({ condition, resolve });
        check();
      }),
  };
}

const ignore = { stream: () => ({ data() {}, end() {}, reset() {} }), closed() {} };

for (const kind of LINK_KINDS) {
  test(`${kind}: both ends know each other's name`, async () => {
    await withLinks(kind, async ({ near, far }) => {
      assert.deepEqual([near.remote.name, far.remote.name], ['node-b', 'node-a']);
      assert.deepEqual([near.dialled, far.dialled], [true, false]);
      near.open(ignore);
      far.open(ignore);
    });
  });

  test(`${kind}: streams carry their preamble and their bytes in order, and end`, async () => {
    await withLinks(kind, async ({ near, far, network }) => {
      const read = readAll(far);
      near.open(ignore);
      const sent = [10, 20_000, 300_000].map((size, index) => {
        const bytes = Buffer.alloc(size, index + 1);
        const stream = near.openStream(Uint8Array.of(index, 99));
        for (let at = 0; at < size; at += 7000) stream.write(bytes, at, Math.min(size, at + 7000));
        stream.end();
        return bytes;
      });
      const ended = () => read.streams.filter((stream) => stream.ended === 'end').length;
      await network.settle(read.until(() => ended() === 3));
      sent.forEach((bytes, index) => {
        assert.ok(read.bytes(index).equals(bytes));
        assert.deepEqual([...(read.streams[index]?.stream.preamble ?? [])], [index, 99]);
      });
    });
  });

  test(`${kind}: streams take turns, so a small one never waits for a large one`, async () => {
    await withLinks(kind, async ({ near, far, network }) => {
      const read = readAll(far);
      near.open(ignore);
      const large = near.openStream(Uint8Array.of(1));
      const other = near.openStream(Uint8Array.of(2));
      const small = near.openStream(Uint8Array.of(3));
      // More than a QUIC stream may have on its way.
      const payload = Buffer.alloc((kind === 'quic' ? 16 : 4) * MIB, 1);
      large.write(payload);
      other.write(payload);
      // Asked for when the large ones are under way and the connection is busy.
      await network.settle(read.until(() => read.order.length > 0));
      assert.ok(large.queuedBytes > 0);
      const before = payload.length - large.queuedBytes;
      small.write(Buffer.from('small'));
      await network.settle(read.until(() => read.order.includes(small.id)));
      const passed = read.bytes(0).length;
      assert.ok(passed < payload.length, 'the large stream was not first');
      // Two writes under way, the page, one fragment, and what this end had read in the meantime;
      // over QUIC, what the window of a stream lets be on its way, read or not.
      const ahead = kind === 'quic' ? 9 * MIB : 6 * 65_536;
      assert.ok(passed - before < ahead, `${passed - before} bytes of the large one passed`);
      await network.settle(read.until(() => read.streams[1]?.bytes === payload.length));
      const switches = read.order.filter((id, at) => id !== read.order[at - 1]).length;
      assert.ok(switches > 60, `${switches} turns`);
    });
  });

  test(`${kind}: a small stream stays live beside 64 MiB, which arrive whole`, async () => {
    await withLinks(kind, async ({ near, far, network }) => {
      const payload = Buffer.alloc(64 * MIB);
      for (let at = 0; at < payload.length; at += 4096) payload.writeUInt32LE(at, at);
      const read = readAll(far);
      near.open(ignore);
      const small = near.openStream(Uint8Array.of(1));
      const large = near.openStream(Uint8Array.of(2));
      small.write(Buffer.from('0'));
      await network.settle(read.until(() => read.streams.length === 1));
      large.write(payload);
      large.end();
      // Each word is sent once the one before has arrived: all of them pass while the rest waits.
      for (let word = 1; word < 10; word++) {
        await network.settle(read.until(() => read.streams[0]?.bytes === word));
        small.write(Buffer.from(`${word}`));
      }
      await network.settle(read.until(() => read.streams[0]?.bytes === 10));
      assert.ok((read.streams[1]?.bytes ?? 0) < payload.length, 'the large stream was not first');
      await network.settle(read.until(() => read.streams[1]?.ended === 'end'));
      assert.ok(read.bytes(1).equals(payload));
      assert.equal(read.bytes(0).toString(), '0123456789');
    });
  });

  test(`${kind}: a stream that is opened after another's end is delivered after it`, async () => {
    await withLinks(kind, async ({ near, far, network }) => {
      const events: string[] = [];
      const done = Promise.withResolvers<void>();
      near.open(ignore);
      far.open({
        ...ignore,
        stream({ preamble }) {
          events.push(`open ${preamble[0]}`);
          const end = () => {
            events.push(`end ${preamble[0]}`);
            if (preamble[0] === 49) done.resolve();
          };
          return { data() {}, end, reset: end };
        },
      });
      for (let i = 0; i < 50; i++) {
        const stream = near.openStream(Uint8Array.of(i));
        stream.write(Buffer.alloc(kind === 'quic' && i % 7 === 0 ? 200_000 : 10));
        stream.end();
      }
      await network.settle(done.promise);
      const expected = Array.from({ length: 50 }, (_, i) => [`open ${i}`, `end ${i}`]).flat();
      assert.deepEqual(events, expected);
    });
  });

  test(`${kind}: a reset voids what waits; the stream's reader learns of it`, async () => {
    await withLinks(kind, async ({ near, far, network }) => {
      const read = readAll(far);
      near.open(ignore);
      const stream = near.openStream(Uint8Array.of(1));
      stream.write(Buffer.alloc(10_000_000));
      await network.settle(read.until(() => read.streams.length === 1));
      stream.reset();
      stream.write(Buffer.from('late'));
      await network.settle(read.until(() => read.streams[0]?.ended === 'reset'));
      assert.ok(read.bytes(0).length < 10_000_000);
    });
  });

  test(`${kind}: a reader refuses a stream, and grants credit on another`, async () => {
    await withLinks(kind, async ({ near, far, network }) => {
      let refused = () => {};
      let credited: (credit: number[]) => void = () => {};
      const refusal = new Promise<void>((resolve) => {
        refused = resolve;
      });
      const credit = new Promise<number[]>((resolve) => {
        credited = resolve;
      });
      near.open(ignore);
      far.open({
        ...ignore,
        stream(stream) {
          if (stream.preamble[0] === 1) stream.refuse();
          else stream.grant(256, 1_000_000);
          return { data: () => assert.equal(stream.preamble[0], 2), end() {}, reset() {} };
        },
      });
      const unwanted = near.openStream(Uint8Array.of(1), { refused: () => refused() });
      near.openStream(Uint8Array.of(2), {
        credit: (messages, bytes) => credited([messages, bytes]),
      });
      unwanted.write(Buffer.from('dropped'));
      await network.settle(refusal);
      assert.deepEqual(await network.settle(credit), [256, 1_000_000]);
      assert.equal(unwanted.write(Buffer.from('void')), true);
    });
  });

  test(`${kind}: a close sends what waits, then its reason`, async () => {
    await withLinks(kind, async ({ near, far, network }) => {
      const read = readAll(far);
      near.open(ignore);
      const stream = near.openStream(Uint8Array.of(1));
      const payload = Buffer.alloc(3_000_000, 5);
      stream.write(payload);
      await network.settle(near.close(new FlotillaError('peer_disconnected', 'going home')));
      await network.settle(read.until(() => read.closed() !== undefined));
      assert.ok(read.bytes(0).equals(payload));
      assert.ok(hasCode(read.closed(), 'peer_disconnected'));
      assert.equal(read.closed()?.message, 'going home');
      assert.ok(near.closed && far.closed);
    });
  });

  test(`${kind}: a destroy does not wait; readers are reset on both ends`, async () => {
    await withLinks(kind, async ({ near, far, network }) => {
      const read = readAll(far);
      const own = readAll(near);
      far.openStream(Uint8Array.of(9));
      await network.settle(own.until(() => own.streams.length === 1));
      near.openStream(Uint8Array.of(1)).write(Buffer.alloc(50_000_000));
      near.destroy(new FlotillaError('frame_invalid', 'nonsense'));
      assert.equal(own.streams[0]?.ended, 'reset');
      assert.ok(hasCode(own.closed(), 'frame_invalid'));
      await network.settle(read.until(() => read.closed() !== undefined));
      assert.ok(hasCode(read.closed(), 'frame_invalid'));
      assert.ok(read.bytes(0).length < 50_000_000);
    });
  });

  test(`${kind}: the 609th stream of a peer costs it the link`, async () => {
    await withLinks(kind, async ({ near, far, network }) => {
      const read = readAll(near);
      let opened = 0;
      far.open({
        ...ignore,
        stream() {
          opened++;
          return { data() {}, end() {}, reset() {} };
        },
      });
      for (let i = 0; i < 609; i++) near.openStream(Uint8Array.of(1));
      await network.settle(read.until(() => read.closed() !== undefined));
      assert.equal(opened, 608);
      assert.ok(hasCode(read.closed(), 'frame_invalid'));
    });
  });
}
