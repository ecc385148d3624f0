// TLS: who gets in, who does not, and what either side is told.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, test } from 'node:test';
import tls from 'node:tls';
import { FlotillaError, hasCode, systemClock } from '../../src/core/index.ts';
import { createKeyAndCsr, parseToken } from '../../src/identity/index.ts';
import { parseAddress, requestJoin, TlsTransport } from '../../src/transport/index.ts';
import { collectingLogger, createAuthority } from '../peer/networks.ts';
import type { Credentials } from '../../src/identity/index.ts';
import type { Link, TlsTransportOptions } from '../../src/transport/index.ts';

const clock = systemClock;
const ours = await createAuthority();
const theirs = await createAuthority();
after(() => {
  ours.remove();
  theirs.remove();
});

const ANY = { host: '127.0.0.1', port: 0 };
const CLOSE = new FlotillaError('peer_disconnected', 'the test is over');
const code = (expected: string) => (error: unknown) => hasCode(error, expected);

async function serve(credentials: Credentials, options: TlsTransportOptions = {}) {
  const { log, warnings } = collectingLogger();
  const transport = new TlsTransport({ credentials, clock, log }, options);
  const links: Link[] = [];
  const { port } = await transport.listen(ANY, (link) => {
    links.push(link);
    void closing(link);
  });
  return { transport, links, warnings, address: `127.0.0.1:${port}`, port };
}

function dialler(credentials: Credentials): TlsTransport {
  return new TlsTransport({ credentials, clock, log: collectingLogger().log });
}

/** Resolves with why a link that was dialled ends. */
function closing(link: Link): Promise<FlotillaError> {
  return new Promise((resolve) => {
    link.open({ stream: () => ({ data() {}, end() {}, reset() {} }), closed: resolve });
  });
}

test('a node of another cluster is refused on both sides, each with one clear line', async () => {
  const server = await serve(await ours.credentials('node-a'));
  const stranger = dialler(await theirs.credentials('node-b'));
  await assert.rejects(stranger.connect(server.address), {
    code: 'identity_refused',
    message:
      /^the node at [\d.:]+ was refused: its certificate is not from the CA of this cluster$/,
  });
  while (server.warnings.length === 0) await new Promise(setImmediate);
  assert.equal(server.warnings.length, 1);
  assert.match(server.warnings[0] ?? '', /refused: its certificate is not from the CA/);
  assert.equal(server.links.length, 0);
  await server.transport.stop();
});

test('a dialler that trusts this CA but is not of it is told that it was refused', async () => {
  const server = await serve(await ours.credentials('node-a'));
  const foreign = await theirs.credentials('node-b');
  const { caPem } = await ours.credentials('node-a');
  const link = await dialler({ ...foreign, caPem }).connect(server.address);
  const error = await closing(link);
  assert.ok(hasCode(error, 'identity_refused'));
  assert.match(error.message, /not from the CA of this cluster/);
  assert.equal(server.links.length, 0);
  await server.transport.stop();
});

test('a dialler without a certificate reaches nothing', async () => {
  const server = await serve(await ours.credentials('node-a'));
  const socket = tls.connect({
    ...parseAddress(server.address),
    ALPNProtocols: ['flotilla/1'],
    rejectUnauthorized: false,
  });
  socket.on('error', () => {});
  socket.resume();
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  assert.equal(server.links.length, 0);
  assert.match(server.warnings[0] ?? '', /it showed no certificate/);
  await server.transport.stop();
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
  await server.transport.stop();
});

test('only TLS 1.3 is spoken', async () => {
  const server = await serve(await ours.credentials('node-a'));
  const socket = tls.connect({
    ...parseAddress(server.address),
    ALPNProtocols: ['flotilla/1'],
    maxVersion: 'TLSv1.2',
    rejectUnauthorized: false,
  });
  const error = await new Promise<Error>((resolve) => socket.once('error', resolve));
  assert.match(error.message, /protocol version/i);
  await server.transport.stop();
});

test('a port in use is named', async () => {
  const server = await serve(await ours.credentials('node-a'));
  const second = dialler(await ours.credentials('node-b'));
  await assert.rejects(
    second.listen({ host: '127.0.0.1', port: server.port }, () => {}),
    {
      code: 'port_in_use',
      message: `another process already listens on ${server.address}`,
    },
  );
  await server.transport.stop();
});

test('an address of another machine cannot be listened on', async () => {
  const transport = dialler(await ours.credentials('node-a'));
  const listening = transport.listen({ host: '192.0.2.1', port: 0 }, () => {});
  await assert.rejects(listening, code('address_unusable'));
});

