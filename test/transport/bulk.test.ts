// Bulk sockets: what goes over them arrives whole and in order, who may have one, and what happens
// when there is none or it breaks.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { after, test } from 'node:test';
import tls from 'node:tls';
import {
  createPrng,
  FlotillaError,
  hasCode,
  silentLogger,
  systemClock,
} from '../../src/core/index.ts';
import { keyFingerprint } from '../../src/identity/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { parseAddress, TlsTransport } from '../../src/transport/index.ts';
import { BulkDecoder } from '../../src/transport/bulk-decoder.ts';
import { BULK_FRAGMENT_BYTES, BULK_PROTOCOL } from '../../src/transport/defaults.ts';
import { TlsBulk } from '../../src/transport/tls-bulk.ts';
import { createCa } from './link-networks.ts';
import type { AddressInfo } from 'node:net';
import type { BulkSink } from '../../src/transport/bulk-decoder.ts';
import type { Link, StreamReader } from '../../src/transport/index.ts';

const MIB = 1024 * 1024;
const REASON = new FlotillaError('peer_disconnected', 'the test is over');
const ca = await createCa();
const other = await createCa();
after(() => {
  ca.remove();
  other.remove();
});

const sockets = () =>
  process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

interface Ends {
  readonly near: Link;
  readonly far: Link;
  readonly address: string;
}

/** Two nodes that both listen; `dialBack` is where the dialler does. */
async function withEnds(
  use: (ends: Ends) => Promise<void>,
  { dialBack = '127.0.0.1', bulk = true } = {},
) {
  const components = { clock: systemClock, log: silentLogger };
  const one = new TlsTransport({ ...components, credentials: await ca.credentials('node-a') });
  const credentials = await ca.credentials('node-b');
  const two = new TlsTransport({ ...components, credentials }, { bulk });
  const accepted = Promise.withResolvers<Link>();
  await one.listen({ host: dialBack, port: 0 }, () => {});
  const { port } = await two.listen({ host: '127.0.0.1', port: 0 }, accepted.resolve);
  const address = `127.0.0.1:${port}`;
  const near = await one.connect(address);
  try {
    await use({ near, far: await accepted.promise, address });
  } finally {
    await near.close(REASON);
    await Promise.all([one.stop(), two.stop()]);
  }
}

/** Checks that a stream brings `expected` in order; resolves at its end. */
function expecting(expected: Uint8Array) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let at = 0;
  const reader: StreamReader = {
    data(bytes, start, end) {
      const piece = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
      if (!piece.equals(expected.subarray(at, at + end - start))) reject(new Error(`bytes ${at}`));
      at += end - start;
    },
    end() {
      if (at === expected.length) resolve();
      else reject(new Error(`${at} bytes of ${expected.length}`));
    },
    reset: () => reject(new Error('a reset')),
  };
  return { reader, promise };
}

/** Sends `bytes` in pieces, long and short by turns, waiting when told to. */
async function send(link: Link, bytes: Uint8Array, lane: number): Promise<void> {
  const prng = createPrng(7, lane);
  let drained = () => {};
  const stream = link.openStream(Uint8Array.of(lane), { drain: () => drained() });
  for (let at = 0; at < bytes.length; ) {
    const size = prng.next() < 0.5 ? prng.int(3000) + 1 : prng.int(3 * MIB) + 1;
    const end = Math.min(bytes.length, at + size);
    const taken = stream.write(bytes, at, end);
    at = end;
    if (taken || prng.next() < 0.3) continue;
    await new Promise<void>((resolve) => {
      drained = resolve;
    });
  }
  stream.end();
}

function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at + 4 <= length; at += 4)
    bytes.writeUInt32LE((at * 2_654_435_761 + seed) >>> 0, at);
  return bytes.fill(seed, length - (length % 4));
}

test('long and short writes of streams that run both ways arrive whole and in order', async () => {
  await withEnds(async ({ near, far }) => {
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
  });
});

