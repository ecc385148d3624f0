// What a caller of the client sees: kept connections, what may be repeated, strict answers, times,
// back-pressure, TLS.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { echo, fetchBy, signal, startClient, startOrigin, startServer } from './support.ts';
import type { TestContext } from 'node:test';
import type { FlotillaError } from '../../src/core/index.ts';
import type { ClientRequest, HttpClient, RequestOptions } from '../../src/http/index.ts';

const get = (origin: string, target = '/'): RequestOptions => ({
  origin,
  method: 'GET',
  path: target,
  headers: [],
});
const post = (origin: string, body: string): RequestOptions => ({
  origin,
  method: 'POST',
  path: '/',
  headers: ['content-type', 'text/plain'],
  body: Buffer.from(body),
});

/** An origin that answers each request with `bytes` as they are. */
const answering = (t: TestContext, bytes: string, closes = false) =>
  startOrigin(t, (socket) => {
    socket.on('data', () => {
      socket.write(Buffer.from(bytes, 'latin1'));
      if (closes) socket.end();
    });
  });

test('requests one after the other share a connection, side by side they do not', async (t) => {
  const { server, origin } = await startServer(t, echo);
  const client = startClient(t);
  for (let i = 0; i < 20; i++) {
    const { status, body } = await fetchBy(client, post(origin, `body ${i}`));
    assert.deepEqual([status, body], [200, `POST / body ${i}`]);
  }
  assert.equal(server.connections, 1);
  await Promise.all(Array.from({ length: 10 }, (_, i) => fetchBy(client, get(origin, `/${i}`))));
  assert.equal(server.connections, 10);
  assert.equal(client.idleConnections, 10);
});

