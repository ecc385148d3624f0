// Which routes pages of other sites may ask.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answering, chat, withEngines } from './engine-site.ts';
import { ask } from './fakes.ts';

const ALLOWED = 'https://chat.example.org';
const FIELD = 'access-control-allow-origin';

test('a page of an allowed origin lists the models, and nothing else of the node', async () => {
  const options = { corsOrigins: [ALLOWED] };
  await withEngines({ engines: [answering('one')], options }, async ({ url }) => {
    const request = (path: string, origin: string, method = 'GET') =>
      fetch(url + path, {
        method,
        headers: { origin, 'access-control-request-headers': 'authorization' },
      });
    for (const path of ['/v1/models', '/v1/models/m']) {
      const before = await request(path, ALLOWED, 'OPTIONS');
      assert.equal(before.status, 204);
      assert.equal(before.headers.get(FIELD), ALLOWED);
      assert.equal(before.headers.get('access-control-allow-headers'), 'authorization');
      const answer = await request(path, ALLOWED);
      assert.deepEqual([answer.status, answer.headers.get(FIELD)], [200, ALLOWED]);
      assert.equal((await request(path, 'https://evil.example.org')).headers.get(FIELD), null);
    }
    for (const path of ['/cluster', '/engines', '/v1/train', '/v1/modelsx']) {
      for (const method of ['GET', 'OPTIONS']) {
        assert.equal((await request(path, ALLOWED, method)).headers.get(FIELD), null, path);
      }
    }
  });
});

test('pages of allowed origins get CORS fields, others none', async () => {
  const options = { corsOrigins: ['https://chat.example.org'] };
  await withEngines({ engines: [answering('one')], options }, async ({ url }) => {
    for (const [origin, allowed] of [
      ['https://chat.example.org', 'https://chat.example.org'],
      ['https://evil.example.org', null],
    ] as const) {
      const before = await fetch(`${url}/v1/chat/completions`, {
        method: 'OPTIONS',
        headers: { origin },
      });
      assert.equal(before.headers.get('access-control-allow-origin'), allowed);
      const init = { method: 'POST', body: JSON.stringify(chat('Hello')), headers: { origin } };
      const { headers } = await ask(`${url}/v1/chat/completions`, init);
      assert.equal(headers.get('access-control-allow-origin'), allowed);
    }
  });
});