test('a stream that is reset while its bytes leave does not harm its neighbour', async () => {
  await withEnds(async ({ near, far }) => {
    const payload = pattern(5 * MIB + 1, 9);
    const { reader, promise } = expecting(payload);
    const resets: number[] = [];
    let begun = 0;
    far.open({
      stream({ preamble }) {
        const [lane] = preamble;
        if (lane === 0) return reader;
        return { data: () => void begun++, end() {}, reset: () => void resets.push(lane!) };
      },
      closed() {},
    });
    near.open({ stream: () => reader, closed() {} });
    const steady = near.openStream(Uint8Array.of(0));
    steady.write(payload, 0, MIB);
    for (let lane = 1; lane <= 5; lane++) {
      const before = begun;
      const stream = near.openStream(Uint8Array.of(lane));
      for (let piece = 0; piece < lane; piece++) stream.write(payload, piece * 1000, MIB);
      while (begun === before) await new Promise(setImmediate);
      stream.reset();
      steady.write(payload, lane * MIB, Math.min(payload.length, (lane + 1) * MIB));
    }
    steady.end();
    await promise;
    while (resets.length < 5) await new Promise(setImmediate);
    assert.deepEqual(resets.sort(), [1, 2, 3, 4, 5]);
  });
});

test('messages keep their order while the stream of their lane moves to bulk', async () => {
  const hosts = await Promise.all(
    ['node-a', 'node-b'].map(async (name) => {
      const components = { clock: systemClock, log: silentLogger };
      const transport = new TlsTransport({
        ...components,
        credentials: await ca.credentials(name),
      });
      const host = new PeerHost({ ...components, transport });
      return { host, address: await host.listen({ host: '127.0.0.1', port: 0 }) };
    }),
  );
  const [a, b] = hosts as [(typeof hosts)[0], (typeof hosts)[0]];
  try {
    const from = await a.host.connect(`127.0.0.1:${b.address.port}`);
    const to = b.host.peer('node-a')!;
    const before = sockets();
    const handled: unknown[] = [];
    b.host.handle('note', ({ body, bytes }) => {
      handled.push([body, bytes?.length ?? 0]);
      return { body: null };
    });
    const prng = createPrng(3, 1);
    const wanted: [number, number][] = [];
    const sent: Promise<unknown>[] = [];
    for (let number = 0; number < 300; number++) {
      // Small bodies, and bytes that are none, few, or so many that they move the stream.
      const kind = number < 20 ? 0 : prng.int(4);
      const bytes = pattern([0, prng.int(2000), 80 * 1024, MIB][kind]!, number);
      wanted.push([number, bytes.length]);
      sent.push(from.data.send({ body: number, bytes }), from.raw.send(bytes));
      sent.push(a.host.call('node-b', 'note', { body: number, bytes }));
      // Some while the socket is busy, some when it has nothing left to send.
      if (prng.next() < 0.2) await new Promise(setImmediate);
    }
    for (const [number, length] of wanted) {
      const payload = await to.data.receive();
      assert.deepEqual([payload.body, payload.bytes?.length ?? 0], [number, length]);
      const expected = pattern(length, number);
      assert.ok(expected.equals(payload.bytes ?? Buffer.alloc(0)));
      assert.ok(expected.equals(await to.raw.receive()));
    }
    await Promise.all(sent);
    assert.deepEqual(handled, wanted);
    assert.equal(sockets() - before, 2, 'a bulk socket, seen from both ends');
  } finally {
    await Promise.all([a.host.stop(), b.host.stop()]);
  }
});

test('the end of a link is the end of its bulk sockets', async () => {
  await withEnds(async ({ near, far }) => {
    const before = sockets();
    const payload = pattern(8 * MIB, 1);
    const { reader, promise } = expecting(payload);
    const closed = Promise.withResolvers<FlotillaError>();
    far.open({ stream: () => reader, closed: closed.resolve });
    near.open({ stream: () => expecting(payload).reader, closed() {} });
    await send(near, payload, 1);
    await promise;
    assert.equal(sockets() - before, 2);
    near.destroy(new FlotillaError('frame_invalid', 'nonsense'));
    assert.ok(hasCode(await closed.promise, 'frame_invalid'));
    while (sockets() > before - 2) await new Promise(setImmediate);
  });
});

for (const [what, options] of [
  // The one that dialled listens where nobody looks for it.
  ['cannot dial back', { dialBack: '127.0.0.2' }],
  ['wants none', { bulk: false }],
] as const) {
  test(`a link whose reader ${what} sends all over one socket`, async () => {
    await withEnds(async ({ near, far }) => {
      const before = sockets();
      const payload = pattern(9 * MIB + 3, 2);
      const { reader, promise } = expecting(payload);
      far.open({ stream: () => reader, closed() {} });
      near.open({ stream: () => expecting(payload).reader, closed() {} });
      await send(near, payload, 1);
      await promise;
      assert.equal(sockets(), before);
    }, options);
  });
}