test('an address where nobody listens, or somebody else does, is unreachable', async () => {
  const client = dialler(await ours.credentials('node-b'));
  const plain = net.createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
  const { port } = plain.address() as net.AddressInfo;
  await assert.rejects(client.connect(`127.0.0.1:${port}`), code('peer_unreachable'));
  await new Promise((resolve) => plain.close(resolve));
  await assert.rejects(client.connect(`127.0.0.1:${port}`), {
    code: 'peer_unreachable',
    message: `127.0.0.1:${port} cannot be reached: the connection was refused`,
  });
  await assert.rejects(client.connect('nonsense'), code('invalid_option'));
});

test('a connection that is no TLS is logged and harms nobody', async () => {
  const server = await serve(await ours.credentials('node-a'));
  const socket = net.connect(parseAddress(server.address));
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\n\r\n');
  socket.resume();
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  while (server.warnings.length === 0) await new Promise(setImmediate);
  assert.match(server.warnings[0] ?? '', /no TLS peer/);
  const client = dialler(await ours.credentials('node-b'));
  const link = await client.connect(server.address);
  void closing(link);
  await link.close(CLOSE);
  await server.transport.stop();
});

test('a joiner gets its certificate for the token, and can connect with it', async () => {
  const { authority } = ours;
  const onJoin: TlsTransportOptions['onJoin'] = (request) => authority.admit(request);
  const server = await serve(await ours.credentials('node-a'), { onJoin });
  const name = 'node-new';
  const token = parseToken(authority.createToken({ ttlMs: 60_000 }));
  const { privateKeyPem, csrPem } = await createKeyAndCsr(name);
  const { address } = server;
  const reply = await requestJoin({ address, token, name, csrPem, clock });
  const joined = dialler({ name, privateKeyPem, ...reply });
  const link = await joined.connect(address, { name: 'node-a' });
  assert.equal(link.remote.name, 'node-a');
  void closing(link);
  await link.close(CLOSE);
  await server.transport.stop();
});

test('a joiner sends no secret to a cluster that its token does not name', async () => {
  let asked = 0;
  const onJoin = async () => {
    asked++;
    throw new Error('not reached');
  };
  const server = await serve(await theirs.credentials('node-a'), { onJoin });
  const token = parseToken(ours.authority.createToken({ ttlMs: 60_000 }));
  const { csrPem } = await createKeyAndCsr('node-new');
  const { address } = server;
  await assert.rejects(requestJoin({ address, token, name: 'node-new', csrPem, clock }), {
    code: 'identity_refused',
    message: `the node at ${address} was refused: its CA is not the one that the join token names`,
  });
  assert.equal(asked, 0);
  await server.transport.stop();
});

test('a refusal reaches the joiner with its code, a fault without its text', async () => {
  const faults = [new FlotillaError('token_refused', 'the token is refused'), new Error('disk 7')];
  const onJoin = async () => {
    throw faults.shift();
  };
  const server = await serve(await ours.credentials('node-a'), { onJoin });
  const token = parseToken(ours.authority.createToken({ ttlMs: 60_000 }));
  const join = () => {
    return requestJoin({ address: server.address, token, name: 'node-new', csrPem: 'x', clock });
  };
  await assert.rejects(join(), { code: 'token_refused', message: 'the token is refused' });
  await assert.rejects(join(), (error: unknown) => {
    return hasCode(error, 'join_refused') && !error.message.includes('disk 7');
  });
  await server.transport.stop();
});

test('a node without the CA admits nobody', async () => {
  const server = await serve(await ours.credentials('node-a'));
  const token = parseToken(ours.authority.createToken({ ttlMs: 60_000 }));
  const { address } = server;
  const join = requestJoin({ address, token, name: 'node-new', csrPem: 'x', clock });
  await assert.rejects(join, code('join_refused'));
  await server.transport.stop();
});

test('a join message over its limit, or no MessagePack, ends the exchange', async () => {
  let asked = 0;
  const onJoin = async () => {
    asked++;
    throw new Error('not reached');
  };
  const server = await serve(await ours.credentials('node-a'), { onJoin });
  for (const bytes of [Buffer.from('ffffffff', 'hex'), Buffer.from('02000000c1c1', 'hex')]) {
    const socket = tls.connect({
      ...parseAddress(server.address),
      ALPNProtocols: ['flotilla-join/1'],
      rejectUnauthorized: false,
    });
    socket.on('error', () => {});
    socket.write(bytes);
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    await new Promise<void>((resolve) => socket.once('close', () => resolve()));
    assert.match(Buffer.concat(chunks).toString('latin1'), /frame_invalid/);
  }
  assert.equal(asked, 0);
  await server.transport.stop();
});
