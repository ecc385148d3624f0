// What nodes tell each other of engines: nothing that is malformed is taken, and what changes from
// check to check is not gossiped.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeaderBlock } from '../../src/http/index.ts';
import { FlotillaError } from '../../src/core/index.ts';
import { readDescriptions } from '../../src/gateway/engines/descriptions.ts';
import { stampOf } from '../../src/gateway/engines/engine-directory.ts';
import {
  dataFrame,
  endFrame,
  errorFrame,
  headFrame,
  readFrame,
} from '../../src/gateway/engines/frames.ts';

const ENGINE = {
  name: 'gpu',
  isUp: true,
  capacity: 1,
  models: { llama: 'llama', small: 'llama' },
  target: {
    origin: 'http://10.0.0.5:8000',
    apiPath: '/v1',
    headers: { authorization: 'Bearer x' },
  },
};

test('a list of engines is taken as it is, or not at all', () => {
  assert.deepEqual(readDescriptions([ENGINE], 'node-1'), [ENGINE]);
  const { target } = ENGINE;
  const broken = [
    'engines',
    [{ ...ENGINE, name: 'a/b' }],
    [{ ...ENGINE, capacity: 0 }],
    [{ ...ENGINE, capacity: Number.NaN }],
    [{ ...ENGINE, models: { '': 'llama' } }],
    [{ ...ENGINE, models: { llama: 7 } }],
    [{ ...ENGINE, target: { ...target, origin: 'ftp://10.0.0.5' } }],
    [{ ...ENGINE, target: { ...target, origin: 'http://[zz]:80' } }],
    [{ ...ENGINE, target: { ...target, origin: 'http://10.0.0.5/path' } }],
    [{ ...ENGINE, target: { ...target, apiPath: '/v1\r\nx: y' } }],
    [{ ...ENGINE, target: { ...target, headers: { 'x y': 'z' } } }],
    [{ ...ENGINE, target: { ...target, headers: { x: 'y\r\nhost: z' } } }],
    Array.from({ length: 300 }, () => ENGINE),
  ];
  for (const body of broken) {
    assert.throws(
      () => readDescriptions(body, 'node-1'),
      { code: 'request_invalid', message: /^node-1 lists engines that are malformed/ },
      JSON.stringify(body).slice(0, 200),
    );
  }
});

test('the gossiped stamp tells another list, but not why an engine is down', () => {
  assert.deepEqual(stampOf([]), []);
  const stamp = stampOf([ENGINE]);
  assert.deepEqual(stampOf(readDescriptions([{ ...ENGINE, problem: 'late' }], 'node-1')), stamp);
  assert.notDeepEqual(stampOf([{ ...ENGINE, isUp: false }]), stamp);
  assert.notDeepEqual(stampOf([{ ...ENGINE, models: { llama: 'llama' } }]), stamp);
});

test('frames of an answer come out as they went in; others are refused', () => {
  const headers = HeaderBlock.from(['content-type', 'application/json', 'x-a', 'b']);
  const head = { status: 429, headers, contentType: 'application/json', retryAfterMs: 2_000 };
  assert.deepEqual(readFrame(headFrame(head)), { type: 'head', ...head });
  const bytes = Buffer.from('data: {}\n\n');
  assert.deepEqual(readFrame(dataFrame(bytes)), { type: 'data', bytes });
  assert.deepEqual(readFrame(dataFrame(Buffer.alloc(0))), { type: 'data', bytes: Buffer.alloc(0) });
  assert.deepEqual(readFrame(endFrame()), { type: 'end' });
  const error = new FlotillaError('http_timeout', 'too late');
  const read = { type: 'error', code: 'http_timeout', message: 'too late' };
  assert.deepEqual(readFrame(errorFrame(error)), read);
  const json = (type: number, value: unknown) =>
    Buffer.concat([Buffer.of(type), Buffer.from(JSON.stringify(value))]);
  const lines = (fields: string) => json(0, { status: 200, headers: fields });
  const broken = [
    Buffer.alloc(0),
    Buffer.of(9),
    Buffer.from('\0{'),
    json(0, null),
    json(0, { status: 99, headers: '' }),
    json(0, { status: 200 }),
    lines('a: b\r\n\r\nHTTP/1.1 200 OK\r\n'),
    lines('a: b\0c\r\n'),
    lines('a: b\nc: d\r\n'),
    lines('transfer-encoding: chunked\r\n'),
    lines('a: b'),
    lines(': b\r\n'),
    lines('a\r\n'),
  ];
  for (const frame of broken) {
    assert.throws(() => readFrame(frame), { code: 'request_invalid' }, JSON.stringify(`${frame}`));
  }
});