test('a bulk connection without a token, or of another cluster, reaches nothing', async () => {
  await withEnds(async ({ near, far, address }) => {
    const payload = pattern(2 * MIB, 3);
    const { reader, promise } = expecting(payload);
    far.open({ stream: () => reader, closed() {} });
    near.open({ stream: () => expecting(payload).reader, closed() {} });
    for (const authority of [ca, other]) {
      const { privateKeyPem, certificatePem } = await authority.credentials('node-c');
      const socket = tls.connect({
        ...parseAddress(address),
        key: privateKeyPem,
        cert: certificatePem,
        ALPNProtocols: [BULK_PROTOCOL],
        rejectUnauthorized: false,
      });
      socket.on('error', () => {});
      socket.resume();
      socket.write(Buffer.alloc(16, 1));
      await once(socket, 'close');
    }
    await send(near, payload, 1);
    await promise;
  });
});

test('a token is taken once, from the node that it was offered to', async () => {
  const server = await ca.credentials('node-a');
  const bulkOf = async (name: string) => {
    const { certificatePem: cert, privateKeyPem: key, caPem } = await ca.credentials(name);
    const credentials = { cert, key, ca: caPem };
    const listeningPort = () => 1;
    return new TlsBulk({ clock: systemClock, credentials, listeningPort, timeoutMs: 5_000 });
  };
  const offering = await bulkOf('node-a');
  const listener = tls.createServer(
    {
      key: server.privateKeyPem,
      cert: server.certificatePem,
      ca: server.caPem,
      requestCert: true,
      ALPNProtocols: [BULK_PROTOCOL],
    },
    (socket) => {
      socket.on('error', () => {});
      offering.accept(socket, 'there');
    },
  );
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  const identity = async (name: string) => {
    const { publicKey } = new X509Certificate((await ca.credentials(name)).certificatePem);
    return { name, fingerprint: keyFingerprint(publicKey) };
  };
  let taken = 0;
  const offer = offering.offer(await identity('node-b'), () => taken++);
  assert.ok(offer);
  const link = { remote: await identity('node-a'), dialled: true, address: `127.0.0.1:${port}` };
  for (const [name, count] of [
    ['node-c', 0],
    ['node-b', 1],
    ['node-b', 1],
  ] as const) {
    const socket = await (await bulkOf(name)).dial(link, offer, () => true);
    if (count > taken) while (taken < count) await new Promise(setImmediate);
    else await once(socket, 'close');
    assert.equal(taken, count);
    socket.destroy();
  }
  const stranger = { ...link, remote: { ...link.remote, fingerprint: '00' } };
  await assert.rejects(
    (await bulkOf('node-b')).dial(stranger, offer, () => true),
    {
      code: 'identity_refused',
    },
  );
  await new Promise((resolve) => listener.close(resolve));
});

test('a bulk frame waits for the word that its stream moved, and so does what follows', () => {
  const moved = new Set<number>();
  const seen: string[] = [];
  const sink: BulkSink = {
    moved: (stream) => moved.has(stream),
    data: (stream, bytes, { start, end }) =>
      void seen.push(`${stream}:${Buffer.from(bytes.slice(start, end))}`),
    ended: (stream) => void seen.push(`end ${stream}`),
    finished: () => void seen.push('finished'),
  };
  const decoder = new BulkDecoder(sink);
  const frame = (stream: number, flag: number, text = '') => {
    const bytes = Buffer.alloc(8 + text.length);
    bytes.writeUInt32LE(stream, 0);
    bytes.writeUInt32LE(((flag << 24) | text.length) >>> 0, 4);
    bytes.write(text, 8);
    return bytes;
  };
  const bytes = Buffer.concat([frame(3, 0, 'ab'), frame(5, 0, 'c'), frame(3, 2), frame(0, 32)]);
  for (let at = 0; at < bytes.length; at++) decoder.push(bytes, at, at + 1);
  assert.equal(seen.length, 0);
  moved.add(5);
  assert.equal(decoder.resume(), false);
  moved.add(3);
  assert.equal(decoder.resume(), true);
  assert.equal(seen.filter((each) => each.startsWith('3:')).join(''), '3:a3:b');
  assert.deepEqual(seen.slice(-3), ['5:c', 'end 3', 'finished']);
  const long = frame(3, 0);
  long.writeUInt32LE(BULK_FRAGMENT_BYTES + 1, 4);
  for (const wrong of [frame(0, 0, 'x'), frame(3, 1), frame(3, 2, 'x'), frame(3, 32), long]) {
    const code = { code: 'frame_invalid' };
    assert.throws(() => new BulkDecoder(sink).push(wrong, 0, wrong.length), code);
  }
});
