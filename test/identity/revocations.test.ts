// Revoked keys: what the CA notes and signs, what a node believes, and which names a token may
// take.
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import {
  ClusterAuthority,
  createCsr,
  createKeyAndCsr,
  keyFingerprint,
  LiveCredentials,
  parseToken,
  Revocations,
  saveCredentials,
  validityOf,
} from '../../src/identity/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { temporaryDirectory } from './fixtures.ts';
import type { TestContext } from 'node:test';

const DAY_MS = 24 * 60 * 60 * 1000;

async function setUp(t: TestContext) {
  const directory = temporaryDirectory(t);
  const clock = new SimulatedClock();
  const authority = await ClusterAuthority.open(directory, { clock });
  const enrol = async (name: string) => {
    const { csrPem, privateKeyPem } = await createKeyAndCsr(name);
    const certificatePem = await authority.issue(name, csrPem, { replace: true });
    const fingerprint = keyFingerprint(createPrivateKey(privateKeyPem));
    const credentials = { name, certificatePem, privateKeyPem, caPem: authority.caPem };
    return { credentials, csrPem, remote: { name, fingerprint } };
  };
  const nodeDirectory = path.join(directory, 'node');
  fs.mkdirSync(nodeDirectory);
  const atNode = () => new Revocations({ directory: nodeDirectory, caPem: authority.caPem, clock });
  return { directory, clock, authority, enrol, nodeDirectory, atNode };
}

test('a revoked key is refused by all that have the list, also after a restart', async (t) => {
  const { authority, enrol, atNode } = await setUp(t);
  const one = await enrol('node-1');
  const two = await enrol('node-2');
  const node = atNode();
  node.check(one.remote);
  assert.equal(authority.revoke('node-1'), true);
  assert.equal(authority.revoke('node-1'), false);
  assert.equal(authority.refreshRevocations(), true);
  assert.equal(authority.refreshRevocations(), false);
  assert.equal(node.accept(authority.revocations.signed), true);
  assert.equal(node.accept(authority.revocations.signed), false);
  for (const list of [node, atNode(), authority.revocations]) {
    assert.throws(() => list.check(one.remote), { code: 'certificate_revoked', message: /node-1/ });
    list.check(two.remote);
  }
  await assert.rejects(authority.issue('node-1', one.csrPem), { code: 'certificate_revoked' });
  await assert.rejects(authority.issue('node-1', one.csrPem, { replace: true }), {
    code: 'certificate_revoked',
  });
});

test('a list is believed only from the CA, whole, and when it is newer', async (t) => {
  const { authority, enrol, atNode, nodeDirectory } = await setUp(t);
  const one = await enrol('node-1');
  authority.revoke('node-1');
  authority.refreshRevocations();
  const first = authority.revocations.signed!;
  await enrol('node-2');
  authority.revoke('node-2');
  authority.refreshRevocations();
  const node = atNode();
  const stranger = (await setUp(t)).authority;
  const { csrPem } = await createKeyAndCsr('node-9');
  await stranger.issue('node-9', csrPem);
  stranger.revoke('node-9');
  stranger.refreshRevocations();
  const wrong = [
    undefined,
    {},
    { ...first, text: first.text.replace('node-1', 'node-2') },
    { ...first, signature: 'AAAA' },
    stranger.revocations.signed,
  ];
  for (const each of wrong) {
    assert.throws(() => node.accept(each), { code: 'revocations_invalid' });
  }
  assert.equal(node.number, 0);
  assert.equal(node.accept(authority.revocations.signed), true);
  assert.equal(node.accept(first), false, 'an older list does not take a revocation back');
  assert.equal(node.keys.length, 2);
  fs.writeFileSync(path.join(nodeDirectory, 'revocations.json'), '{"text":');
  const damaged = atNode();
  assert.equal(damaged.number, 0);
  assert.equal(damaged.accept(authority.revocations.signed), true);
  assert.throws(() => damaged.check(one.remote), { code: 'certificate_revoked' });
});

test('what another process revokes reaches the list; expired keys leave it', async (t) => {
  const { authority, enrol, clock, directory } = await setUp(t);
  const one = await enrol('node-1');
  const commandLine = await ClusterAuthority.open(directory, { clock, create: false });
  commandLine.revoke('node-1');
  let changes = 0;
  authority.revocations.onChange(() => changes++);
  assert.equal(authority.refreshRevocations(), true);
  assert.equal(changes, 1);
  clock.advance(90 * DAY_MS + 1);
  assert.equal(authority.revocations.has(one.remote.fingerprint), false);
  await enrol('node-2');
  commandLine.revoke('node-2');
  assert.equal(authority.refreshRevocations(), true);
  assert.deepEqual(
    authority.revocations.keys.map(({ name }) => name),
    ['node-2'],
  );
});

test('the CA revokes neither its holder nor a name that it does not know', async (t) => {
  const { authority, enrol, directory } = await setUp(t);
  const { credentials } = await enrol('founder');
  saveCredentials(directory, credentials);
  assert.throws(() => authority.revoke('founder'), { code: 'revocation_refused' });
  assert.throws(() => authority.revoke('nobody'), { code: 'name_unknown' });
});

test('a token takes no live member’s name unless made to, and never the holder’s', async (t) => {
  const { authority, enrol, directory } = await setUp(t);
  saveCredentials(directory, (await enrol('founder')).credentials);
  const before = await enrol('node-1');
  const lives = (name: string) => name === 'node-1' || name === 'founder';
  const request = async (name: string, token: string) => {
    const { id, secret } = parseToken(token);
    return { id, secret, name, csrPem: (await createKeyAndCsr(name)).csrPem };
  };
  const plain = authority.createToken();
  const replacing = authority.createToken({ replace: true });
  const taken = { code: 'name_taken' };
  await assert.rejects(authority.admit(await request('node-1', plain), lives), taken);
  await assert.rejects(authority.admit(await request('founder', plain), lives), taken);
  await assert.rejects(authority.admit(await request('founder', replacing)), taken);
  // A refusal uses nothing up, so that the token still serves another name.
  await authority.admit(await request('node-2', plain), lives);
  assert.equal(authority.revocations.number, 0);
  await authority.admit(await request('node-1', replacing), lives);
  assert.throws(() => authority.revocations.check(before.remote), { code: 'certificate_revoked' });
});

test('a renewal keeps the key and moves the end of the certificate', async (t) => {
  const { authority, enrol, clock } = await setUp(t);
  const { credentials } = await enrol('node-1');
  const live = new LiveCredentials(credentials);
  let replaced = 0;
  const stop = live.onReplaced(() => replaced++);
  const first = validityOf(live.certificatePem);
  assert.equal(first.notAfterMs - first.issuedAtMs, 90 * DAY_MS);
  clock.advance(60 * DAY_MS);
  const csrPem = await createCsr('node-1', live.privateKeyPem);
  const certificatePem = await authority.issue('node-1', csrPem);
  live.replace({ ...credentials, certificatePem });
  assert.equal(validityOf(live.certificatePem).notAfterMs, first.notAfterMs + 60 * DAY_MS);
  assert.equal(replaced, 1);
  stop();
  live.replace(credentials);
  assert.equal(replaced, 1);
  // Another key under the name is no renewal.
  const other = await createKeyAndCsr('node-1');
  await assert.rejects(authority.issue('node-1', other.csrPem), { code: 'name_taken' });
});
