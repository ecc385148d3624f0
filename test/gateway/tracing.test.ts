// Traces through gateway, node and engine, at a collector that is a real HTTP server.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { createPrng, silentLogger, systemClock } from '../../src/core/index.ts';
import { Tracer } from '../../src/gateway/index.ts';
import { readTraceparent } from '../../src/gateway/tracing/trace-context.ts';
import { answering, chat, withEngines } from './engine-site.ts';
import { withLinkedEngines } from './linked-site.ts';
import { ask } from './fakes.ts';
import type { AddressInfo } from 'node:net';
import type { TracingOptions } from '../../src/gateway/index.ts';
import type { EngineHandler } from './engine-site.ts';

const PATH = '/v1/chat/completions';
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

interface SeenSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly { readonly name: string }[];
  readonly status?: { readonly code: number; readonly message: string };
  /** Of its resource. */
  readonly instance: unknown;
}

/** Values as they were before OTLP wrapped them. */
function plain(attributes: readonly { key: string; value: Record<string, unknown> }[]) {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const [type, content] = Object.entries(value)[0]!;
      return [key, type === 'intValue' ? Number(content) : content];
    }),
  );
}

class Collector {
  readonly spans: SeenSpan[] = [];
  readonly requests: http.IncomingHttpHeaders[] = [];
  status = 200;
  readonly #server = http.createServer((request, response) => {
    let text = '';
    request.on('data', (part) => (text += part));
    request.on('end', () => {
      this.requests.push(request.headers);
      response.writeHead(this.status, { 'content-type': 'application/json' }).end('{}');
      if (this.status !== 200) return;
      for (const { resource, scopeSpans } of JSON.parse(text).resourceSpans) {
        const instance = plain(resource.attributes)['service.instance.id'];
        for (const { spans } of scopeSpans) {
          for (const span of spans) {
            this.spans.push({ ...span, instance, attributes: plain(span.attributes) });
          }
        }
      }
    });
  });

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1/traces`;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  tracer(node: string, options: Partial<TracingOptions> = {}, seed = 1): Tracer {
    const components = { clock: systemClock, prng: createPrng(seed), log: silentLogger };
    return new Tracer({ node, ...components }, { url: this.url, ...options });
  }
}

async function withCollector(use: (collector: Collector) => Promise<void>): Promise<void> {
  const collector = new Collector();
  await collector.start();
  try {
    await use(collector);
  } finally {
    await collector.stop();
  }
}

function asking(traceparent?: string): RequestInit {
  const headers = traceparent === undefined ? {} : { traceparent };
  return { method: 'POST', body: JSON.stringify(chat('Hello')), headers };
}

/** Answers, and keeps what it was told of the trace. */
function listening(): { readonly engine: EngineHandler; readonly told: string[] } {
  const told: string[] = [];
  const engine: EngineHandler = (request, response, body) => {
    told.push(String(request.headers['traceparent']));
    answering('one')(request, response, body);
  };
  return { engine, told };
}

test('a trace goes from the client through gateway and node to the engine', async () => {
  await withCollector(async (collector) => {
    const { engine, told } = listening();
    const tracer = collector.tracer('node-a');
    const nodeTracer = collector.tracer('node-b', {}, 2);
    const setup = { engines: [engine], parts: { tracer }, tracer: nodeTracer };
    await withLinkedEngines(setup, async ({ url }) => {
      await ask(url + PATH, asking(`00-${TRACE}-${PARENT}-01`));
    });
    await Promise.all([tracer.stop(), nodeTracer.stop()]);
    const [request, attempt, hop] = ['node-a', 'node-a', 'node-b'].map((instance, index) =>
      collector.spans.find((span) => span.instance === instance && span.kind === [2, 3, 2][index]),
    );
    assert.equal(collector.spans.length, 3);
    for (const span of [request, attempt, hop]) assert.equal(span?.traceId, TRACE);
    const parents = [request, attempt, hop].map((span) => span?.parentSpanId);
    assert.deepEqual(parents, [PARENT, request?.spanId, attempt?.spanId]);
    assert.deepEqual(told, [`00-${TRACE}-${hop?.spanId}-01`]);
    assert.equal(request?.name, `POST ${PATH}`);
    assert.equal(request?.attributes['http.response.status_code'], 200);
    assert.equal(request?.attributes['gen_ai.usage.input_tokens'], 3);
    assert.equal(request?.attributes['gen_ai.usage.output_tokens'], 2);
    assert.equal(attempt?.attributes['flotilla.via'], 'node');
    assert.deepEqual(
      attempt?.events.map(({ name }) => name),
      ['first_byte'],
    );
    assert.equal(hop?.attributes['flotilla.engine'], 'e0');
    const startMs = Number(request!.startTimeUnixNano.slice(0, -6));
    assert.ok(Math.abs(startMs - Date.now()) < 60_000, 'times are since 1970');
    assert.ok(BigInt(request!.endTimeUnixNano) >= BigInt(attempt!.endTimeUnixNano) - 1_000_000n);
  });
});

test('a request without a trace begins one; each try is a span of its own', async () => {
  await withCollector(async (collector) => {
    const tracer = collector.tracer('node-a', { headers: { authorization: 'Bearer x' } });
    const cut: EngineHandler = (request) => request.socket.destroy();
    const routing = { policy: 'round-robin', slowStart: { windowMs: 0 } } as const;
    const options = { retries: { baseMs: 1, reservePerSecond: 100 } };
    const setup = { engines: [cut, answering('good')], routing, options, parts: { tracer } };
    await withEngines(setup, async ({ url }) => {
      for (let i = 0; i < 2; i++) assert.equal((await ask(url + PATH, asking())).status, 200);
    });
    await tracer.stop();
    assert.equal(collector.requests[0]?.authorization, 'Bearer x');
    const roots = collector.spans.filter(({ parentSpanId }) => parentSpanId === undefined);
    assert.equal(roots.length, 2);
    const retried = roots.find(({ attributes }) => attributes['flotilla.tries'] === 2);
    const tries = collector.spans.filter((span) => span.parentSpanId === retried?.spanId);
    assert.deepEqual(
      tries.map(({ attributes, status }) => [attributes['flotilla.result'], status?.code]),
      [
        ['failed', 2],
        ['ok', undefined],
      ],
    );
  });
});

test('what the client does not want traced is not, and its header passes as it is', async () => {
  await withCollector(async (collector) => {
    const { engine, told } = listening();
    const tracer = collector.tracer('node-a', { sampleRatio: 0 });
    await withEngines({ engines: [engine], parts: { tracer } }, async ({ url }) => {
      await ask(url + PATH, asking(`00-${TRACE}-${PARENT}-00`));
      await ask(url + PATH, asking());
      await ask(url + PATH, asking(`00-${TRACE}-${PARENT}-01`));
    });
    await tracer.stop();
    assert.deepEqual(told.slice(0, 2), [`00-${TRACE}-${PARENT}-00`, 'undefined']);
    assert.equal(collector.spans.length, 2, 'request and try of the one that its client wants');
  });
});

test('a collector that fails or is gone costs spans, and no request', async () => {
  await withCollector(async (collector) => {
    collector.status = 500;
    const tracer = collector.tracer('node-a');
    await withEngines({ engines: [answering('one')], parts: { tracer } }, async ({ url }) => {
      for (let i = 0; i < 20; i++) assert.equal((await ask(url + PATH, asking())).status, 200);
    });
    await tracer.stop();
    assert.deepEqual(tracer.counters, { sent: 0, dropped: 40 });
    const gone = collector.tracer('node-a');
    await collector.stop();
    for (let i = 0; i < 5_000; i++) gone.begin(undefined, 'x')?.end();
    assert.equal(gone.counters.dropped, 904, 'what waits is bounded');
    await gone.stop();
    assert.deepEqual(gone.counters, { sent: 0, dropped: 5_000 });
  });
});

test('traceparent is read by its rules', () => {
  const good = { traceId: TRACE, spanId: PARENT, isSampled: true };
  assert.deepEqual(readTraceparent(`00-${TRACE}-${PARENT}-01`), good);
  assert.deepEqual(readTraceparent(`cc-${TRACE}-${PARENT}-09-what-comes`), good);
  assert.equal(readTraceparent(`00-${TRACE}-${PARENT}-02`)?.isSampled, false);
  for (const broken of [
    undefined,
    '',
    `ff-${TRACE}-${PARENT}-01`,
    `00-${TRACE}-${PARENT}-01-more`,
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${PARENT}-01`,
    `00-${TRACE}-${PARENT}-1`,
    `00-${TRACE}-${PARENT}-01\r\nx: y`,
  ]) {
    assert.equal(readTraceparent(broken), undefined, broken);
  }
});
