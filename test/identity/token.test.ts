// Join tokens: their life, their races, and how little a refusal says.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { FlotillaError, systemClock } from '../../src/core/index.ts';
import { ClusterAuthority, formatToken, parseToken } from '../../src/identity/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { temporaryDirectory } from './fixtures.ts';
import type { TestContext } from 'node:test';

const HOUR_MS = 60 * 60 * 1000;
const moduleUrl = (folder: string) => new URL(`../../src/${folder}/index.ts`, import.meta.url).href;
const run = promisify(execFile);

async function openAuthority(t: TestContext) {
  const clock = new SimulatedClock();
  const directory = temporaryDirectory(t);
  return { clock, directory, authority: await ClusterAuthority.open(directory, { clock }) };
}

/** The refusal of a redeem, and how long it took on the clock. */
async function refusal(clock: SimulatedClock, redeem: () => Promise<void>) {
  const startMs = clock.now();
  const errors: FlotillaError[] = [];
  const settled = redeem().catch((reason: FlotillaError) => void errors.push(reason));
  await Promise.resolve();
  clock.advance(249);
  await Promise.resolve();
  assert.equal(errors.length, 0, 'the refusal waits');
  clock.advance(1);
  await settled;
  const [error] = errors;
  assert.ok(error instanceof FlotillaError, 'the token was redeemed');
  return { code: error.code, message: error.message, tookMs: clock.now() - startMs };
}

test('a token pins the CA, works once, and its secret is not on disk', async (t) => {
  const { authority, directory } = await openAuthority(t);
  const text = authority.createToken();
  const token = parseToken(`  ${text}\n`);
  assert.equal(token.caDigest, authority.caDigest);
  assert.equal(formatToken(token), text);
  assert.equal(Buffer.from(token.secret, 'base64url').length, 16);
  const folder = path.join(directory, 'tokens', token.id);
  const file = path.join(folder, 'token.json');
  assert.equal(fs.readFileSync(file, 'utf8').includes(token.secret), false);
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  assert.equal(fs.statSync(folder).mode & 0o777, 0o700);
  await authority.redeem(token.id, token.secret);
  assert.equal(authority.listTokens()[0]?.used, 1);
});

test('wrong, unknown, used, expired and revoked are refused alike', async (t) => {
  const { authority, clock } = await openAuthority(t);
  const make = () => parseToken(authority.createToken());
  const [wrong, used, revoked, expired] = [make(), make(), make(), make()];
  await authority.redeem(used.id, used.secret);
  assert.equal(authority.revokeToken(revoked.id), true);
  assert.equal(authority.revokeToken(revoked.id), false);
  const attempts: [string, string][] = [
    [wrong.id, used.secret],
    [wrong.id, ''],
    ['0123456789abcdef', wrong.secret],
    ['../tokens', wrong.secret],
    [undefined as unknown as string, undefined as unknown as string],
    [used.id, used.secret],
    [revoked.id, revoked.secret],
  ];
  const refusals: unknown[] = [];
  for (const [id, secret] of attempts) {
    refusals.push(await refusal(clock, () => authority.redeem(id, secret)));
  }
  clock.advance(HOUR_MS);
  refusals.push(await refusal(clock, () => authority.redeem(expired.id, expired.secret)));
  for (const each of refusals) assert.deepEqual(each, refusals[0]);
  assert.deepEqual(refusals[0], {
    code: 'token_refused',
    message: 'the join token was refused: it is wrong, expired or already used',
    tookMs: 250,
  });
});

test('a token is good until the millisecond it expires', async (t) => {
  const { authority, clock } = await openAuthority(t);
  const token = parseToken(authority.createToken({ ttlMs: 1000, uses: 2 }));
  clock.advance(999);
  await authority.redeem(token.id, token.secret);
  clock.advance(1);
  const refused = await refusal(clock, () => authority.redeem(token.id, token.secret));
  assert.equal(refused.code, 'token_refused');
});

