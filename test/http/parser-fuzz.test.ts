// Mutated messages: nothing but a `FlotillaError` is ever thrown, and how bytes are cut into
// packets changes nothing. The seed is in the name of each test.
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { FlotillaError, createPrng, silentLogger } from '../../src/core/index.ts';
import { BodyDecoder } from '../../src/http/body-decoder.ts';
import { HeadReader } from '../../src/http/head-reader.ts';
import { Slab } from '../../src/http/output.ts';
import { parseRequestHead, parseResponseHead } from '../../src/http/parse-head.ts';
import { ServerConnection } from '../../src/http/server-connection.ts';
import { echo } from './support.ts';
import type { Socket } from 'node:net';
import type { Prng } from '../../src/core/index.ts';
import type { ConnectionHost } from '../../src/http/server-connection.ts';

const SEED = 20;
const MAX_HEAD_BYTES = 400;
const MAX_FIELDS = 8;

const REQUESTS = [
  'GET /a?b HTTP/1.1\r\nHost: a.b:80\r\nAccept: */*\r\n\r\n',
  'POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' +
    '3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nt: u\r\n\r\n',
  'PUT / HTTP/1.0\r\nConnection: close, x\r\nContent-Length: 0\r\n\r\n',
  '\r\nOPTIONS * HTTP/1.1\r\nHost:\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n',
];
const ANSWERS = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: timeout=5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\nDate: x\r\n\r\n',
  'HTTP/1.0 500 Oh no\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
];
const PIECES = ['\r\n', '\n', '\r', ' ', ':', '\0', '0', 'f', ';', 'Content-Length: 1\r\n', '\x7f'];
const FIELD = 'Transfer-Encoding: chunked\r\n';

function mutate(prng: Prng, message: string): string {
  let text = message;
  for (let count = prng.int(4); count >= 0; count--) {
    const at = prng.int(text.length + 1);
    const [head, tail] = [text.slice(0, at), text.slice(at)];
    switch (prng.int(6)) {
      case 0:
        text = head + tail.slice(1 + prng.int(4));
        break;
      case 1:
        text = head + String.fromCharCode(prng.int(256)) + tail.slice(1);
        break;
      case 2:
        text = head + PIECES[prng.int(PIECES.length)] + tail;
        break;
      case 3:
        text = head + text.slice(prng.int(text.length + 1)).slice(0, prng.int(100)) + tail;
        break;
      case 4:
        text = `${head}${FIELD}${tail}`;
        break;
      default:
        text = head + tail.replace(/[a-z]/i, (letter) => letter.toUpperCase());
    }
  }
  return text;
}

/** What a reader makes of `chunks`: its messages, then how it ended. */
function read(chunks: readonly Buffer[], isRequest: boolean): string {
  const reader = new HeadReader({ maxBytes: MAX_HEAD_BYTES, isRequest });
  const decoder = new BodyDecoder();
  let isInBody = false;
  let seen = '';
  try {
    for (const chunk of chunks) {
      let at = 0;
      while (at < chunk.length) {
        if (isInBody) {
          at = decoder.advance(chunk, at);
          seen += chunk.toString('latin1', decoder.from, decoder.to);
        } else if (!reader.read(chunk, at)) {
          at = reader.next;
          continue;
        } else {
          at = reader.next;
          const head = (isRequest ? parseRequestHead : parseResponseHead)(reader, MAX_FIELDS);
          const { fields, isChunked, keepAlive } = head;
          const { text } = fields.forwardable();
          assert.match(text, /^(?:[\t\x20-\x7e\x80-\xff]+\r\n)*$/);
          assert.doesNotMatch(text, /^(content-length|transfer-encoding|connection|host) *:/im);
          seen += `|${'method' in head ? head.target : head.status} ${keepAlive} ${text}`;
          if (isChunked) decoder.beginChunked();
          else decoder.beginLength(Math.max(0, fields.contentLength));
        }
        isInBody = !decoder.isDone;
      }
    }
  } catch (error) {
    if (!(error instanceof FlotillaError)) throw error;
    return `${seen} ! ${error.message}`;
  }
  return `${seen} ${isInBody} ${reader.isWithin}`;
}

function cut(prng: Prng, bytes: Buffer): Buffer[] {
  if (prng.int(4) === 0) return Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const to = Math.min(bytes.length, at + 1 + prng.int(40));
    chunks.push(bytes.subarray(at, to));
    at = to;
  }
  return chunks;
}

for (const [what, messages, isRequest] of [
  ['requests', REQUESTS, true],
  ['answers', ANSWERS, false],
] as const) {
  test(`100000 mutated ${what} are read alike, however they are cut (seed ${SEED})`, () => {
    const prng = createPrng(SEED, isRequest ? 1 : 2);
    let accepted = 0;
    for (let i = 0; i < 100_000; i++) {
      const first = mutate(prng, messages[prng.int(messages.length)]!);
      const text = prng.int(2) === 0 ? first : first + messages[prng.int(messages.length)]!;
      const bytes = Buffer.from(text, 'latin1');
      const whole = read([bytes], isRequest);
      assert.equal(read(cut(prng, bytes), isRequest), whole, JSON.stringify(text));
      if (!whole.includes(' ! ')) accepted++;
    }
    assert.ok(accepted > 5000 && accepted < 95_000, `${accepted} accepted`);
  });
}

/** A server's connection over a stream in memory; gives what it answered. */
async function answers(chunks: readonly Buffer[]): Promise<string> {
  let text = '';
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => {},
    write: (chunk: Buffer, _, done) => {
      text += chunk.toString('latin1');
      done();
    },
  });
  const sweeps = { head: 9, idle: 9, body: 9, linger: 9 };
  const host: ConnectionHost = {
    maxHeadBytes: MAX_HEAD_BYTES,
    maxHeaders: MAX_FIELDS,
    headTimeoutMs: 1,
    bodyTimeoutMs: 1,
    sweeps,
    slab: new Slab(),
    dateLine: '',
    isStopping: false,
    handle: echo,
    takes: () => true,
    handOver: () => silentLogger.error({}, 'unreachable'),
    closed: () => {},
  };
  new ServerConnection(host, stream as Socket);
  for (const chunk of chunks) stream.push(chunk);
  // Answers wait for the promises of their handlers, a few turns for each pipelined request.
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
  stream.destroy();
  return text;
}

test(`3000 mutated connections are answered alike, in any packets (seed ${SEED})`, async () => {
  const prng = createPrng(SEED, 3);
  for (let i = 0; i < 3000; i++) {
    const text = mutate(prng, REQUESTS[prng.int(REQUESTS.length)]!) + REQUESTS[prng.int(3)]!;
    const bytes = Buffer.from(text, 'latin1');
    const whole = await answers([bytes]);
    const pieces = await answers(cut(prng, bytes));
    // Whether the client is asked to go on depends on what of the body has come already.
    const final = (answer: string) => answer.replaceAll('HTTP/1.1 100 Continue\r\n\r\n', '');
    assert.equal(final(pieces), final(whole), JSON.stringify(text));
  }
});
