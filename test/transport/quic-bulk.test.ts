// Long writes of links over QUIC: they go over the bulk socket where there can be one, over QUIC
// where not, in the order of their stream either way, and end with their link.
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { after, test } from 'node:test';
import { FlotillaError, hasCode, silentLogger, systemClock } from '../../src/core/index.ts';
import { QuicTransport } from '../../src/transport/index.ts';
import { TRANSPORT_DEFAULTS } from '../../src/transport/defaults.ts';
import { QuicBulk } from '../../src/transport/quic-bulk.ts';
import { createCa } from './link-networks.ts';
import { expecting, pattern, send } from './long-streams.ts';
import type { Socket } from 'node:net';
import type { BulkSupport } from '../../src/transport/link-bulk.ts';
import type { Link, ReceiveStream } from '../../src/transport/index.ts';
import type { QuicBulkOwner } from '../../src/transport/quic-bulk.ts';

const MIB = 1024 * 1024;
const KIB = 1024;
const REASON = new FlotillaError('peer_disconnected', 'the test is over');
const ca = await createCa();
after(() => ca.remove());

const sockets = () =>
  process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

interface Ends {
  readonly near: Link;
  readonly far: Link;
  readonly one: QuicTransport;
  readonly two: QuicTransport;
}

/** Two nodes; the one that dialled listens at `dialBack`, or not at all. */
async function withEnds(
  use: (ends: Ends) => Promise<void>,
  { dialBack = '127.0.0.1', bulk = true }: { dialBack?: string | undefined; bulk?: boolean } = {},
) {
  const components = { clock: systemClock, log: silentLogger };
  const one = new QuicTransport({ ...components, credentials: await ca.credentials('node-a') });
  const credentials = await ca.credentials('node-b');
  const two = new QuicTransport({ ...components, credentials }, { bulk });
  const accepted = Promise.withResolvers<Link>();
  if (dialBack !== '') await one.listen({ host: dialBack, port: 0 }, () => {});
  const { port } = await two.listen({ host: '127.0.0.1', port: 0 }, accepted.resolve);
  const near = await one.connect(`127.0.0.1:${port}`);
  try {
    await use({ near, far: await accepted.promise, one, two });
  } finally {
    await near.close(REASON);
    await Promise.all([one.stop(), two.stop()]);
  }
}

test('long writes move to bulk sockets, both ways, in the order of their stream', async () => {
  await withEnds(async ({ near, far, one, two }) => {
    const before = sockets();
    const payloads = [0, 1, 2].map((lane) => pattern(12 * MIB + lane, lane));
    const waits: Promise<void>[] = [];
    for (const link of [near, far]) {
      link.open({
        stream({ preamble }) {
          const { reader, promise } = expecting(payloads[preamble[0]!]!);
          waits.push(promise);
          return reader;
        },
        closed() {},
      });
    }
    await Promise.all(
      [near, far].flatMap((link) => payloads.map((bytes, lane) => send(link, bytes, lane))),
    );
    while (waits.length < 6) await new Promise(setImmediate);
    await Promise.all(waits);
    assert.equal(sockets() - before, 4, 'a socket each way, seen from both ends');
    for (const { counters } of [one, two]) {
      assert.deepEqual(counters, { movedStreams: 3, stayedWrites: 0 });
    }
  });
});

test('short writes stay on QUIC', async () => {
  await withEnds(async ({ near, far, one }) => {
    const before = sockets();
    const payload = pattern(600 * KIB, 5);
    const { reader, promise } = expecting(payload);
    far.open({ stream: () => reader, closed() {} });
    near.open({ stream: () => reader, closed() {} });
    const stream = near.openStream(Uint8Array.of(1));
    for (let at = 0; at < payload.length; at += 60 * KIB) stream.write(payload, at, at + 60 * KIB);
    stream.end();
    await promise;
    assert.deepEqual(one.counters, { movedStreams: 0, stayedWrites: 0 });
    assert.equal(sockets(), before);
  });
});

for (const [what, options] of [
  // The one that dialled listens where nobody looks for it.
  ['cannot dial back', { dialBack: '127.0.0.2' }],
  ['wants none', { bulk: false }],
  ['has nowhere to dial', { dialBack: '' }],
] as const) {
  test(`a link whose reader ${what} sends all over QUIC, and counts it`, async () => {
    await withEnds(async ({ near, far, one }) => {
      const before = sockets();
      const payload = pattern(9 * MIB + 3, 2);
      const arriving = [expecting(payload), expecting(payload)];
      far.open({ stream: ({ preamble }) => arriving[preamble[0]!]!.reader, closed() {} });
      near.open({ stream: () => expecting(payload).reader, closed() {} });
      for (const [lane, { promise }] of arriving.entries()) {
        await send(near, payload, lane);
        await promise;
      }
      assert.equal(sockets(), before);
      assert.equal(one.counters.movedStreams, 0);
      assert.ok(one.counters.stayedWrites > 0);
    }, options);
  });
}

test('a stop sends what waits for the bulk socket before it ends', async () => {
  await withEnds(async ({ near, far, one }) => {
    const payload = pattern(24 * MIB, 3);
    let bytes = 0;
    const closed = Promise.withResolvers<FlotillaError>();
    far.open({
      stream: () => ({
        data(_bytes, start, end) {
          bytes += end - start;
        },
        end() {},
        reset() {},
      }),
      closed: closed.resolve,
    });
    near.open({ stream: () => expecting(payload).reader, closed() {} });
    const stream = near.openStream(Uint8Array.of(1));
    stream.write(payload);
    while (one.counters.movedStreams === 0) await new Promise(setImmediate);
    stream.write(payload);
    await near.close(REASON);
    assert.ok(hasCode(await closed.promise, 'peer_disconnected'));
    assert.equal(bytes, 2 * payload.length);
  });
});

