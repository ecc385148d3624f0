// The routes about API keys: what they answer, and who may ask them.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { FlotillaError } from '../../src/core/index.ts';
import { ask, withGateway } from './fakes.ts';
import type { ApiKey } from '../../src/admission/index.ts';
import type { KeyControl } from '../../src/gateway/index.ts';

const TEXT = `flk_${'x'.repeat(43)}`;
const APP: ApiKey = { id: '0a', name: 'app', createdMs: 5, limits: { requestsPerMinute: 60 } };

function fakeKeys(): KeyControl & { readonly asked: unknown[] } {
  const asked: unknown[] = [];
  return {
    asked,
    areRequired: true,
    authenticate: () => APP,
    list: () => [APP],
    create: async (spec) => {
      asked.push(spec);
      return { key: APP, text: TEXT };
    },
    revoke: async (id) => {
      asked.push(id);
      if (id === APP.id) return { ...APP, revokedMs: 9 };
      throw new FlotillaError('api_key_unknown', `there is no API key ${id}`);
    },
  };
}

function json(body: unknown, headers: Record<string, string> = {}): RequestInit {
  const type = { 'content-type': 'application/json', ...headers };
  return { method: 'POST', headers: type, body: JSON.stringify(body) };
}

test('keys are made, listed and revoked over HTTP', async () => {
  const keys = fakeKeys();
  await withGateway({ keys }, async ({ url }) => {
    const made = await ask(`${url}/keys`, json({ name: 'app', requestsPerMinute: 60 }));
    assert.deepEqual([made.status, made.body], [201, { ...APP, key: TEXT }]);
    assert.equal(made.headers.get('cache-control'), 'no-store');
    const listed = await ask(`${url}/keys`);
    assert.deepEqual(listed.body, { required: true, keys: [APP] });
    const ended = await ask(`${url}/keys/0a`, { method: 'DELETE' });
    assert.deepEqual(ended.body, { ...APP, revokedMs: 9 });
    assert.equal((await ask(`${url}/keys/0b`, { method: 'DELETE' })).status, 404);
    assert.deepEqual(keys.asked, [{ name: 'app', requestsPerMinute: 60 }, '0a', '0b']);
    const odd = [{}, { name: 1 }, { name: 'a', rpm: 1 }, { name: 'a', concurrency: 0 }];
    for (const body of odd) {
      const { status, body: answer } = await ask(`${url}/keys`, json(body));
      assert.deepEqual([status, answer.error.code], [400, 'request_invalid'], JSON.stringify(body));
    }
    assert.equal((await ask(`${url}/keys`, { method: 'POST', body: '{"name":"a"}' })).status, 415);
  });
});

test('without keys there are no routes about them', async () => {
  await withGateway({}, async ({ url }) => {
    assert.equal((await ask(`${url}/keys`)).status, 404);
  });
});

/** As a browser or a proxy may send it; `fetch` would not. */
function send(url: string, method: string, headers: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.request(`${url}/keys`, { method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve(`${response.statusCode} ${JSON.parse(text).error?.code}`));
    });
    request.on('error', reject);
    request.end(method === 'POST' ? '{"name":"a"}' : undefined);
  });
}

test('what comes through a proxy or from a page of a browser is refused', async () => {
  const keys = fakeKeys();
  await withGateway({ keys }, async ({ url }) => {
    const type = { 'content-type': 'application/json' };
    const port = new URL(url).port;
    const foreign: Record<string, string>[] = [
      { 'x-forwarded-for': '127.0.0.1' },
      { forwarded: 'for=127.0.0.1' },
      { 'x-real-ip': '127.0.0.1' },
      { via: '1.1 proxy' },
      { origin: 'https://example.com' },
      { origin: `http://127.0.0.1:${port}` },
      { host: `rebound.example:${port}` },
      { host: '127.0.0.1.example' },
    ];
    for (const headers of foreign) {
      for (const method of ['GET', 'POST']) {
        const answer = await send(url, method, { ...type, ...headers });
        assert.equal(answer, '403 operator_required', JSON.stringify(headers));
      }
    }
    for (const host of [`localhost:${port}`, '127.0.0.1', `[::1]:${port}`]) {
      assert.equal(await send(url, 'GET', { host }), '200 undefined', host);
    }
    assert.deepEqual(keys.asked, []);
  });
});

test('the networks of operators are an option, and checked', async () => {
  const options = { operators: ['192.0.2.0/24'] };
  await withGateway({ keys: fakeKeys(), options }, async ({ url }) => {
    const { status, body } = await ask(`${url}/keys`, json({ name: 'a' }));
    assert.deepEqual([status, body.error.code], [403, 'operator_required']);
  });
  await assert.rejects(
    withGateway({ keys: fakeKeys(), options: { operators: ['here'] } }, async () => {}),
    /operators must be a list of networks/,
  );
});
