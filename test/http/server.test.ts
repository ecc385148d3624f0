// What a client of the server sees: order, limits, times, and what becomes of slow and vanished
// clients.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { RawClient, echo, exchangeBytes, signal, startServer, statusOf } from './support.ts';
import type { Exchange } from '../../src/http/index.ts';

const get = (target: string, fields = '') => `GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
const count = (text: string, part: string) => text.split(part).length - 1;

test('pipelined requests are answered one after the other, in order', async (t) => {
  const open: Exchange[] = [];
  const { port } = await startServer(t, (exchange) => {
    open.push(exchange);
    if (exchange.target === '/last') {
      exchange.respond(200, []);
      exchange.end(Buffer.from('end'));
    } else {
      setTimeout(() => {
        assert.equal(open.at(-1), exchange, 'none begins before the last one was answered');
        exchange.respond(200, []);
        exchange.end(Buffer.from(exchange.target));
      }, 1);
    }
  });
  const targets = Array.from({ length: 50 }, (_, i) => `/${i}`);
  const client = new RawClient(port).send([...targets, '/last'].map((to) => get(to)).join(''));
  const text = await client.until((answer) => answer.endsWith('end'));
  const bodies = [...text.matchAll(/\r\n\r\n(\/\d+)/g)].map(([, body]) => body);
  assert.deepEqual(bodies, targets);
});

test('requests that pile up behind an unanswered one are read up to a limit', async (t) => {
  const { port } = await startServer(t, () => {});
  const client = new RawClient(port);
  const block = Buffer.from(get('/').repeat(10_000));
  let written = 0;
  // Writes on until the socket takes no more for a while; the system's buffers may take much.
  for (let stuck = 0; stuck < 20 && written < 256 << 20; ) {
    client.socket.write(block);
    written += block.length;
    const before = client.socket.writableLength;
    await new Promise((resolve) => setTimeout(resolve, 10));
    const { writableLength } = client.socket;
    stuck = writableLength > 0 && writableLength === before ? stuck + 1 : 0;
  }
  assert.ok(client.socket.writableLength > 1 << 20, `${written} bytes were taken`);
  client.socket.destroy();
});

test('answers that the client does not read stop the next requests', async (t) => {
  let served = 0;
  const { port } = await startServer(t, (exchange) => {
    served++;
    exchange.respond(200, []);
    exchange.end(Buffer.alloc(1 << 20, 'a'));
  });
  const client = new RawClient(port);
  client.socket.pause();
  client.send(get('/').repeat(60));
  let before = -1;
  while (served !== before) {
    before = served;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(served < 30, `${served} answers are in memory`);
  client.socket.resume();
  await client.until((text) => text.length > 60 << 20);
  assert.equal(served, 60);
});

test('an answer is framed by its length, by chunks, or by the end of the connection', async (t) => {
  const { port } = await startServer(t, (exchange) => {
    exchange.respond(exchange.target === '/204' ? 204 : 200, ['X-A', 'b']);
    if (exchange.target !== '/204') exchange.write(Buffer.from('ab'));
    exchange.end();
  });
  const answer = await exchangeBytes(port, get('/', 'Connection: close\r\n'));
  assert.match(
    answer,
    /^HTTP\/1\.1 200 OK\r\nX-A: b\r\ndate: .* GMT\r\ntransfer-encoding: chunked/,
  );
  assert.ok(answer.endsWith('connection: close\r\n\r\n2\r\nab\r\n0\r\n\r\n'), answer);
  const old = await exchangeBytes(port, 'GET / HTTP/1.0\r\n\r\n');
  assert.ok(old.endsWith('connection: close\r\n\r\nab') && !old.includes('chunked'), old);
  const head = await exchangeBytes(port, 'HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.ok(head.endsWith('\r\n\r\n') && !head.includes('ab'), head);
  const none = await exchangeBytes(port, get('/204', 'Connection: close\r\n'));
  assert.doesNotMatch(none, /content-length|transfer-encoding/);
});

test('a client that waits for 100 Continue gets it when its body is wanted', async (t) => {
  const { port } = await startServer(t, (exchange) => {
    if (exchange.target === '/no') exchange.fail(403, 'no');
    else echo(exchange);
  });
  const expecting = (target: string) =>
    `POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n`;
  const client = new RawClient(port).send(expecting('/yes'));
  assert.equal(await client.until((text) => text.length > 0), 'HTTP/1.1 100 Continue\r\n\r\n');
  client.send('abc');
  assert.match(await client.until((text) => text.endsWith('abc')), /200 OK/);
  const refused = await exchangeBytes(port, expecting('/no'));
  assert.match(refused, /^HTTP\/1\.1 403 .*\r\nconnection: close\r\n\r\nno$/s);
});

test('a body above its limit is refused before it is read, or as soon as it shows', async (t) => {
  const { port } = await startServer(t, (exchange) => {
    exchange.body(10).then(
      () => assert.fail('it is too large'),
      (error: unknown) => {
        assert.ok(hasCode(error, 'http_body_too_large'));
        exchange.fail(413, error.message);
      },
    );
  });
  const head = 'POST / HTTP/1.1\r\nHost: a\r\n';
  const declared = await exchangeBytes(port, `${head}Content-Length: 1000000000\r\n\r\n`);
  assert.equal(statusOf(declared), 413);
  const chunks = `Transfer-Encoding: chunked\r\n\r\n${'4\r\nabcd\r\n'.repeat(100_000)}`;
  assert.equal(statusOf(await exchangeBytes(port, head + chunks)), 413);
});

test('a small body that nobody wanted is skipped, and the connection goes on', async (t) => {
  const { port } = await startServer(t, (exchange) => exchange.fail(404, exchange.target));
  const post = (target: string, body: string) =>
    `POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const client = new RawClient(port).send(post('/1', 'x'.repeat(60_000)) + post('/2', 'y'));
  const text = await client.until((answer) => answer.endsWith('/2'));
  assert.equal(count(text, 'HTTP/1.1 404'), 2);
  assert.doesNotMatch(text, /connection: close/);
  const large = await exchangeBytes(port, post('/3', 'x'.repeat(1_000_000)));
  assert.match(large, /connection: close\r\n\r\n\/3$/);
});

