// QUIC: who gets in, how a certificate is tied to a connection, and what the binding has to be.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { createRequire } from 'node:module';
import { after, test } from 'node:test';
import { FlotillaError, hasCode, silentLogger, systemClock } from '../../src/core/index.ts';
import { createKeyAndCsr, parseToken } from '../../src/identity/index.ts';
import { QuicTransport, requestJoin, TlsTransport } from '../../src/transport/index.ts';
import { decodeReason } from '../../src/transport/close-reason.ts';
import { QUIC_BINDING_VERSION, TRANSPORT_DEFAULTS } from '../../src/transport/defaults.ts';
import {
  loadQuicBinding,
  QUIC_BINDING_SHAPE,
  quicPackageName,
} from '../../src/transport/quic-binding.ts';
import { createQuicKey, parseMultiaddr } from '../../src/transport/quic-key.ts';
import { QuicControl } from '../../src/transport/quic-link.ts';
import { createProof, decodeProof, verifyProof } from '../../src/transport/quic-proof.ts';
import { decodeClose, encodeHeader } from '../../src/transport/quic-records.ts';
import { createCa } from './link-networks.ts';
import type { Credentials } from '../../src/identity/index.ts';
import type { Link, QuicTransportOptions } from '../../src/transport/index.ts';

const clock = systemClock;
const ours = await createCa();
const theirs = await createCa();
after(() => {
  ours.remove();
  theirs.remove();
});

const CLOSE = new FlotillaError('peer_disconnected', 'the test is over');

function dialler(credentials: Credentials): QuicTransport {
  return new QuicTransport({ credentials, clock, log: silentLogger });
}

/** Resolves with why a link ends. */
function closing(link: Link): Promise<FlotillaError> {
  return new Promise((resolve) => {
    link.open({ stream: () => ({ data() {}, end() {}, reset() {} }), closed: resolve });
  });
}

async function serve(credentials: Credentials, options: QuicTransportOptions = {}) {
  const warnings: string[] = [];
  const log = {
    ...silentLogger,
    warn: (_fields: object, message: string) => void warnings.push(message),
  };
  const transport = new QuicTransport({ credentials, clock, log }, options);
  const links: Link[] = [];
  const { port } = await transport.listen({ host: '127.0.0.1', port: 0 }, (link) => {
    links.push(link);
    void closing(link);
  });
  return { transport, links, warnings, address: `127.0.0.1:${port}`, port };
}

test('a node of another cluster is refused on both sides, each with one clear line', async () => {
  const server = await serve(await ours.credentials('node-a'));
  const stranger = dialler(await theirs.credentials('node-b'));
  await assert.rejects(stranger.connect(server.address), {
    code: 'identity_refused',
    message: /was refused: .*it was not issued by this cluster/,
  });
  assert.equal(server.warnings.length, 1);
  assert.match(server.warnings[0] ?? '', /was refused: .*it was not issued by this cluster/);
  assert.equal(server.links.length, 0);
  await Promise.all([stranger.stop(), server.transport.stop()]);
});

test('a dialler refuses a listener of another cluster that lets it in', async () => {
  const foreign = await theirs.credentials('node-a');
  const { caPem } = await ours.credentials('node-b');
  const server = await serve({ ...foreign, caPem });
  const client = dialler(await ours.credentials('node-b'));
  await assert.rejects(client.connect(server.address), { code: 'identity_refused' });
  await Promise.all([client.stop(), server.transport.stop()]);
});

test('a dialler that knows whom it wants takes nobody else', async () => {
  const server = await serve(await ours.credentials('node-a'));
  const client = dialler(await ours.credentials('node-b'));
  await assert.rejects(client.connect(server.address, { name: 'node-c' }), {
    code: 'identity_refused',
    message: /it is node-a, not node-c/,
  });
  const link = await client.connect(server.address, { name: 'node-a' });
  assert.equal(link.remote.name, 'node-a');
  assert.match(link.remote.fingerprint, /^[0-9a-f]{64}$/);
  void closing(link);
  await link.close(CLOSE);
  await Promise.all([client.stop(), server.transport.stop()]);
});

