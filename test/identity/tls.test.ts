// Issued certificates in real TLS: both ends prove themselves against the cluster's CA.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as tls from 'node:tls';
import { test } from 'node:test';
import { systemClock } from '../../src/core/index.ts';
import { ClusterAuthority, createKeyAndCsr, verifyChain } from '../../src/identity/index.ts';
import { temporaryDirectory } from './fixtures.ts';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { Credentials } from '../../src/identity/index.ts';

async function enrol(authority: ClusterAuthority, name: string): Promise<Credentials> {
  const { csrPem, privateKeyPem } = await createKeyAndCsr(name);
  const certificatePem = await authority.issue(name, csrPem);
  return { name, certificatePem, privateKeyPem, caPem: authority.caPem };
}

const contextOf = (own: Credentials): tls.SecureContextOptions => ({
  key: own.privateKeyPem,
  cert: own.certificatePem,
  ca: own.caPem,
  minVersion: 'TLSv1.3',
});

async function serve(t: TestContext, own: Credentials): Promise<number> {
  const options = { ...contextOf(own), requestCert: true, rejectUnauthorized: true };
  const server = tls.createServer(options, (socket) => {
    socket.on('error', () => {});
    const name = verifyChain(socket.getPeerX509Certificate()!, own.caPem);
    socket.end(`hello ${name}`);
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** What the server says to a client, or the code of why it does not come to that. */
async function talk(port: number, own: Partial<Credentials>, expected: string): Promise<string> {
  const socket = tls.connect({
    host: '127.0.0.1',
    port,
    servername: expected,
    ...(own.privateKeyPem === undefined ? { ca: own.caPem } : contextOf(own as Credentials)),
  });
  try {
    let text = '';
    socket.setEncoding('utf8');
    for await (const part of socket) text += part;
    return text === '' ? 'CLOSED' : text;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  } finally {
    socket.destroy();
  }
}

test('two nodes of one cluster prove their names to each other', async (t) => {
  const authority = await ClusterAuthority.open(temporaryDirectory(t), { clock: systemClock });
  const port = await serve(t, await enrol(authority, 'node-0'));
  const own = await enrol(authority, 'node-1');
  assert.equal(await talk(port, own, 'node-0'), 'hello node-1');
});

test('another CA, another name and no certificate are refused', async (t) => {
  const authority = await ClusterAuthority.open(temporaryDirectory(t), { clock: systemClock });
  const stranger = await ClusterAuthority.open(temporaryDirectory(t), { clock: systemClock });
  const port = await serve(t, await enrol(authority, 'node-0'));
  const own = await enrol(authority, 'node-1');
  const foreign = await enrol(stranger, 'node-1');
  const caPem = authority.caPem;
  // The client does not trust the server; the server does not trust the client.
  assert.match(await talk(port, foreign, 'node-0'), /VERIFY|SIGNATURE|ISSUER|CERT/);
  assert.match(await talk(port, { ...foreign, caPem }, 'node-0'), /ALERT|ECONNRESET|CLOSED/);
  assert.match(await talk(port, { caPem }, 'node-0'), /ALERT|ECONNRESET|CLOSED/);
  assert.equal(await talk(port, own, 'node-2'), 'ERR_TLS_CERT_ALTNAME_INVALID');
});

test('an expired certificate is refused', async (t) => {
  const clock = { ...systemClock, wallTime: () => systemClock.wallTime() - 60_000 };
  const authority = await ClusterAuthority.open(temporaryDirectory(t), {
    clock,
    certificateValidityMs: 1000,
  });
  const port = await serve(t, await enrol(authority, 'node-0'));
  const client = { caPem: authority.caPem };
  assert.equal(await talk(port, client, 'node-0'), 'CERT_HAS_EXPIRED');
});
