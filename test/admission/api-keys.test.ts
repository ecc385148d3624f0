// API keys: shown once, kept as digests, refused alike however they are wrong.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import {
  allowsModel,
  ApiKeyBook,
  checkModel,
  createApiKey,
  decodeApiKeyRecord,
  encodeApiKeyRecord,
} from '../../src/admission/index.ts';
import { hasCode } from '../../src/core/index.ts';
import type { ApiKeySpec } from '../../src/admission/index.ts';

function bookWith(...specs: ApiKeySpec[]) {
  const book = new ApiKeyBook();
  const made = specs.map((spec, index) => createApiKey(spec, 1_000 + index));
  for (const { record } of made) book.put(record.id, record);
  return {
    book,
    made,
    texts: made.map(({ text }) => text),
    ids: made.map(({ record }) => record.id),
  };
}

test('a key is recognised by its text, of which the record keeps only the SHA-256', () => {
  const { book, made, texts, ids } = bookWith({ name: 'app' }, { name: 'batch', concurrency: 2 });
  assert.equal(book.authenticate(`Bearer ${texts[0]}`)?.id, ids[0]);
  assert.deepEqual(book.authenticate(`bearer  ${texts[1]}`), {
    id: ids[1],
    name: 'batch',
    createdMs: 1_001,
    limits: { concurrency: 2 },
  });
  for (const { text, record } of made) {
    assert.match(text, /^flk_[\w-]{43}$/);
    const kept = Buffer.from(encodeApiKeyRecord(record)).toString();
    assert.ok(!kept.includes(text.slice(4)));
    assert.ok(kept.includes(createHash('sha256').update(text).digest('hex')));
  }
  assert.notEqual(texts[0], texts[1]);
});

test('missing, wrong, changed and revoked keys are refused with one code and status 401', () => {
  const { book, made, texts, ids } = bookWith({ name: 'app' }, { name: 'old' });
  book.put(ids[1]!, { ...made[1]!.record, revokedMs: 2_000 });
  const changed = `${texts[0]!.slice(0, -1)}${texts[0]!.endsWith('A') ? 'B' : 'A'}`;
  const wrong = [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `Basic ${texts[0]}`,
    texts[0],
    `Bearer ${changed}`,
    `Bearer ${texts[0]} x`,
    `Bearer ${texts[1]}`,
    `Bearer flk_${'A'.repeat(43)}`,
    'Bearer sk-other',
    `Bearer ${'x'.repeat(100_000)}`,
  ];
  for (const header of wrong) {
    assert.throws(
      () => book.authenticate(header),
      (error) => hasCode(error, 'api_key_refused') && error.details['status'] === 401,
      header,
    );
  }
  // The last character has bits that carry nothing; still no second text opens the same door.
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const opening = [...alphabet].filter((last) => book.verify(texts[0]!.slice(0, -1) + last));
  assert.deepEqual(opening, [texts[0]!.at(-1)]);
});

test('a fleet that never made a key asks for none; when the last is revoked nobody gets in', () => {
  const book = new ApiKeyBook();
  assert.equal(book.authenticate(undefined), undefined);
  assert.equal(book.authenticate('Bearer unused'), undefined);
  const { record, text } = createApiKey({ name: 'app' }, 0);
  book.put(record.id, record);
  assert.throws(() => book.authenticate(undefined), /an API key is needed/);
  book.put(record.id, { ...record, revokedMs: 1 });
  assert.equal(book.size, 1);
  assert.throws(() => book.authenticate(`Bearer ${text}`), /was revoked/);
  // Nor does a record that cannot be read.
  book.clear();
  book.put('damaged', undefined);
  assert.throws(() => book.authenticate(undefined), /an API key is needed/);
  assert.deepEqual(book.list(), []);
});

test('a key for some models is for no other', () => {
  const { book, texts } = bookWith({ name: 'app', models: ['llama', 'qwen', 'llama'] });
  const key = book.verify(texts[0]!);
  assert.deepEqual(key?.models, ['llama', 'qwen']);
  checkModel(key, 'llama');
  checkModel(undefined, 'anything');
  assert.equal(allowsModel(key, 'gpt'), false);
  assert.throws(
    () => checkModel(key, 'llama '),
    (error) => hasCode(error, 'model_refused') && error.details['status'] === 403,
  );
});

test('keys are listed by age, and a key that is removed is refused', () => {
  const { book, texts, ids } = bookWith({ name: 'b' }, { name: 'a' }, { name: 'a' });
  assert.deepEqual(
    book.list().map(({ id }) => id),
    ids,
  );
  book.remove(ids[0]!);
  book.remove('nobody');
  assert.equal(book.verify(texts[0]!), undefined);
  assert.equal(book.get(ids[1]!)?.name, 'a');
  book.clear();
  assert.deepEqual([book.size, book.verify(texts[1]!)], [0, undefined]);
});

test('records survive the store; what is none is no key', () => {
  const spec = {
    name: 'app',
    models: ['m'],
    requestsPerMinute: 60,
    tokensPerMinute: 9,
    concurrency: 1,
  };
  const { record } = createApiKey(spec, 5);
  assert.deepEqual(decodeApiKeyRecord(encodeApiKeyRecord(record)), record);
  const odd = [
    '',
    '{',
    'null',
    '[]',
    JSON.stringify({ ...record, version: 2 }),
    JSON.stringify({ ...record, digest: 'abc' }),
    JSON.stringify({ ...record, concurrency: 0 }),
    JSON.stringify({ ...record, revokedMs: 'yes' }),
  ];
  for (const text of odd) assert.equal(decodeApiKeyRecord(Buffer.from(text)), undefined, text);
  assert.equal(decodeApiKeyRecord(Uint8Array.of(0xff, 0xfe)), undefined);
});

test('a spec outside its rules is refused by name', () => {
  const cases: [string, ApiKeySpec][] = [
    ['name', { name: '' }],
    ['name', { name: ' ' }],
    ['name', { name: 'a\nb' }],
    ['name', { name: 'x'.repeat(65) }],
    ['models', { name: 'a', models: [] }],
    ['models', { name: 'a', models: [''] }],
    [
      'models',
      { name: 'a', models: Array.from({ length: 99 }, (_, i) => `${i}-${'m'.repeat(60)}`) },
    ],
    ['requestsPerMinute', { name: 'a', requestsPerMinute: 0 }],
    ['tokensPerMinute', { name: 'a', tokensPerMinute: 1.5 }],
    ['concurrency', { name: 'a', concurrency: Number.POSITIVE_INFINITY }],
  ];
  for (const [option, spec] of cases) {
    assert.throws(
      () => createApiKey(spec, 0),
      (error) => hasCode(error, 'invalid_option') && error.details['option'] === option,
      JSON.stringify(spec),
    );
  }
});