test('a proof holds for one pair of keys, one direction and one certificate', async () => {
  const credentials = await ours.credentials('node-a');
  const [signer, other, third] = [createQuicKey(), createQuicKey(), createQuicKey()].map(
    ({ publicKey }) => publicKey,
  ) as [Uint8Array, Uint8Array, Uint8Array];
  const ends = { signer, other, signerDialled: true };
  const trust = { caPem: credentials.caPem, clock, address: 'here' };
  const proof = createProof(credentials, ends);
  assert.equal(verifyProof(proof, ends, trust).name, 'node-a');
  const code = { code: 'identity_refused' };
  for (const wrong of [
    { ...ends, other: third },
    { ...ends, signer: third },
    { ...ends, signerDialled: false },
    { signer: other, other: signer, signerDialled: true },
  ]) {
    assert.throws(() => verifyProof(proof, wrong, trust), code);
  }
  const { certificatePem: certificate } = await ours.credentials('node-b');
  assert.throws(() => verifyProof({ ...proof, certificate }, ends, trust), {
    ...code,
    message: /the certificate of node-b but not its key/,
  });
  assert.throws(() => verifyProof({ ...proof, protocol: 'flotilla/0' }, ends, trust), code);
  assert.throws(() => decodeProof({ certificate }), { code: 'frame_invalid' });
  assert.throws(() => decodeProof(undefined), { code: 'frame_invalid' });
});

