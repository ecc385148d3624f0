// The cluster CA: what it keeps on disk, what it signs and what it refuses.
import assert from 'node:assert/strict';
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  X509Certificate,
} from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import {
  caDigestOf,
  certificateFingerprint,
  ClusterAuthority,
  createKeyAndCsr,
  keyFingerprint,
  loadCredentials,
  saveCredentials,
  verifyChain,
} from '../../src/identity/index.ts';
import { x509 } from '../../src/identity/x509.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { temporaryDirectory } from './fixtures.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

function modeOf(file: string): string {
  return (fs.statSync(file).mode & 0o777).toString(8);
}

test('a CA is made once, with owner-only files, and loaded afterwards', async (t) => {
  const directory = path.join(temporaryDirectory(t), 'data', 'founder');
  const clock = new SimulatedClock();
  const first = await ClusterAuthority.open(directory, { clock });
  const second = await ClusterAuthority.open(directory, { clock });
  assert.equal(second.caPem, first.caPem);
  assert.equal(first.caDigest, caDigestOf(first.caPem));
  assert.equal(modeOf(directory), '700');
  assert.equal(modeOf(path.join(directory, 'authority.pem')), '600');
  assert.deepEqual(fs.readdirSync(directory), ['authority.pem']);
  const certificate = new X509Certificate(first.caPem);
  assert.equal(certificate.ca, true);
  assert.ok(certificate.verify(certificate.publicKey));
});

test('two that make a CA at once get the same one', async (t) => {
  const directory = temporaryDirectory(t);
  const clock = new SimulatedClock();
  const opened = await Promise.all(
    [1, 2, 3, 4].map(() => ClusterAuthority.open(directory, { clock })),
  );
  assert.equal(new Set(opened.map((authority) => authority.caDigest)).size, 1);
});

test('an absent CA is an error where none may be made', async (t) => {
  const directory = path.join(temporaryDirectory(t), 'absent');
  await assert.rejects(
    ClusterAuthority.open(directory, { clock: new SimulatedClock(), create: false }),
    { code: 'authority_missing' },
  );
  assert.equal(fs.existsSync(directory), false);
});

test('a damaged CA file is refused, and nothing of it shows in the error', async (t) => {
  const directory = temporaryDirectory(t);
  const clock = new SimulatedClock();
  await ClusterAuthority.open(directory, { clock });
  const other = path.join(directory, 'other');
  await ClusterAuthority.open(other, { clock });
  const file = path.join(directory, 'authority.pem');
  const whole = fs.readFileSync(file, 'utf8');
  const foreign = fs.readFileSync(path.join(other, 'authority.pem'), 'utf8');
  const keyOf = (text: string) => text.slice(0, text.indexOf('-----BEGIN CERT'));
  const damaged = [
    '',
    'not a key',
    whole.slice(0, 100),
    whole.slice(200),
    whole.slice(0, -80),
    keyOf(foreign) + whole.slice(keyOf(whole).length),
  ];
  for (const text of damaged) {
    fs.writeFileSync(file, text);
    await assert.rejects(ClusterAuthority.open(directory, { clock }), (error: Error) => {
      assert.equal((error as Error & { code: string }).code, 'authority_corrupt');
      assert.ok(error.message.includes(file));
      assert.equal(error.cause, undefined);
      return true;
    });
  }
});

test('a directory that cannot be written to is one clear error', async (t) => {
  const directory = temporaryDirectory(t);
  const file = path.join(directory, 'a-file');
  fs.writeFileSync(file, '');
  const sealed = path.join(directory, 'sealed');
  fs.mkdirSync(sealed, { mode: 0o500 });
  const places = [file, path.join(file, 'below'), '/proc/flotilla'];
  if (process.getuid?.() !== 0) places.push(sealed, path.join(sealed, 'below'));
  for (const place of places) {
    await assert.rejects(
      ClusterAuthority.open(place, { clock: new SimulatedClock() }),
      (error: Error & { code: string; details: { directory: string } }) => {
        assert.equal(error.code, 'directory_not_writable');
        assert.equal(error.details.directory, place);
        assert.match(error.message, /^the directory \S+ cannot be written to \([A-Z]+\)$/);
        return true;
      },
    );
  }
});