test('a handler that comes late still gets the whole body', async (t) => {
  const { port } = await startServer(t, (exchange) => setTimeout(() => echo(exchange), 50));
  const body = 'abcdefgh'.repeat(50_000);
  const client = new RawClient(port).send(
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const text = await client.until((answer) => answer.length > body.length + 100);
  assert.ok(text.endsWith(` / ${body}`));
});

test('a slow head gets 408, idle connections close, slow bodies are told', async (t) => {
  const { port } = await startServer(t, echo, {
    headTimeoutMs: 200,
    idleTimeoutMs: 100,
    bodyTimeoutMs: 100,
  });
  const loris = new RawClient(port).send('GET / HTTP/1.1\r\nHost: a\r\n');
  const drip = setInterval(() => loris.send('X: a\r\n'), 20);
  const text = await loris.closed();
  clearInterval(drip);
  assert.equal(statusOf(text), 408);
  assert.equal(await new RawClient(port).closed(), '', 'an idle connection gets no answer');
  const body = new RawClient(port).send(
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc',
  );
  assert.match(await body.closed(), /^HTTP\/1\.1 408 .*http_timeout$/s);
});

test('a vanished client is noticed at once: abort is called, and only once', async (t) => {
  for (const how of ['end', 'reset'] as const) {
    const began = signal<Exchange>();
    const { port } = await startServer(t, (exchange) => began.fire(exchange));
    const client = new RawClient(port).send(get('/'));
    const exchange = await began.promise;
    const aborted = signal<number>();
    let calls = 0;
    exchange.onAbort((reason) => {
      assert.equal(reason.code, 'http_client_gone');
      aborted.fire(++calls);
    });
    exchange.respond(200, []);
    exchange.write(Buffer.from('begin'));
    await client.until((text) => text.includes('begin'));
    if (how === 'end') client.socket.end();
    else client.socket.resetAndDestroy();
    assert.equal(await aborted.promise, 1);
    assert.equal(exchange.write(Buffer.from('more')), true, 'writing is harmless');
    exchange.end();
    exchange.fail(500);
    assert.equal(calls, 1);
    let late = 0;
    exchange.onAbort(() => late++);
    assert.equal(late, 1, 'whoever asks late is told at once');
  }
});

test('a slow reader holds the writer back; memory does not grow', async (t) => {
  const began = signal<Exchange>();
  const { port } = await startServer(t, (exchange) => began.fire(exchange));
  const client = new RawClient(port);
  client.socket.pause();
  client.send(get('/', 'Connection: close\r\n'));
  const exchange = await began.promise;
  exchange.respond(200, []);
  const chunk = Buffer.alloc(10_000, 'x');
  let written = 0;
  const total = 3000;
  let pauses = 0;
  const fill = () => {
    while (written < total) {
      written++;
      if (exchange.write(chunk)) continue;
      pauses++;
      return;
    }
    exchange.end();
  };
  exchange.onDrain(fill);
  fill();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(written < total / 2, `${written} chunks were taken without a reader`);
  client.socket.resume();
  const text = await client.closed();
  assert.ok(pauses > 0);
  assert.ok(text.endsWith('0\r\n\r\n'));
  assert.equal(count(text, 'x'), total * chunk.length);
});

test('a client that stops reading is cut after the time for bodies', async (t) => {
  const aborted = signal<string>();
  const { port } = await startServer(
    t,
    (exchange) => {
      exchange.onAbort((reason) => aborted.fire(reason.code));
      exchange.respond(200, []);
      exchange.write(Buffer.alloc(50 << 20));
    },
    { bodyTimeoutMs: 200 },
  );
  const client = new RawClient(port);
  client.socket.pause();
  client.send(get('/'));
  assert.equal(await aborted.promise, 'http_timeout');
});

test('a reader of a body holds the client back', async (t) => {
  const began = signal<Exchange>();
  const { port } = await startServer(t, (exchange) => began.fire(exchange));
  const size = 30 << 20;
  const client = new RawClient(port);
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
  client.socket.write(Buffer.alloc(size));
  const exchange = await began.promise;
  let received = 0;
  let takes = false;
  const ended = signal<unknown>();
  exchange.onBody((chunk) => {
    received += chunk.length;
    return takes;
  }, ended.fire);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(received < 1 << 20, `${received} bytes came though the reader wanted none`);
  takes = true;
  exchange.resumeBody();
  assert.equal(await ended.promise, undefined);
  assert.equal(received, size);
  exchange.respond(200, []);
  exchange.end();
  assert.equal(statusOf(await client.until((text) => text.includes('\r\n\r\n'))), 200);
});

test('failing after the head cuts the connection: no part passes for the whole', async (t) => {
  const { port } = await startServer(t, (exchange) => {
    exchange.respond(200, []);
    exchange.write(Buffer.from('part'));
    exchange.fail(500, 'unseen');
  });
  const answer = await exchangeBytes(port, get('/'));
  assert.ok(answer.endsWith('\r\n4\r\npart\r\n'), answer);
});

test('a handler that throws is answered for with 500', async (t) => {
  const { port } = await startServer(t, () => {
    throw new Error('bug');
  });
  assert.equal(statusOf(await exchangeBytes(port, get('/', 'Connection: close\r\n'))), 500);
});

test('fields that would break the framing are not sent', async (t) => {
  const { port } = await startServer(t, (exchange) => {
    for (const [name, value] of [
      ['X-A', 'a\r\nX-B: b'],
      ['X A', 'a'],
      ['Transfer-Encoding', 'chunked'],
      ['Connection', 'x'],
      ['Content-Length', '1, 2'],
    ] as const) {
      assert.throws(
        () => exchange.respond(200, [name, value]),
        (error) => hasCode(error, 'http_header_invalid'),
      );
    }
    exchange.fail(200, 'fine');
  });
  assert.match(await exchangeBytes(port, get('/', 'Connection: close\r\n')), /fine$/);
});

test('a stopping server lets answers finish, says so, and refuses new connections', async (t) => {
  const began = signal<Exchange>();
  const { server, port } = await startServer(t, (exchange) => began.fire(exchange));
  const idle = new RawClient(port);
  const busy = new RawClient(port).send(get('/'));
  const exchange = await began.promise;
  const stopped = server.stop(60_000);
  await idle.closed();
  exchange.respond(200, []);
  exchange.end(Buffer.from('done'));
  assert.match(await busy.closed(), /connection: close\r\n\r\ndone$/);
  await stopped;
  const late = net.connect(port, '127.0.0.1');
  await new Promise((resolve) => late.once('error', resolve));
});

test('a stopping server cuts what is not done in time', async (t) => {
  const began = signal<Exchange>();
  const { server, port } = await startServer(t, (exchange) => began.fire(exchange));
  const client = new RawClient(port).send(get('/'));
  const exchange = await began.promise;
  const aborted = signal<string>();
  exchange.onAbort((reason) => aborted.fire(reason.code));
  await server.stop(20);
  assert.equal(await aborted.promise, 'http_server_stopped');
  assert.equal(await client.closed(), '');
  assert.equal(server.connections, 0);
});

test('requests that are not taken go with their connection to a server of node:http', async (t) => {
  const other = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => response.end(`other ${request.url} ${Buffer.concat(chunks)}`));
  });
  const { server, port } = await startServer(t, echo, {
    takes: (_, target) => target.startsWith('/v1/'),
    handOver: (socket) => void other.emit('connection', socket),
  });
  const body = 'b'.repeat(100_000);
  const fields = `Host: a\r\nContent-Length: ${body.length}`;
  const request = `POST /admin HTTP/1.1\r\n${fields}\r\n\r\n${body}`;
  const client = new RawClient(port).send(get('/v1/a') + request);
  const text = await client.until((answer) => answer.includes(`other /admin ${body}`));
  assert.ok(text.includes('GET /v1/a '), 'the first request is answered here');
  assert.equal(server.connections, 0);
  client.send(get('/admin/2'));
  await client.until((answer) => answer.includes('other /admin/2'));
  const slow = new RawClient(port);
  for (const byte of get('/admin/3', 'Connection: close\r\n')) {
    slow.send(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.match(await slow.closed(), /other \/admin\/3/);
  client.socket.destroy();
});

test('options are checked', async (t) => {
  for (const options of [
    { maxHeadBytes: 0 },
    { idleTimeoutMs: Number.NaN },
    { takes: () => true },
  ]) {
    await assert.rejects(startServer(t, echo, options), (error) =>
      hasCode(error, 'invalid_option'),
    );
  }
  const { port } = await startServer(t, echo);
  const { HttpServer } = await import('../../src/http/index.ts');
  const { silentLogger, systemClock } = await import('../../src/core/index.ts');
  const second = new HttpServer({ clock: systemClock, log: silentLogger }, {}, echo);
  const listening = second.listen({ host: '127.0.0.1', port });
  await assert.rejects(listening, (error) => hasCode(error, 'http_listen_failed'));
});
