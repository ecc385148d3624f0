// Hashes against published vectors, against `vectors.json` (made by an implementation in another
// language, for further ones to check against), and against BigInt references for any text.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../src/core/index.ts';
import {
  finalise64,
  fnv1a64,
  jumpHash,
  shardOf,
  toBigInt,
  toHex,
  xxh64,
  xxh64Bytes,
} from '../../src/hash/index.ts';
import type { Hash64 } from '../../src/hash/index.ts';

interface Vectors {
  readonly fnv1a64: readonly { text: string; hash: string; finalised: string }[];
  readonly xxh64: readonly { text: string; hash: string }[];
  readonly jump: readonly { key: string; buckets: number; bucket: number }[];
  readonly shardOf: readonly { id: string; shards: number; shard: number }[];
}

const file = path.join(import.meta.dirname, 'vectors.json');
const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vectors;
const encoder = new TextEncoder();
const MASK = 2n ** 64n - 1n;

/** FNV-1a as its authors write it. */
function referenceFnv(bytes: Uint8Array): bigint {
  let hash = 14695981039346656037n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 1099511628211n) & MASK;
  return hash;
}

/** MurmurHash3's fmix64. */
function referenceFinaliser(input: bigint): bigint {
  let hash = input ^ (input >> 30n);
  hash = (hash * 0xbf58476d1ce4e5b9n) & MASK;
  hash ^= hash >> 27n;
  hash = (hash * 0x94d049bb133111ebn) & MASK;
  return hash ^ (hash >> 31n);
}

const fnv = (text: string): Hash64 => fnv1a64(text, { hi: 0, lo: 0 });
const hex = (hash: bigint): string => hash.toString(16).padStart(16, '0');

test('FNV-1a 64 gives the golden hashes', () => {
  const golden = {
    '': 'cbf29ce484222325',
    hello: 'a430d84680aabd0b',
    'node-a#0': 'a996aed3e69d0020',
    a: 'af63dc4c8601ec8c',
    foobar: '85944171f73967e8',
  };
  for (const [text, hash] of Object.entries(golden)) assert.equal(toHex(fnv(text)), hash, text);
});

test('FNV-1a 64 hashes the UTF-8 bytes of any text, lone surrogates as TextEncoder does', () => {
  const units = fc.array(
    fc.oneof(fc.nat(0x7f), fc.nat(0x7ff), fc.nat(0xffff), fc.integer({ min: 0xd800, max: 0xdfff })),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(units, (codes) => {
      const text = String.fromCharCode(...codes);
      assert.equal(toBigInt(fnv(text)), referenceFnv(encoder.encode(text)));
    }),
    { numRuns: 2000 },
  );
});

test('text that only its end makes non-ASCII hashes the same at every length', () => {
  for (const ending of ['', '\0', 'é', '東', '🦊', '\ud800', '\udc00', '\ud800a', '\udc00\ud800']) {
    for (let length = 0; length < 10; length++) {
      const text = 'x'.repeat(length) + ending;
      assert.equal(toBigInt(fnv(text)), referenceFnv(encoder.encode(text)), JSON.stringify(text));
    }
  }
});

test('the hash goes into the given object, as unsigned halves', () => {
  const out = { hi: 1, lo: 2 };
  assert.equal(fnv1a64('hello', out), out);
  assert.deepEqual(out, { hi: 0xa430d846, lo: 0x80aabd0b });
  assert.equal(finalise64(out), out);
});

test('the finaliser is that of splitmix64', () => {
  assert.equal(toHex(finalise64({ hi: 0, lo: 1 })), '5692161d100b05e5');
  fc.assert(
    fc.property(fc.bigInt(0n, MASK), (value) => {
      const h = { hi: Number(value >> 32n), lo: Number(value & 0xffffffffn) };
      assert.equal(toBigInt(finalise64(h)), referenceFinaliser(value));
    }),
    { numRuns: 1000 },
  );
});

test('xxHash64 gives the published hashes, of text and of bytes', () => {
  const golden = {
    '': 'ef46db3751d8e999',
    a: 'd24ec4f1a98c6e5b',
    abc: '44bc2cf5ad770999',
    'Nobody inspects the spammish repetition': 'fbcea83c8a378bf1',
    'Call me Ishmael. Some years ago--never mind how long precisely-': '02a2e85470d6fd96',
  };
  for (const [text, hash] of Object.entries(golden)) {
    assert.equal(hex(xxh64(text)), hash, text);
    assert.equal(hex(xxh64Bytes(encoder.encode(text))), hash, text);
  }
});

test('jump hash gives the published buckets (Lamping and Veach, 2014)', () => {
  const golden: readonly (readonly [bigint, number, number])[] = [
    [1n, 1, 0],
    [42n, 57, 43],
    [0xdead10ccn, 1, 0],
    [0xdead10ccn, 666, 361],
    [256n, 1024, 520],
    [1n, 128, 55],
    [129n, 128, 120],
    [128n, 100_000_000, 38_172_097],
    [128n, 2 ** 31, 1_644_467_860],
    [MASK, 128, 92],
  ];
  for (const [key, buckets, bucket] of golden) assert.equal(jumpHash(key, buckets), bucket);
});

test('jump hash moves keys only to the new bucket', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, MASK), fc.integer({ min: 1, max: 5000 }), (key, buckets) => {
      const [before, after] = [jumpHash(key, buckets), jumpHash(key, buckets + 1)];
      assert.ok(before < buckets && (after === before || after === buckets));
    }),
  );
});

test('jump hash refuses a number of buckets that is none', () => {
  for (const buckets of [0, -1, 1.5, Number.NaN, 2 ** 31 + 1]) {
    assert.throws(
      () => jumpHash(1n, buckets),
      (error) => hasCode(error, 'invalid_option'),
    );
  }
});

test('the vectors for other languages hold', () => {
  for (const { text, hash, finalised } of vectors.fnv1a64) {
    const h = fnv(text);
    assert.equal(toHex(h), hash, text);
    assert.equal(toHex(finalise64(h)), finalised, text);
  }
  for (const { text, hash } of vectors.xxh64) assert.equal(hex(xxh64(text)), hash, text);
  for (const { key, buckets, bucket } of vectors.jump) {
    assert.equal(jumpHash(BigInt(key), buckets), bucket, key);
  }
  for (const { id, shards, shard } of vectors.shardOf) assert.equal(shardOf(id, shards), shard, id);
});

test('ids spread evenly over 256 shards', () => {
  const counts = new Uint32Array(256);
  for (let i = 0; i < 256 * 400; i++) {
    const shard = shardOf(`entity-${i}`, 256);
    counts[shard] = (counts[shard] ?? 0) + 1;
  }
  // 400 in each, with a deviation of 20: five deviations either way.
  assert.ok(Math.min(...counts) > 300 && Math.max(...counts) < 500);
});