test('a certificate carries the name, both uses, a validity and the key ids', async (t) => {
  const clock = new SimulatedClock();
  const authority = await ClusterAuthority.open(temporaryDirectory(t), { clock });
  const { csrPem, privateKeyPem } = await createKeyAndCsr('node-1.rack-2');
  const pem = await authority.issue('node-1.rack-2', csrPem);
  const certificate = new X509Certificate(pem);
  assert.equal(certificate.subjectAltName, 'DNS:node-1.rack-2');
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  assert.equal(certificate.ca, false);
  assert.ok(certificate.checkPrivateKey(createPrivateKey(privateKeyPem)));
  const days = (certificate.validToDate.getTime() - clock.wallTime()) / DAY_MS;
  assert.ok(Math.abs(days - 90) < 0.001, `${days} days`);
  assert.ok(certificate.validFromDate.getTime() < clock.wallTime());
  const parsed = new x509.X509Certificate(pem);
  const ca = new x509.X509Certificate(authority.caPem);
  const subjectKey = ca.getExtension(x509.SubjectKeyIdentifierExtension);
  const authorityKey = parsed.getExtension(x509.AuthorityKeyIdentifierExtension);
  assert.equal(authorityKey?.keyId, subjectKey?.keyId);
  assert.ok(parsed.getExtension(x509.SubjectKeyIdentifierExtension));
  const constraints = ca.getExtension(x509.BasicConstraintsExtension);
  assert.deepEqual([constraints?.critical, constraints?.ca], [true, true]);
  assert.equal(verifyChain(pem, authority.caPem, clock), 'node-1.rack-2');
});

test('serial numbers differ', async (t) => {
  const authority = await ClusterAuthority.open(temporaryDirectory(t), {
    clock: new SimulatedClock(),
  });
  const { csrPem } = await createKeyAndCsr('a');
  const serials = new Set<string>();
  for (let i = 0; i < 8; i++) {
    serials.add(new X509Certificate(await authority.issue('a', csrPem)).serialNumber);
  }
  assert.equal(serials.size, 8);
});

test('names outside the rule are refused', async (t) => {
  const clock = new SimulatedClock();
  const authority = await ClusterAuthority.open(temporaryDirectory(t), { clock });
  const { csrPem } = await createKeyAndCsr('good');
  const bad = ['', 'A', 'Node', '-a', 'a-', '.a', 'a.', '..', 'a_b', 'a b', 'a/b', '../x', 'ä'];
  bad.push('a\n', 'a'.repeat(64), '10.0.0.1', '*.a', 'a,dns:b');
  for (const name of bad) {
    await assert.rejects(authority.issue(name, csrPem), { code: 'name_invalid' });
    await assert.rejects(createKeyAndCsr(name), { code: 'name_invalid' });
  }
  for (const name of ['a', '0', 'a.b-c', 'a'.repeat(63)]) {
    assert.equal(verifyChain(await authority.issue(name, csrPem), authority.caPem, clock), name);
  }
});

test('a request that was tampered with, or is for another kind of key, is refused', async (t) => {
  const authority = await ClusterAuthority.open(temporaryDirectory(t), {
    clock: new SimulatedClock(),
  });
  const { csrPem } = await createKeyAndCsr('node-1');
  const der = Buffer.from(csrPem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  const line = (edge: string) => `-----${edge} CERTIFICATE REQUEST-----\n`;
  const pemOf = (bytes: Buffer) => `${line('BEGIN')}${bytes.toString('base64')}\n${line('END')}`;
  assert.ok(await authority.issue('node-1', pemOf(der)));
  for (let at = 0; at < der.length; at += 7) {
    const tampered = Buffer.from(der);
    tampered[at] = tampered[at]! ^ 0x01;
    await assert.rejects(authority.issue('node-1', pemOf(tampered)), { code: 'csr_invalid' });
  }
  const P384 = { name: 'ECDSA', namedCurve: 'P-384' };
  const keys = await crypto.subtle.generateKey(P384, true, ['sign', 'verify']);
  const foreign = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=node-1',
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-384' },
  });
  const bad = [foreign.toString('pem'), '', 'x'.repeat(20_000), authority.caPem];
  for (const text of [...bad, undefined as unknown as string]) {
    await assert.rejects(authority.issue('node-1', text), { code: 'csr_invalid' });
  }
});