for (const end of ['near', 'far'] as const) {
  test(`a link that is destroyed at the ${end} end takes its bulk socket with it`, async () => {
    await withEnds(async (ends) => {
      const { near, far } = ends;
      const before = sockets();
      const payload = pattern(8 * MIB, 1);
      const { reader, promise } = expecting(payload);
      const closings = [near, far].map(() => Promise.withResolvers<FlotillaError>());
      far.open({ stream: () => reader, closed: closings[1]!.resolve });
      near.open({ stream: () => reader, closed: closings[0]!.resolve });
      await send(near, payload, 1);
      await promise;
      assert.equal(sockets() - before, 2);
      ends[end].destroy(new FlotillaError('frame_invalid', 'nonsense'));
      for (const { promise: closing } of closings) {
        assert.ok(hasCode(await closing, 'frame_invalid'));
      }
      while (sockets() > before) await new Promise(setImmediate);
    });
  });
}

test('a bulk socket that breaks ends its link at both ends', async () => {
  const accepted: Socket[] = [];
  const onSocket = (message: unknown) => void accepted.push((message as { socket: Socket }).socket);
  subscribe('net.server.socket', onSocket);
  await withEnds(async ({ near, far, one }) => {
    const payload = pattern(16 * MIB, 4);
    const { reader, promise } = expecting(payload);
    const closings = [near, far].map(() => Promise.withResolvers<FlotillaError>());
    far.open({ stream: () => reader, closed: closings[1]!.resolve });
    near.open({ stream: () => reader, closed: closings[0]!.resolve });
    await send(near, payload, 1);
    await promise;
    assert.equal(one.counters.movedStreams, 1);
    for (const socket of accepted) socket.destroy();
    for (const { promise: closing } of closings) assert.ok(hasCode(await closing, 'link_closed'));
  });
  unsubscribe('net.server.socket', onSocket);
});

test('a stream that is refused or reset after it moved makes room for others', async () => {
  await withEnds(async ({ near, far, one }) => {
    const ended: string[] = [];
    let bytes = 0;
    far.open({
      stream(stream: ReceiveStream) {
        const name = stream.preamble[0] === 1 ? 'refused' : 'reset';
        return {
          data(_bytes, start, end) {
            bytes += end - start;
            if (name === 'refused' && bytes > 8 * MIB) stream.refuse();
          },
          end: () => void ended.push(`${name}: end`),
          reset: () => void ended.push(`${name}: reset`),
        };
      },
      closed() {},
    });
    near.open({ stream: () => expecting(Buffer.alloc(0)).reader, closed() {} });
    const payload = Buffer.alloc(16 * MIB);
    const refused = Promise.withResolvers<void>();
    const stream = near.openStream(Uint8Array.of(1), { refused: refused.resolve });
    stream.write(payload);
    await refused.promise;
    assert.equal(one.counters.movedStreams, 1);
    const other = near.openStream(Uint8Array.of(2));
    other.write(payload);
    assert.equal(other.queuedBytes > 0, true);
    while (one.counters.movedStreams < 2) await new Promise(setImmediate);
    other.reset();
    while (ended.length < 1) await new Promise(setImmediate);
    assert.deepEqual(ended, ['reset: reset']);
    // Both are forgotten: as many streams as ever may be opened.
    const { maxInboundStreams } = TRANSPORT_DEFAULTS;
    const many = Array.from({ length: maxInboundStreams - 1 }, () =>
      near.openStream(Uint8Array.of(3)),
    );
    assert.equal(near.canOpenStream, false);
    for (const each of many) each.reset();
    assert.equal(near.closed, false);
  });
});

test('words of a move that cannot be true are a breach', () => {
  const support = { clock: systemClock, offer: () => undefined, dial: () => new Promise(() => {}) };
  const owner = { receiving: () => undefined, closed: false } as unknown as QuicBulkOwner;
  const counters = { movedStreams: 0, stayedWrites: 0 };
  const offer = new Uint8Array(19);
  offer[0] = 0xb0;
  const told = (...words: [number, number, number][]) => {
    const bulk = new QuicBulk(owner, support as unknown as BulkSupport, counters);
    const reader = bulk.accept({ id: 1, preamble: offer, grant() {}, refuse() {} })!;
    const bytes = Buffer.from(Uint32Array.from(words.flat()).buffer);
    for (let at = 0; at < bytes.length; at += 5)
      reader.data(bytes, at, Math.min(at + 5, bytes.length));
    bulk.accept({ id: 2, preamble: offer, grant() {}, refuse() {} });
  };
  const code = { code: 'frame_invalid' };
  assert.throws(() => told([1, 0, 2 ** 21]), code);
  assert.throws(() => told([1, 0, 0], [1, 0, 0]), code);
  const { maxInboundStreams } = TRANSPORT_DEFAULTS;
  const many = Array.from({ length: maxInboundStreams + 1 }, (_, id) => [id, 0, 0] as const);
  assert.throws(() => told(...(many as unknown as [number, number, number][])), code);
  assert.throws(() => told([1, 5, 0]), { ...code, message: /a second offer/ });
});
