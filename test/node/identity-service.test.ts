// Certificates in a running fleet, over real TLS: renewed under links that stay, ended by
// revocation.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createPrng, FlotillaError, silentLogger, systemClock } from '../../src/core/index.ts';
import { ClusterAuthority, createKeyAndCsr, loadCredentials } from '../../src/identity/index.ts';
import { saveCredentials } from '../../src/identity/index.ts';
import { IdentityService } from '../../src/node/identity-service.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { QuicTransport, TlsTransport } from '../../src/transport/index.ts';
import type { TestContext } from 'node:test';

const clock = systemClock;
const log = silentLogger;

interface Site {
  readonly host: PeerHost;
  readonly service: IdentityService;
  readonly directory: string;
  readonly address: string;
}

/** Nodes that know each other; the first holds the CA. */
async function startSites(
  t: TestContext,
  names: readonly string[],
  options: { certificateValidityMs?: number; transport?: typeof TlsTransport } = {},
) {
  const root = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const caDirectory = path.join(root, names[0] ?? '');
  const { transport: Transport = TlsTransport, ...validity } = options;
  const authority = await ClusterAuthority.open(caDirectory, { clock, ...validity });
  const start = async (name: string, index: number): Promise<Site> => {
    const directory = path.join(root, name);
    const { csrPem, privateKeyPem } = await createKeyAndCsr(name);
    const certificatePem = await authority.issue(name, csrPem, { replace: true });
    const credentials = { name, certificatePem, privateKeyPem, caPem: authority.caPem };
    saveCredentials(directory, credentials);
    const holder = index === 0 ? { authority } : {};
    const prng = createPrng(index);
    const service = new IdentityService({ credentials, ...holder, directory, clock, prng, log });
    const components = { clock, log, credentials: service.credentials };
    const host = new PeerHost({
      clock,
      log,
      transport: new Transport(components, service.transportOptions()),
    });
    service.serve(host);
    const { port } = await host.listen({ host: '127.0.0.1', port: 0 });
    t.after(async () => {
      service.stop();
      await host.stop();
    });
    host.handle('echo', ({ body }) => ({ body }));
    return { host, service, directory, address: `127.0.0.1:${port}` };
  };
  const sites: Site[] = [];
  for (const [index, name] of names.entries()) sites.push(await start(name, index));
  const members = names.map((name) => ({ name, status: 'up' }) as never);
  for (const { host, service } of sites) {
    for (const { host: other, address } of sites) {
      if (other !== host) host.learn(other.name, address);
    }
    service.start(host, {
      founder: names[0] ?? '',
      members: () => members,
      member: (name) => members[names.indexOf(name)],
    });
  }
  return { authority, sites };
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, 'never');
    await delay(20);
  }
}

const serialOf = (pem: string) => new X509Certificate(pem).serialNumber;
const echo = async (from: Site, to: Site) =>
  (await from.host.call(to.host.name, 'echo', { body: from.host.name })).body;

for (const [kind, transport] of [
  ['TLS', TlsTransport],
  ['QUIC', QuicTransport as unknown as typeof TlsTransport],
] as const) {
  test(`certificates are renewed before they end, and no link breaks: ${kind}`, async (t) => {
    const names = ['founder', 'node-1', 'node-2'];
    const { sites } = await startSites(t, names, { certificateValidityMs: 4_000, transport });
    const [founder, one, two] = sites as [Site, Site, Site];
    const first = sites.map(({ service }) => service.credentials.certificatePem);
    const ends = first.map((pem) => new X509Certificate(pem).validToDate.getTime());
    let broken = 0;
    for (const { host } of sites) host.onDisconnect(() => broken++);
    assert.equal(await echo(one, two), 'node-1');
    await until(() => clock.wallTime() > Math.max(...ends) + 500);
    for (const [index, { service, directory }] of sites.entries()) {
      const { certificatePem } = service.credentials;
      assert.notEqual(serialOf(certificatePem), serialOf(first[index]!));
      assert.equal(serialOf(loadCredentials(directory)!.certificatePem), serialOf(certificatePem));
    }
    assert.equal(broken, 0);
    assert.equal(await echo(one, two), 'node-1');
    // A link made now, between two whose first certificates have ended.
    const link = one.host.peer('founder');
    assert.ok(link !== undefined);
    const seen = founder.host.peer('node-1');
    link.destroy(new FlotillaError('peer_disconnected', 'cut by the test'));
    await until(() => founder.host.peer('node-1') !== seen);
    assert.equal(await echo(founder, one), 'founder');
    assert.equal(await echo(founder, two), 'founder');
  });
}

test('a revoked node is shut out by all, is told so, and gets nothing new', async (t) => {
  const { authority, sites } = await startSites(t, ['founder', 'node-1', 'node-2']);
  const [founder, one, two] = sites as [Site, Site, Site];
  assert.equal(await echo(one, founder), 'node-1');
  assert.equal(await echo(one, two), 'node-1');
  // As the command line does it: in the files, beside the running node.
  authority.revoke('node-1');
  await one.service.revoked;
  await until(() => founder.host.peer('node-1') === undefined);
  await until(() => two.host.peer('node-1') === undefined);
  for (const other of [founder, two]) {
    await assert.rejects(echo(one, other), { code: /certificate_revoked|peer_unreachable/ });
    await assert.rejects(echo(other, one), { code: /certificate_revoked|peer_unreachable/ });
  }
  assert.equal(await echo(two, founder), 'node-2');
});

test('who was away learns of a revocation from whomever it meets first', async (t) => {
  const { authority, sites } = await startSites(t, ['founder', 'node-1', 'node-2', 'node-3']);
  const [founder, one, two, three] = sites as [Site, Site, Site, Site];
  await echo(two, founder);
  for (const { host } of [founder, two]) host.forget('node-3');
  authority.revoke('node-1');
  await until(() => two.host.peer('founder') !== undefined);
  await assert.rejects(
    async () => {
      for (;;) await echo(one, two);
    },
    { code: /certificate_revoked|peer_disconnected|peer_unreachable/ },
  );
  await echo(three, two);
  await until(() => three.host.peer('node-2') !== undefined);
  await assert.rejects(
    async () => {
      for (;;) await echo(one, three);
    },
    { code: /certificate_revoked|peer_disconnected|peer_unreachable/ },
  );
});