test('no more idle connections are kept than allowed, and not for longer', async (t) => {
  const { origin } = await startServer(t, echo);
  const client = startClient(t, { maxIdlePerOrigin: 3, idleTimeoutMs: 100 });
  await Promise.all(Array.from({ length: 10 }, () => fetchBy(client, get(origin))));
  assert.equal(client.connections, 3);
  while (client.connections > 0) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('a connection is not used up to the last moment of its keep-alive time', async (t) => {
  const bytes = 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n';
  const { origin, connections } = await answering(t, bytes);
  const client = startClient(t);
  await fetchBy(client, get(origin));
  await fetchBy(client, get(origin));
  assert.equal(connections(), 2);
});

test('a stale connection: GET is sent again, POST is not unless its caller says so', async (t) => {
  // Each connection answers once, and closes when it is asked again.
  const { origin, connections } = await startOrigin(t, (socket) => {
    let served = 0;
    socket.on('data', () => {
      if (served++ === 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      else socket.destroy();
    });
  });
  const client = startClient(t);
  await fetchBy(client, get(origin));
  assert.equal((await fetchBy(client, get(origin))).status, 200);
  assert.equal(connections(), 2);
  await assert.rejects(fetchBy(client, post(origin, 'a')), (error: FlotillaError) => {
    assert.equal(error.code, 'http_connection_lost');
    assert.equal(error.details['reused'], true);
    assert.equal(error.details['answered'], false);
    return true;
  });
  await fetchBy(client, get(origin));
  assert.equal((await fetchBy(client, { ...post(origin, 'a'), isIdempotent: true })).status, 200);
});

test('a connection that is lost once it has answered is never tried again', async (t) => {
  const { origin, connections } = await startOrigin(t, (socket) => {
    socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'));
  });
  const lost = fetchBy(startClient(t), get(origin));
  await assert.rejects(lost, (error) => hasCode(error, 'http_connection_lost'));
  assert.equal(connections(), 1);
});

test('nobody listens: nothing was sent', async (t) => {
  const { server, origin } = await startServer(t, echo);
  await server.stop(0);
  const refused = fetchBy(startClient(t), get(origin));
  await assert.rejects(refused, (error) => hasCode(error, 'http_connect_failed'));
});

const REFUSED: readonly (readonly [string, string, string])[] = [
  ['another protocol', '9112 4', 'SSH-2.0-x\r\n\r\n'],
  ['version 2.0', '9112 2.3', 'HTTP/2.0 200 OK\r\n\r\n'],
  ['status of two digits', '9112 4', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['status of four digits', '9112 4', 'HTTP/1.1 2000 OK\r\n\r\n'],
  ['status below 100', '9110 15', 'HTTP/1.1 099 No\r\n\r\n'],
  ['bare line feeds', '9112 2.2', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
  ['empty line first', '9112 2.1', '\r\nHTTP/1.1 200 OK\r\n\r\n'],
  ['folded field', '9112 5.2', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n'],
  ['space before a colon', '9112 5.1', 'HTTP/1.1 200 OK\r\nX : a\r\n\r\n'],
  [
    'length and coding',
    '9112 6.3',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
  ],
  ['differing lengths', '9112 6.3', `HTTP/1.1 200 OK\r\n${'Content-Length: 1\r\n'.repeat(2)}\r\n`],
  ['malformed length', '9110 8.6', 'HTTP/1.1 200 OK\r\nContent-Length: 1a\r\n\r\n'],
  ['coding in 1.0', '9112 6.1', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['unknown coding', '9112 6.3', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n'],
  ['bad chunk', '9112 7.1', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n'],
  ['change of protocol', '9110 15.2.2', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ['endless informational answers', '9110 15.2', 'HTTP/1.1 103 Early\r\n\r\n'.repeat(20)],
  ['head without end', '9112 5', `HTTP/1.1 200 OK\r\n${'X: a\r\n'.repeat(20_000)}`],
];

for (const [what, section, bytes] of REFUSED) {
  test(`an answer is refused: ${what} (RFC ${section})`, async (t) => {
    const { origin } = await answering(t, bytes);
    await assert.rejects(fetchBy(startClient(t), get(origin)), (error) =>
      hasCode(error, 'http_malformed', 'http_unsupported', 'http_head_too_large'),
    );
  });
}

test('an answer without length ends with its connection', async (t) => {
  const { origin } = await answering(t, 'HTTP/1.0 200 OK\r\n\r\nabc', true);
  assert.equal((await fetchBy(startClient(t), get(origin))).body, 'abc');
});

test('informational answers are passed over; HEAD, 204 and 304 have no body', async (t) => {
  const early = 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n';
  const whole = await answering(t, `${early}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab`);
  assert.equal((await fetchBy(startClient(t), get(whole.origin))).body, 'ab');
  const head = await answering(t, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n');
  const client = startClient(t);
  for (let i = 0; i < 2; i++) {
    const answer = await fetchBy(client, { ...get(head.origin), method: 'HEAD' });
    assert.equal(answer.headers['content-length'], '2');
  }
  assert.equal(head.connections(), 1);
  const none = await answering(t, 'HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n');
  assert.equal((await fetchBy(startClient(t), get(none.origin))).status, 304);
});

test('bytes after an answer close the connection: they are not the next answer', async (t) => {
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab';
  const { origin, connections } = await answering(t, answer + answer);
  const client = startClient(t);
  await fetchBy(client, get(origin));
  assert.equal(client.idleConnections, 0);
  await fetchBy(client, get(origin));
  assert.equal(connections(), 2);
});

test('a late head and a stalled body time out', async (t) => {
  const client = startClient(t, { headTimeoutMs: 100, bodyTimeoutMs: 100 });
  const silent = await startOrigin(t, () => {});
  await assert.rejects(fetchBy(client, get(silent.origin)), { code: 'http_timeout' });
  const stalled = await answering(t, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na');
  await assert.rejects(fetchBy(client, get(stalled.origin)), { code: 'http_timeout' });
  assert.equal(client.connections, 0);
});

test('an aborted request closes its connection and calls nothing any more', async (t) => {
  const closed = signal();
  const { origin } = await startOrigin(t, (socket) => {
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'));
    socket.on('close', () => closed.fire());
  });
  const client = startClient(t);
  const fail = () => assert.fail('called after abort');
  let seen = 0;
  const request: ClientRequest = client.request(get(origin), {
    onHead: () => {},
    onData: () => {
      seen++;
      request.abort();
      request.abort();
      request.resume();
      return true;
    },
    onEnd: fail,
    onError: fail,
  });
  await closed.promise;
  assert.equal(seen, 1);
  assert.equal(client.connections, 0);
});

test('a reader that wants no more holds the origin back', async (t) => {
  const size = 30 << 20;
  const { origin } = await startServer(t, (exchange) => {
    exchange.respond(200, []);
    exchange.end(Buffer.alloc(size));
  });
  let received = 0;
  let takes = false;
  const ended = signal();
  const request = startClient(t).request(get(origin), {
    onHead: () => {},
    onData: (chunk) => {
      received += chunk.length;
      return takes;
    },
    onEnd: () => ended.fire(),
    onError: (error) => assert.fail(error.message),
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(received > 0 && received < 1 << 20, `${received} bytes came`);
  takes = true;
  request.resume();
  await ended.promise;
  assert.equal(received, size);
});

test('a body may be streamed, by chunks or with a length', async (t) => {
  const { origin } = await startServer(t, echo);
  const client = startClient(t);
  for (const headers of [[], ['content-length', '4']]) {
    const answer = signal<string>();
    let body = '';
    const options = { ...post(origin, ''), headers, body: 'stream' } as const;
    const request = client.request(options, {
      onHead: () => {},
      onData: (chunk) => {
        body += chunk.toString();
        return true;
      },
      onEnd: () => answer.fire(body),
      onError: (error) => assert.fail(error.message),
    });
    request.write(Buffer.from('ab'));
    setImmediate(() => request.end(Buffer.from('cd')));
    assert.equal(await answer.promise, 'POST / abcd');
  }
  assert.equal(client.idleConnections, 1);
});

test('what a proxy passes on has no field of the connection', async (t) => {
  const { origin } = await startServer(t, (exchange) => {
    const { text } = exchange.headers.forwardable(['x-secret']);
    exchange.respond(200, []);
    exchange.end(Buffer.from(text, 'latin1'));
  });
  const { port } = new URL(origin);
  const { RawClient } = await import('./support.ts');
  const client = new RawClient(Number(port)).send(
    [
      'GET / HTTP/1.1',
      'Host: a',
      'A: 1',
      'Connection: close, X-Hop',
      'x-hop: 2',
      'Keep-Alive: timeout=5',
      'TE: trailers',
      'Upgrade: h2c',
      'Proxy-Connection: keep-alive',
      'X-Secret: 3',
      'B: 4',
      'b: 5',
      '',
      '',
    ].join('\r\n'),
  );
  assert.match(await client.closed(), /\r\n\r\nA: 1\r\nB: 4\r\nb: 5\r\n$/);
});

test('requests under way fail when the client is closed', async (t) => {
  const { origin } = await startOrigin(t, () => {});
  const client: HttpClient = startClient(t);
  const failed = assert.rejects(fetchBy(client, get(origin)), { code: 'http_client_closed' });
  client.close();
  await failed;
  assert.throws(() => client.request(get(origin), {} as never), { code: 'http_client_closed' });
});

test('what must not be sent is refused', (t) => {
  const client = startClient(t);
  const request = get('http://127.0.0.1:1');
  for (const wrong of [
    { origin: 'ftp://a' },
    { origin: 'http://a/path' },
    { origin: 'http://u@a' },
    { method: 'G T' },
    { method: '' },
    { path: 'a' },
    { path: '/a b' },
    { path: '/a\r\nX: y' },
  ]) {
    const send = () => client.request({ ...request, ...wrong }, {} as never);
    assert.throws(send, { code: 'invalid_option' }, JSON.stringify(wrong));
  }
  const headers = ['a', 'b\r\nc: d'];
  assert.throws(() => client.request({ ...request, headers }, {} as never), {
    code: 'http_header_invalid',
  });
});

test('TLS at both ends, with a certificate that the client checks', async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'flotilla-http-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = (name: string) => path.join(folder, name);
  const make = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=a';
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1'];
  const out = ['-keyout', file('key'), '-out', file('certificate')];
  execFileSync('openssl', ['req', ...make.split(' '), ...names, ...out], { stdio: 'ignore' });
  const cert = readFileSync(file('certificate'));
  const { origin } = await startServer(t, echo, { tls: { key: readFileSync(file('key')), cert } });
  const client = startClient(t, { tls: { ca: cert } });
  for (let i = 0; i < 3; i++) {
    assert.equal((await fetchBy(client, post(origin, 'abc'))).body, 'POST / abc');
  }
  assert.equal(client.connections, 1);
  const strict = fetchBy(startClient(t), get(origin));
  await assert.rejects(strict, (error) => hasCode(error, 'http_connect_failed'));
});