test('the key that a peer proved is read from its multiaddress', () => {
  // The id of the key 4d5a…7e2a, as libp2p writes it.
  const id = '12D3KooWF2Ku5zNgi486nmHE7Ai6rLuu8t5j6yRibBhoynuqzDpm';
  const { host, port, publicKey } = parseMultiaddr(`/ip4/127.0.0.1/udp/43248/quic-v1/p2p/${id}`);
  assert.deepEqual([host, port], ['127.0.0.1', 43248]);
  assert.equal(
    Buffer.from(publicKey ?? []).toString('hex'),
    '4d5ad672da938076788b00794024b87a85f02ad4ae47974a19710c72a53c7e2a',
  );
  for (const odd of ['', 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG', '0OIl', '1']) {
    const { publicKey: none } = parseMultiaddr(`/ip4/127.0.0.1/udp/1/quic-v1/p2p/${odd}`);
    assert.equal(none, undefined);
  }
});

test('a port in use, and an address of another machine, are named', async () => {
  const server = await serve(await ours.credentials('node-a'));
  const second = dialler(await ours.credentials('node-b'));
  await assert.rejects(
    second.listen({ host: '127.0.0.1', port: server.port }, () => {}),
    {
      code: 'port_in_use',
      message: `another process already listens on ${server.address}`,
    },
  );
  const elsewhere = second.listen({ host: '192.0.2.1', port: 0 }, () => {});
  await assert.rejects(elsewhere, { code: 'address_unusable' });
  await Promise.all([second.stop(), server.transport.stop()]);
});

test('an address where nobody answers is unreachable within the time given', async () => {
  const silent = dgram.createSocket('udp4');
  await new Promise<void>((resolve) => silent.bind(0, '127.0.0.1', resolve));
  const client = dialler(await ours.credentials('node-b'));
  const address = `127.0.0.1:${silent.address().port}`;
  await assert.rejects(client.connect(address, { timeoutMs: 50 }), {
    code: 'peer_unreachable',
    message: `${address} cannot be reached: no answer within 50 ms`,
  });
  await client.stop();
  silent.close();
});

test('a listener that stops breaks its links; the other end hears of it', async () => {
  const server = await serve(await ours.credentials('node-a'));
  const client = dialler(await ours.credentials('node-b'));
  const link = await client.connect(server.address);
  const closed = closing(link);
  await server.transport.stop();
  assert.ok(hasCode(await closed, 'link_closed'));
  await client.stop();
});

test('a node with the CA admits joiners over TLS on the same port number', async () => {
  const { authority } = ours;
  const server = await serve(await ours.credentials('node-a'), {
    onJoin: (request) => authority.admit(request),
  });
  const { address } = server;
  const name = 'node-new';
  const token = parseToken(authority.createToken({ ttlMs: 60_000 }));
  const { privateKeyPem, csrPem } = await createKeyAndCsr(name);
  const reply = await requestJoin({ address, token, name, csrPem, clock });
  const credentials = { name, privateKeyPem, ...reply };
  const joined = dialler(credentials);
  const overTls = new TlsTransport({ credentials, clock, log: silentLogger });
  for (const transport of [joined, overTls]) {
    const link = await transport.connect(address, { name: 'node-a' });
    void closing(link);
    await link.close(CLOSE);
  }
  await Promise.all([joined.stop(), server.transport.stop()]);
});

test('the binding has the version and the shape that this code was written against', () => {
  const require = createRequire(import.meta.url);
  const { version } = require(`${quicPackageName()}/package.json`) as { version: string };
  assert.equal(version, QUIC_BINDING_VERSION);
  const binding = loadQuicBinding() as unknown as Record<string, { prototype: object }>;
  const shape = Object.fromEntries(
    Object.keys(QUIC_BINDING_SHAPE).map((name) => [
      name,
      Object.getOwnPropertyNames(binding[name]?.prototype).sort(),
    ]),
  );
  assert.deepEqual(shape, {
    QuinnConfig: ['constructor'],
    Server: ['abort', 'constructor', 'inboundConnection', 'port', 'stats'],
    Client: ['abort', 'constructor', 'outboundConnection', 'stats'],
    Connection: [
      'abort',
      'closed',
      'constructor',
      'id',
      'inboundStream',
      'outboundStream',
      'remoteMultiaddr',
      'rtt',
      'stats',
    ],
    Stream: ['constructor', 'finishWrite', 'id', 'read', 'resetWrite', 'stopRead', 'write'],
  });
});

test('a binding that is absent, or another version, is named', () => {
  assert.throws(() => loadQuicBinding('@chainsafe/libp2p-quic-plan9-mips'), {
    code: 'quic_unavailable',
    message: /needs the package @chainsafe\/libp2p-quic-plan9-mips 2\.1\.1: it is not installed/,
  });
  assert.throws(() => loadQuicBinding('pino'), {
    code: 'quic_unavailable',
    message: /pino 2\.1\.1: it has version /,
  });
});

test('a port where nobody listens is refused at once', async () => {
  const gone = dgram.createSocket('udp4');
  await new Promise<void>((resolve) => gone.bind(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${gone.address().port}`;
  await new Promise<void>((resolve) => gone.close(resolve));
  const client = dialler(await ours.credentials('node-b'));
  await assert.rejects(client.connect(address), {
    code: 'peer_unreachable',
    message: `${address} cannot be reached: the connection was refused`,
  });
  await client.stop();
});

/** A connection that has proved itself and then speaks as it likes. */
async function rawLink(port: number, credentials: Credentials, proof = createProof) {
  const binding = loadQuicBinding();
  const key = createQuicKey();
  const config = new binding.QuinnConfig({
    privateKeyProto: key.privateKeyProto,
    handshakeTimeout: 5_000,
    shutdownTimeout: 1_000,
    maxIdleTimeout: 5_000,
    keepAliveInterval: 1_000,
    maxConcurrentStreamLimit: 100,
    maxStreamData: 1_000_000,
    maxConnectionData: 1_000_000,
    receiveBufferSize: 100_000,
    sendBufferSize: 100_000,
  });
  const client = new binding.Client(config, 0);
  const connection = await client.outboundConnection('127.0.0.1', port);
  const { publicKey } = parseMultiaddr(connection.remoteMultiaddr());
  assert.ok(publicKey);
  const control = new QuicControl(await connection.outboundStream());
  control.send(
    proof(credentials, { signer: key.publicKey, other: publicKey, signerDialled: true }),
  );
  return { client, connection, control, answer: await control.read() };
}

test('what breaks the protocol costs its sender the link, with a reason', async () => {
  const cases: ((link: Awaited<ReturnType<typeof rawLink>>) => Promise<void>)[] = [
    async ({ control }) => control.send({ hello: 1 }),
    async ({ control }) => control.send({ reason: 'text', now: true, ended: 0, streams: [] }),
    async ({ control }) => {
      const { maxInboundStreams: most } = TRANSPORT_DEFAULTS;
      const streams = Array.from({ length: most + 1 }, () => [1, 1]);
      control.send({ reason: new Uint8Array(1), now: false, ended: 0, streams });
    },
    async ({ control }) => control.writer.write(Buffer.from('ffffffff00', 'hex'), 0, 5),
    async ({ connection }) => {
      const stream = await connection.outboundStream();
      await stream.write(encodeHeader({ id: 1, ended: 0, preamble: new Uint8Array(513) }));
    },
    async ({ connection }) => {
      for (let i = 0; i < 2; i++) {
        const stream = await connection.outboundStream();
        await stream.write(encodeHeader({ id: 1, ended: 0, preamble: new Uint8Array(1) }));
      }
    },
  ];
  const server = await serve(await ours.credentials('node-a'));
  for (const breakIt of cases) {
    const raw = await rawLink(server.port, await ours.credentials('node-b'));
    await breakIt(raw);
    const close = decodeClose(await raw.control.read());
    assert.ok(close);
    assert.equal(decodeReason(close.reason).code, 'frame_invalid');
    raw.connection.abort();
    raw.client.abort();
  }
  await server.transport.stop();
});

test('a stolen proof opens nothing', async () => {
  const server = await serve(await ours.credentials('node-a'));
  const credentials = await ours.credentials('node-b');
  const { publicKey } = createQuicKey();
  // Made for another connection: its signer was another key.
  const stolen: typeof createProof = (own, ends) =>
    createProof(own, { ...ends, signer: publicKey });
  const raw = await rawLink(server.port, credentials, stolen);
  const close = decodeClose(raw.answer);
  assert.ok(close);
  assert.equal(decodeReason(close.reason).code, 'identity_refused');
  assert.equal(server.links.length, 0);
  raw.connection.abort();
  raw.client.abort();
  await server.transport.stop();
});