test('a name belongs to its key until a token replaces it', async (t) => {
  const clock = new SimulatedClock();
  const directory = temporaryDirectory(t);
  const authority = await ClusterAuthority.open(directory, { clock });
  const first = await createKeyAndCsr('node-1');
  const second = await createKeyAndCsr('node-1');
  await authority.issue('node-1', first.csrPem);
  await authority.issue('node-1', first.csrPem);
  await assert.rejects(authority.issue('node-1', second.csrPem), { code: 'name_taken' });
  const record = authority.issued('node-1');
  const firstKey = createPublicKey(first.privateKeyPem);
  assert.equal(record?.keyFingerprint, keyFingerprint(firstKey));
  assert.equal(record?.keyFingerprint, keyFingerprint(createPrivateKey(first.privateKeyPem)));
  const [, , id, secret] = authority.createToken().split('.');
  const reply = await authority.admit({
    id: id!,
    secret: secret!,
    name: 'node-1',
    csrPem: second.csrPem,
  });
  assert.equal(reply.caPem, authority.caPem);
  const reopened = await ClusterAuthority.open(directory, { clock });
  const expected = keyFingerprint(createPublicKey(second.privateKeyPem));
  assert.equal(reopened.issued('node-1')?.keyFingerprint, expected);
  assert.equal(reopened.issued('node-2'), undefined);
});

test('a chain is refused from another CA, before, after, and when it is no node’s', async (t) => {
  const clock = new SimulatedClock();
  const authority = await ClusterAuthority.open(temporaryDirectory(t), {
    clock,
    certificateValidityMs: DAY_MS,
  });
  const other = await ClusterAuthority.open(temporaryDirectory(t), { clock });
  const { csrPem } = await createKeyAndCsr('node-1');
  const pem = await authority.issue('node-1', csrPem);
  const refused = { code: 'certificate_untrusted' };
  assert.throws(() => verifyChain(pem, other.caPem, clock), refused);
  assert.throws(() => verifyChain(authority.caPem, authority.caPem, clock), refused);
  assert.throws(() => verifyChain('nonsense', authority.caPem, clock), refused);
  assert.throws(() => verifyChain(pem, pem, clock), refused);
  const early = { wallTime: () => clock.wallTime() - 10 * 60 * 1000 };
  assert.throws(() => verifyChain(pem, authority.caPem, early), refused);
  clock.advance(DAY_MS + 1000);
  assert.throws(() => verifyChain(pem, authority.caPem, clock), refused);
});

test('credentials are saved whole, for the owner alone, and checked when loaded', async (t) => {
  const directory = path.join(temporaryDirectory(t), 'node');
  const clock = new SimulatedClock();
  const authority = await ClusterAuthority.open(temporaryDirectory(t), { clock });
  assert.equal(loadCredentials(directory), undefined);
  const { csrPem, privateKeyPem } = await createKeyAndCsr('node-1');
  const certificatePem = await authority.issue('node-1', csrPem);
  const credentials = { name: 'node-1', certificatePem, privateKeyPem, caPem: authority.caPem };
  saveCredentials(directory, credentials);
  saveCredentials(directory, credentials);
  assert.deepEqual(loadCredentials(directory), credentials);
  const file = path.join(directory, 'credentials.json');
  assert.equal(modeOf(file), '600');
  assert.equal(modeOf(directory), '700');
  assert.deepEqual(fs.readdirSync(directory), ['credentials.json']);
  assert.equal(certificateFingerprint(certificatePem).length, 64);
  const foreignKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const wrongKey = foreignKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const broken = [
    JSON.stringify(credentials).slice(0, -20),
    JSON.stringify({ ...credentials, privateKeyPem: wrongKey }),
    JSON.stringify({ ...credentials, name: 'node-2' }),
    'null',
  ];
  for (const text of broken) {
    fs.writeFileSync(file, text);
    assert.throws(() => loadCredentials(directory), { code: 'credentials_corrupt' });
  }
  fs.writeFileSync(path.join(directory, 'file'), '');
  assert.throws(() => saveCredentials(path.join(directory, 'file', 'x'), credentials), {
    code: 'directory_not_writable',
  });
});

test('the stand-in for reflect-metadata does not stay behind', () => {
  assert.equal('getMetadata' in Reflect, false);
  assert.equal('getOwnMetadata' in Reflect, false);
});