test('a use is taken by exactly one of many that race, across processes too', async (t) => {
  const directory = temporaryDirectory(t);
  const open = () => ClusterAuthority.open(directory, { clock: systemClock, refusalDelayMs: 1 });
  const [a, b] = [await open(), await open()];
  const token = parseToken(a.createToken({ uses: 3 }));
  const source = `
    import { systemClock } from '${moduleUrl('core')}';
    import { ClusterAuthority } from '${moduleUrl('identity')}';
    const [directory, id, secret] = process.argv.slice(1);
    const options = { clock: systemClock, refusalDelayMs: 1 };
    const authority = await ClusterAuthority.open(directory, options);
    const keepAlive = setInterval(() => {}, 1000);
    let won = 0;
    for (let i = 0; i < 5; i++) await authority.redeem(id, secret).then(() => won++, () => {});
    clearInterval(keepAlive);
    console.log(won);`;
  const flags = ['--input-type=module-typescript', '-e', source];
  const child = run(process.execPath, [...flags, directory, token.id, token.secret]);
  const here = Array.from({ length: 10 }, (_, i) =>
    (i % 2 === 0 ? a : b).redeem(token.id, token.secret).then(
      () => 1,
      () => 0,
    ),
  );
  const keepAlive = setInterval(() => {}, 1000);
  const won = (await Promise.all(here)).reduce<number>((sum, one) => sum + one, 0);
  clearInterval(keepAlive);
  const { stdout } = await child;
  assert.equal(won + Number(stdout), 3);
  assert.equal(a.listTokens()[0]?.used, 3);
});

test('a token made by another process is redeemed by a running one', async (t) => {
  const { authority, clock, directory } = await openAuthority(t);
  const cli = await ClusterAuthority.open(directory, { clock, create: false });
  const token = parseToken(cli.createToken({ ttlMs: 5000, uses: 2 }));
  await authority.redeem(token.id, token.secret);
  const { createdAtMs, ...info } = cli.listTokens()[0]!;
  const expected = { id: token.id, expiresAtMs: createdAtMs + 5000, uses: 2, used: 1 };
  assert.deepEqual(info, { ...expected, replace: false });
});

test('making a token sweeps the expired ones, and damaged records only refuse', async (t) => {
  const { authority, clock, directory } = await openAuthority(t);
  const old = parseToken(authority.createToken({ ttlMs: 1000 }));
  clock.advance(1000);
  const damaged = parseToken(authority.createToken());
  assert.equal(fs.existsSync(path.join(directory, 'tokens', old.id)), false);
  for (const text of ['', '{}', 'null', '{"secretHash":"00","uses":9}']) {
    fs.writeFileSync(path.join(directory, 'tokens', damaged.id, 'token.json'), text);
    const refused = await refusal(clock, () => authority.redeem(damaged.id, damaged.secret));
    assert.equal(refused.code, 'token_refused');
  }
  assert.deepEqual(authority.listTokens(), []);
});

test('token options outside their rule are named', async (t) => {
  const { authority } = await openAuthority(t);
  for (const options of [{ ttlMs: 0 }, { ttlMs: 1e12 }, { uses: 0 }, { uses: 1.5 }]) {
    assert.throws(() => authority.createToken(options), { code: 'invalid_option' });
  }
});

test('text that is no token is malformed, and is not repeated', async (t) => {
  const { authority } = await openAuthority(t);
  const good = authority.createToken();
  const bad = ['', 'flt1', `${good}x`, good.slice(1), good.slice(0, -1), good.replace('.', ' ')];
  bad.push(good.replace('flt1', 'flt2'), good.toUpperCase());
  for (const text of bad) {
    assert.throws(
      () => parseToken(text),
      (error: FlotillaError) => {
        assert.equal(error.code, 'token_malformed');
        assert.equal(error.message.includes(text.slice(5) || '?'), false);
        return true;
      },
    );
  }
});

test('no altered character of a token leaves it good (property)', async (t) => {
  const { authority, clock } = await openAuthority(t);
  const good = authority.createToken();
  const alphabet = 'abcdef0123456789AZ_-.';
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 70, max: good.length - 1 }),
      fc.constantFrom(...alphabet),
      async (at, character) => {
        fc.pre(good[at] !== character);
        const text = good.slice(0, at) + character + good.slice(at + 1);
        try {
          const token = parseToken(text);
          const refused = await refusal(clock, () => authority.redeem(token.id, token.secret));
          assert.equal(refused.code, 'token_refused');
        } catch (error) {
          assert.equal((error as FlotillaError).code, 'token_malformed');
        }
      },
    ),
    { numRuns: 60 },
  );
  const token = parseToken(good);
  await authority.redeem(token.id, token.secret);
});
