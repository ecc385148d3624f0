// Clients that mean harm, at a whole gateway: each attack is refused or runs into its limit,
// engines see nothing of it, and the requests of others go on as if nothing were.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exchangeBytes, RawClient, statusOf } from '../http/support.ts';
import { usedBytes } from '../fuzz/run.ts';
import { answering, chat, MODEL, withEngines } from './engine-site.ts';
import { ask } from './fakes.ts';
import type { GatewayOptions } from '../../src/gateway/index.ts';
import type { EngineHandler, EngineSite } from './engine-site.ts';

const PATH = '/v1/chat/completions';
const MIB = 1024 * 1024;
const FRIENDS = 4;
const ATTACK = 'attack';

interface Target extends EngineSite {
  readonly port: number;
  /** Requests that engines got and that belong to an attack. */
  readonly leaked: string[];
}

/** Runs `attack` while friends keep asking; all of them must be answered. */
async function undisturbed(
  options: GatewayOptions,
  attack: (target: Target) => Promise<void>,
): Promise<void> {
  const leaked: string[] = [];
  const engine: EngineHandler = (request, response, body) => {
    if (`${request.url}${body}`.includes(ATTACK)) leaked.push(`${request.url} ${body}`);
    answering('good')(request, response, body);
  };
  await withEngines({ engines: [engine, engine], options }, async (site) => {
    let isOver = false;
    let answered = 0;
    const friend = async () => {
      while (!isOver || answered < FRIENDS) {
        const init = { method: 'POST', body: JSON.stringify(chat(`friend ${answered % 50}`)) };
        const { status } = await ask(site.url + PATH, init);
        assert.equal(status, 200, 'a friend is served');
        answered++;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const friends = Promise.all(Array.from({ length: FRIENDS }, friend));
    try {
      await attack({ ...site, leaked, port: Number(new URL(site.url).port) });
    } finally {
      isOver = true;
      await friends;
    }
    assert.deepEqual(leaked, [], 'engines see nothing of an attack');
    assert.equal(site.gateway.inFlight, 0);
    assert.equal(site.gateway.running, 0);
    assert.deepEqual(site.logged, [], 'nothing failed unexpectedly');
  });
}

const json = JSON.stringify(chat(ATTACK));
const head = (fields: string, path = PATH) => `POST ${path} HTTP/1.1\r\nhost: a\r\n${fields}\r\n`;
const CHUNKED = 'transfer-encoding: chunked\r\n';
const length = (bytes: number) => `content-length: ${bytes}\r\n`;
/** What an attacker hopes that somebody takes for a request of its own. */
const hidden = `${head(length(json.length))}${json}`;

const SMUGGLED: Readonly<Record<string, string>> = {
  'a length and chunks': `${head(`${length(5)}${CHUNKED}`)}0\r\n\r\n${hidden}`,
  'chunks and a length': `${head(`${CHUNKED}${length(5)}`)}0\r\n\r\n${hidden}`,
  'two lengths': `${head(`${length(json.length)}${length(0)}`)}${json}`,
  'a list of lengths': `${head(`content-length: 0, ${json.length}\r\n`)}${json}`,
  'a length with a sign': `${head(`content-length: +${json.length}\r\n`)}${json}`,
  'a coding behind a tab': `${head('transfer-encoding:\tchunked, chunked\r\n')}0\r\n\r\n${hidden}`,
  'a coding in other words': `${head('transfer-encoding: xchunked\r\n')}0\r\n\r\n${hidden}`,
  'a space before the colon': `${head(`transfer-encoding : chunked\r\n${length(0)}`)}${hidden}`,
  'a folded field': `${head('x: y\r\n transfer-encoding: chunked\r\n')}${hidden}`,
  'a bare line feed': `${head(`x: y\n${CHUNKED}`)}0\r\n\r\n${hidden}`,
  'a chunk size in hexadecimal': `${head(CHUNKED)}0x5\r\nabcde\r\n0\r\n\r\n${hidden}`,
  'a chunk size that is negative': `${head(CHUNKED)}-1\r\n${hidden}`,
  'a chunk size that is too large': `${head(CHUNKED)}fffffffff\r\n${hidden}`,
  'a chunk that is longer than its size': `${head(CHUNKED)}1\r\n${json}\r\n0\r\n\r\n`,
  'a chunk that ends with a line feed': `${head(CHUNKED)}5\nabcde\n0\n\n${hidden}`,
  'a request of HTTP/0.9': `GET ${PATH}\r\n${hidden}`,
  'an absolute target': `POST http://engine${PATH} HTTP/1.1\r\nhost: a\r\n\r\n${hidden}`,
};

test('smuggled requests are refused, on both halves of the server', async (t) => {
  for (const path of [PATH, '/v1/complete-triple']) {
    await undisturbed({}, async ({ port }) => {
      for (const [what, bytes] of Object.entries(SMUGGLED)) {
        // Within what numbers hold, Node takes any size for one that is still to come.
        if (path !== PATH && what === 'a chunk size that is too large') continue;
        const answer = await exchangeBytes(port, bytes.replace(PATH, path));
        const status = statusOf(answer);
        assert.ok(status === 400 || status === 501, `${path}: ${what}: ${answer}`);
        assert.equal(
          answer.match(/HTTP\/1\.1 \d/g)?.length,
          1,
          `${what}: one answer, then the end`,
        );
      }
    });
  }
  t.diagnostic(`${Object.keys(SMUGGLED).length} ways, each at two routes`);
});

test('behind a request that Fastify answers none is hidden', async () => {
  await undisturbed({}, async ({ port }) => {
    for (const first of [
      'GET /health HTTP/1.1\r\nhost: a\r\n\r\n',
      `GET /v1/models HTTP/1.1\r\nhost: a\r\n${length(hidden.length)}\r\n`,
      `${head(length(2), '/v1/complete-triple')}{}`,
    ]) {
      const answer = await exchangeBytes(port, first + hidden);
      assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length, 1, answer);
    }
  });
});

test('heads that never end, bodies that never come: 300 connections run into limits', async () => {
  const connections = { headTimeoutMs: 400, bodyTimeoutMs: 400, idleTimeoutMs: 400 };
  await undisturbed({ connections, requestTimeoutMs: 400 }, async ({ port }) => {
    const starts = [
      `POST ${PATH} HTTP/1.1\r\nhost: a\r\nx: `,
      `${head(length(1000))}{"model":`,
      `${head(CHUNKED)}5\r\nabc`,
      `${head(length(1000), '/v1/complete-triple')}{`,
      `${head(`${length(9)}content-type: text/tab-separated-values\r\n`, '/v1/train?name=x')}a`,
      '',
    ];
    const clients = Array.from({ length: 300 }, (_, index) =>
      new RawClient(port).send(starts[index % starts.length]!),
    );
    // A byte now and then does not help the heads.
    const dribble = setInterval(() => {
      for (let index = 0; index < clients.length; index += starts.length) {
        clients[index]!.socket.write('x');
      }
    }, 50);
    const answers = await Promise.all(clients.map((client) => client.closed()));
    clearInterval(dribble);
    for (const [index, answer] of answers.entries()) {
      const kind = index % starts.length;
      if (kind < 3) assert.equal(statusOf(answer), 408, `${starts[kind]}: ${answer}`);
    }
  });
});

test('heads of too many bytes or fields: 431, before they are whole', async () => {
  await undisturbed({}, async ({ port }) => {
    const fields = Array.from({ length: 200 }, (_, index) => `x${index}: y\r\n`).join('');
    for (const bytes of [
      head(fields),
      head(`x: ${'y'.repeat(20_000)}\r\n`),
      `POST ${PATH} HTTP/1.1\r\n${'a: b\r\n'.repeat(5_000)}`,
      `POST /${'a'.repeat(30_000)}`,
    ]) {
      assert.equal(statusOf(await exchangeBytes(port, bytes)), 431, bytes.slice(0, 80));
    }
  });
});

test('bodies over the limit: 413 at once where the length says so, else within', async () => {
  const options = { maxInferenceBytes: MIB, maxBodyBytes: MIB };
  await undisturbed(options, async ({ port }) => {
    for (const path of [PATH, '/v1/complete-triple']) {
      const declared = await exchangeBytes(port, head(length(1024 * MIB), path));
      assert.equal(statusOf(declared), 413, declared);
      const client = new RawClient(port).send(head(CHUNKED, path));
      const chunk = `10000\r\n${'a'.repeat(65_536)}\r\n`;
      for (let sent = 0; sent < 40 && !client.isClosed; sent++) {
        client.send(chunk);
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal(statusOf(await client.closed()), 413, client.text);
    }
  });
});

test('a body in chunks of one byte costs its length', async () => {
  await undisturbed({}, async ({ port }) => {
    const text = JSON.stringify({ model: 'no', padding: 'x'.repeat(2 * MIB) });
    const bytes = Array.from(text, (byte) => `1\r\n${byte}\r\n`).join('');
    const before = usedBytes();
    const client = new RawClient(port).send(head(CHUNKED)).send(bytes);
    await new Promise((resolve) => client.socket.write('', resolve));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const grown = usedBytes() - before;
    assert.ok(grown < 16 * MIB, `${grown} bytes for a body of ${text.length}`);
    client.send('0\r\n\r\n');
    assert.equal(statusOf(await client.until((answer) => answer.includes('model_unknown'))), 404);
    client.socket.destroy();
  });
});

const deep = (open: string, close: string, levels = 100_000) =>
  open.repeat(levels) + close.repeat(levels);

test('JSON that is malformed, deep or odd: 400, never a fault of the server', async () => {
  const model = `"model":"${MODEL}","user":"${ATTACK}"`;
  const bodies = [
    ['', 400],
    ['\0', 400],
    ['{', 400],
    ['[1]', 400],
    ['null', 400],
    [`{${model}`, 400],
    [`{${model},}`, 400],
    [`{${model}}}`, 400],
    ['{"model":[]}', 400],
    ['{"model":""}', 400],
    [`{"model":"${MODEL}","stream":1}`, 400],
    [`\ufeff{${model}}`, 400],
    ['{"__proto__":{"model":"no"}}', 200],
    [deep('[', ']'), 400],
    [`{"model":"no","messages":${deep('[', ']')}}`, 404],
    [`{"model":"no","messages":[{"role":"user","content":[${deep('[', ']')}]}]}`, 404],
    [`{"model":"no","tools":[${deep('{"a":', '}').replace('":}', '":1}')}]}`, 404],
    [`{"model":"no","messages":[{"tool_calls":[${deep('[', ']')}]}]}`, 404],
  ] as const;
  await undisturbed({}, async ({ url }) => {
    for (const [body, expected] of bodies) {
      const answer = await ask(url + PATH, { method: 'POST', body });
      const allowed = expected === 404 ? [400, 404] : [expected];
      assert.ok(allowed.includes(answer.status as 400), `${answer.status}: ${body.slice(0, 60)}`);
      if (expected !== 200) assert.equal(typeof answer.body.error.code, 'string');
    }
  });
});
