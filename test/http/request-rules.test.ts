// Which requests are refused, each with the section that says why; and that how the bytes are cut
// into packets makes no difference.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawClient, echo, exchangeBytes, startServer, statusOf } from './support.ts';

const HOST = 'Host: a\r\n';
const post = (fields: string, body = '') => `POST / HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
const chunked = (body: string) => post('Transfer-Encoding: chunked\r\n', body);

/** Rule, section, status, bytes. */
const REFUSED: readonly (readonly [string, string, number, string])[] = [
  ['HTTP/0.9 simple request', '9112 2.3', 400, 'GET /\r\n'],
  ['HTTP/2 preface', '9112 2.3', 400, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['version 1.2', '9112 2.3', 400, `GET / HTTP/1.2\r\n${HOST}\r\n`],
  ['version in lower case', '9112 2.3', 400, `GET / http/1.1\r\n${HOST}\r\n`],
  ['TLS hello on a plain port', '9112 2.1', 400, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc'],
  ['bare line feed after the request line', '9112 2.2', 400, `GET / HTTP/1.1\n${HOST}\r\n`],
  ['bare line feed after a field', '9112 2.2', 400, 'GET / HTTP/1.1\r\nHost: a\n\r\n'],
  ['bare carriage return in a value', '9110 5.5', 400, 'GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n'],
  ['two empty lines first', '9112 2.2', 400, `\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`],
  ['space before the method', '9112 2.1', 400, ` GET / HTTP/1.1\r\n${HOST}\r\n`],
  ['method that is no token', '9112 3.1', 400, `G@T / HTTP/1.1\r\n${HOST}\r\n`],
  ['two spaces after the method', '9112 3', 400, `GET  / HTTP/1.1\r\n${HOST}\r\n`],
  ['space in the target', '9112 3.2', 400, `GET /a b HTTP/1.1\r\n${HOST}\r\n`],
  ['control character in the target', '9112 3.2', 400, `GET /\x01 HTTP/1.1\r\n${HOST}\r\n`],
  ['byte above ASCII in the target', '9112 3.2', 400, `GET /\xe9 HTTP/1.1\r\n${HOST}\r\n`],
  ['fragment in the target', '9112 3.2', 400, `GET /#a HTTP/1.1\r\n${HOST}\r\n`],
  ['absolute form', '9112 3.2.2', 400, `GET http://a/ HTTP/1.1\r\n${HOST}\r\n`],
  ['asterisk form of GET', '9112 3.2.4', 400, `GET * HTTP/1.1\r\n${HOST}\r\n`],
  ['CONNECT', '9110 9.3.6', 501, `CONNECT a:1 HTTP/1.1\r\n${HOST}\r\n`],
  ['no Host', '9112 3.2', 400, 'GET / HTTP/1.1\r\n\r\n'],
  ['two Hosts', '9112 3.2', 400, `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`],
  ['Host with a path', '9112 3.2', 400, 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n'],
  ['Host with user information', '9112 3.2', 400, 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n'],
  ['space before a colon', '9112 5.1', 400, 'GET / HTTP/1.1\r\nHost : a\r\n\r\n'],
  ['folded field', '9112 5.2', 400, `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`],
  ['field before the first name', '9112 2.2', 400, `GET / HTTP/1.1\r\n ${HOST}\r\n`],
  ['empty field name', '9112 5', 400, `GET / HTTP/1.1\r\n${HOST}: a\r\n\r\n`],
  ['line without colon', '9112 5', 400, `GET / HTTP/1.1\r\n${HOST}abc\r\n\r\n`],
  ['name that is no token', '9110 5.1', 400, `GET / HTTP/1.1\r\n${HOST}a(b): c\r\n\r\n`],
  ['NUL in a value', '9110 5.5', 400, `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`],
  ['DEL in a value', '9110 5.5', 400, `GET / HTTP/1.1\r\n${HOST}X: a\x7fb\r\n\r\n`],
  [
    'length and coding',
    '9112 6.3',
    400,
    post('Content-Length: 1\r\nTransfer-Encoding: chunked\r\n'),
  ],
  [
    'coding and length',
    '9112 6.3',
    400,
    post('Transfer-Encoding: chunked\r\nContent-Length: 1\r\n'),
  ],
  ['two lengths that differ', '9112 6.3', 400, post('Content-Length: 1\r\nContent-Length: 2\r\n')],
  ['list of lengths', '9112 6.3', 400, post('Content-Length: 1, 1\r\n', 'a')],
  ['length with a sign', '9110 8.6', 400, post('Content-Length: +1\r\n', 'a')],
  ['hexadecimal length', '9110 8.6', 400, post('Content-Length: 0x1\r\n', 'a')],
  ['empty length', '9110 8.6', 400, post('Content-Length: \r\n')],
  ['length beyond exact numbers', '9110 8.6', 400, post('Content-Length: 9007199254740993\r\n')],
  ['unknown transfer coding', '9112 6.1', 400, post('Transfer-Encoding: identity\r\n')],
  ['further transfer coding', '9112 6.1', 501, post('Transfer-Encoding: gzip, chunked\r\n')],
  ['chunked that is not last', '9112 6.3', 400, post('Transfer-Encoding: chunked, gzip\r\n')],
  ['chunked twice', '9112 6.1', 400, post('Transfer-Encoding: chunked, chunked\r\n')],
  ['two codings fields', '9112 6.1', 400, post('Transfer-Encoding: chunked\r\n'.repeat(2))],
  ['hidden chunked', '9112 6.1', 400, post('Transfer-Encoding: \x0bchunked\r\n')],
  ['coding in HTTP/1.0', '9112 6.1', 400, 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['unknown expectation', '9110 10.1.1', 417, post('Expect: tea\r\n')],
  ['chunk size without digits', '9112 7.1', 400, chunked('\r\n')],
  ['chunk size with 0x', '9112 7.1', 400, chunked('0x1\r\na\r\n0\r\n\r\n')],
  ['negative chunk size', '9112 7.1', 400, chunked('-1\r\n')],
  ['chunk size of many digits', '9112 7.1', 400, chunked('000000001\r\na\r\n0\r\n\r\n')],
  ['bare line feed after a chunk size', '9112 7.1', 400, chunked('1\na\r\n0\r\n\r\n')],
  ['space after a chunk size', '9112 7.1', 400, chunked('1 \r\na\r\n0\r\n\r\n')],
  ['chunk longer than its size', '9112 7.1', 400, chunked('1\r\nab\r\n0\r\n\r\n')],
  ['line feed in a chunk extension', '9112 7.1.1', 400, chunked('1;a\nb\r\na\r\n0\r\n\r\n')],
  ['long chunk extensions', '9112 7.1.1', 400, chunked(`1;${'a'.repeat(5000)}\r\na\r\n0\r\n\r\n`)],
  ['malformed trailer', '9112 7.1.2', 400, chunked('0\r\na b: c\r\n\r\n')],
  ['long trailers', '9112 7.1.2', 400, chunked(`0\r\n${'a: b\r\n'.repeat(2000)}\r\n`)],
  ['bare line feed at the end', '9112 7.1', 400, chunked('0\r\n\n')],
];

for (const [rule, section, status, bytes] of REFUSED) {
  test(`refused: ${rule} (RFC ${section})`, async (t) => {
    const { port } = await startServer(t, echo);
    const answer = await exchangeBytes(port, bytes);
    assert.equal(statusOf(answer), status, answer);
    assert.match(answer, /\r\nconnection: close\r\n/);
    assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length, 1, 'one answer, and nothing after it');
  });
}

/** What is served, target and body as the handler saw them. */
const SERVED: readonly (readonly [string, string, string])[] = [
  ['a request', `GET /a?b=c HTTP/1.1\r\n${HOST}\r\n`, 'GET /a?b=c '],
  ['one empty line first (9112 2.2)', `\r\nGET / HTTP/1.1\r\n${HOST}\r\n`, 'GET / '],
  ['asterisk form of OPTIONS (9112 3.2.4)', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, 'OPTIONS * '],
  ['an empty Host (9112 3.2)', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 'GET / '],
  ['a body of known length', post('Content-Length: 3\r\n', 'abc'), 'POST / abc'],
  ['blanks around a value (9112 5.1)', post('Content-Length: \t 3 \t\r\n', 'abc'), 'POST / abc'],
  ['a chunked body', chunked('2\r\nab\r\n1\r\nc\r\n0\r\n\r\n'), 'POST / abc'],
  ['chunk extensions (9112 7.1.1)', chunked('1;a="b";c\r\na\r\n0;d\r\n\r\n'), 'POST / a'],
  ['trailers (9112 7.1.2)', chunked('1\r\na\r\n0\r\nx: y\r\nz: \r\n\r\n'), 'POST / a'],
  [
    'upgrade, which is ignored (9110 7.8)',
    post('Connection: upgrade\r\nUpgrade: x\r\n'),
    'POST / ',
  ],
  ['obs-text in a value (9110 5.5)', post('X: \xe9\xff\r\n'), 'POST / '],
];

for (const [what, bytes, seen] of SERVED) {
  test(`served: ${what}, whole and byte by byte`, async (t) => {
    const { port } = await startServer(t, echo);
    const whole = await new RawClient(port).send(bytes).until((text) => text.endsWith(seen));
    assert.equal(statusOf(whole), 200);
    assert.ok(whole.endsWith(`\r\n\r\n${seen}`), whole);
    const slow = new RawClient(port);
    for (const byte of bytes) {
      slow.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const pieces = await slow.until((text) => text.endsWith(seen));
    assert.ok(pieces.endsWith(`\r\n\r\n${seen}`), pieces);
  });
}

test('a head of too many bytes or fields is answered with 431 (RFC 6585 5)', async (t) => {
  const { port } = await startServer(t, echo, { maxHeadBytes: 1000, maxHeaders: 10 });
  const head = (fields: string) => `GET / HTTP/1.1\r\n${HOST}${fields}\r\n`;
  const room = 1000 - head('X: \r\n').length;
  const fits = new RawClient(port).send(head(`X: ${'a'.repeat(room)}\r\n`));
  assert.equal(statusOf(await fits.until((text) => text.endsWith('GET / '))), 200);
  assert.equal(statusOf(await exchangeBytes(port, head(`X: ${'a'.repeat(room + 1)}\r\n`))), 431);
  assert.equal(statusOf(await exchangeBytes(port, `GET /${'a'.repeat(5000)}`)), 431);
  const nine = new RawClient(port).send(head('X: a\r\n'.repeat(9)));
  assert.equal(statusOf(await nine.until((text) => text.endsWith('GET / '))), 200);
  assert.equal(statusOf(await exchangeBytes(port, head('X: a\r\n'.repeat(10)))), 431);
});
