// `POST /v1/train`: a graph's text comes in, the training's events go out line by line. It bounds
// the body, cancels when the client goes away, and runs one training of a model at a time.
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { AssertionError, FlotillaError } from '../core/index.ts';
import { decodeGraph } from '../training/index.ts';
import { errorBody, publicError } from './http-errors.ts';
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { GatewayComponents, TrainingControl, TrainingEvent } from './components.ts';

/** Not one of the types that a web page may post anywhere without asking first. */
const GRAPH_TYPE = 'text/tab-separated-values';
const MODEL_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/i;
const MODEL_NAME_RULE = '1 to 63 letters, digits, ".", "_" and "-"';
const EVENTS_TYPE = 'application/x-ndjson; charset=utf-8';

export interface TrainLimits {
  readonly maxTrainBodyBytes: number;
  readonly maxTrainTextBytes: number;
}

/** Registers the route; `stopping` aborts the trainings that run when the server stops. */
export function registerTrainRoute(
  app: FastifyInstance,
  { trainer, log }: Pick<GatewayComponents, 'trainer' | 'log'>,
  { limits, stopping }: { limits: TrainLimits; stopping: AbortSignal },
): void {
  const running = new Set<string>();
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(GRAPH_TYPE, (_request, body, done) => done(null, body));
    scope.post('/v1/train', async (request, reply) => {
      const { name, aliases, options } = readQuery(request);
      if (running.has(name)) {
        const message = `a training of "${name}" is already running; wait for it or cancel it`;
        throw new FlotillaError('training_busy', message, { details: { model: name } });
      }
      running.add(name);
      const stream = new EventStream(request, reply, stopping);
      try {
        const graph = await decodeGraph(readBody(request, limits), { name, aliases });
        await trainer.train(graph, options, stream.control);
        if (!stream.started) throw new AssertionError('the training ended without an event');
      } catch (error) {
        // What a cancelled training fails with is the way it noticed, not the reason.
        const reason = stream.signal.aborted ? stream.signal.reason : error;
        if (!stream.started) throw reason;
        const shown = publicError(reason);
        if (shown.code === 'internal') log.error({ err: error, model: name }, 'training failed');
        stream.write({ type: 'error', ...errorBody(shown) });
      } finally {
        running.delete(name);
        stream.end();
      }
      return reply;
    });
  });
}

/** The answer: its head is sent with the first event, so that a refusal still has a status. */
class EventStream {
  readonly signal: AbortSignal;
  readonly #reply: FastifyReply;
  readonly #requestId: string;
  #started = false;

  constructor(request: FastifyRequest, reply: FastifyReply, stopping: AbortSignal) {
    this.#reply = reply;
    this.#requestId = request.id;
    const controller = new AbortController();
    this.signal = AbortSignal.any([controller.signal, stopping]);
    reply.raw.once('close', () => {
      if (reply.raw.writableFinished) return;
      controller.abort(new FlotillaError('cancelled', 'the client closed its connection'));
    });
  }

  get control(): TrainingControl {
    return { signal: this.signal, onEvent: (event) => this.write(event) };
  }

  get started(): boolean {
    return this.#started;
  }

  write(event: TrainingEvent): void {
    const { raw } = this.#reply;
    if (raw.destroyed || raw.writableEnded) return;
    if (!this.#started) {
      this.#started = true;
      this.#reply.hijack();
      raw.writeHead(200, { 'content-type': EVENTS_TYPE, 'x-request-id': this.#requestId });
    }
    // A client that does not read loses what the next event would repeat, and nothing else.
    if (event.type === 'progress' && raw.writableNeedDrain) return;
    raw.write(`${JSON.stringify(event)}\n`);
  }

  end(): void {
    if (this.#started) this.#reply.raw.end();
  }
}

interface TrainQuery {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly options: Readonly<Record<string, string | number>>;
}

/** `name`, any number of `alias`, and the trainer's options: numbers where they read as such. */
function readQuery({ query }: FastifyRequest): TrainQuery {
  const { name = '', alias = [], ...rest } = query as Record<string, string | string[]>;
  if (typeof name !== 'string' || !MODEL_NAME.test(name)) {
    const actual = name === '' ? 'missing' : [name].flat().join(', ').slice(0, 80);
    throw invalidParameter('name', `given once, as ${MODEL_NAME_RULE}`, actual);
  }
  const options: Record<string, string | number> = {};
  for (const [key, value] of Object.entries(rest)) {
    if (typeof value !== 'string') throw invalidParameter(key, 'given once', value.join(', '));
    options[key] = /^-?\d+(\.\d+)?(e-?\d+)?$/i.test(value) ? Number(value) : value;
  }
  return { name, aliases: [alias].flat(), options };
}

function invalidParameter(param: string, rule: string, actual: string): FlotillaError {
  const message = `${param} must be ${rule}, but is ${actual}`;
  return new FlotillaError('request_invalid', message, { details: { param } });
}

/** The body's text: limited as it arrives, and again after decompression. */
function readBody(request: FastifyRequest, limits: TrainLimits): AsyncIterable<Uint8Array> {
  const { maxTrainBodyBytes, maxTrainTextBytes } = limits;
  const declared = Number(request.headers['content-length'] ?? 0);
  if (declared > maxTrainBodyBytes) throw tooLarge(maxTrainBodyBytes);
  const encoding = request.headers['content-encoding'] ?? 'identity';
  const body = request.body as Readable | undefined;
  if (body === undefined) throw bodyMissing();
  if (encoding === 'identity') return limited(body, maxTrainBodyBytes);
  if (encoding !== 'gzip') {
    const message = `content-encoding must be gzip or identity, but is ${encoding}`;
    throw new FlotillaError('content_type_unsupported', message);
  }
  return limited(gunzip(limited(body, maxTrainBodyBytes)), maxTrainTextBytes);
}

async function* gunzip(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const gunzipped = createGunzip();
  // Errors reach the reader through the stream that it iterates.
  pipeline(body, gunzipped, () => {});
  try {
    yield* gunzipped as AsyncIterable<Uint8Array>;
  } catch (error) {
    const { code = '' } = error as { code?: string };
    if (!code.startsWith('Z_')) throw error;
    const message = 'the body is not whole, valid gzip, though its content-encoding says so';
    throw new FlotillaError('body_malformed', message, { cause: error });
  }
}

async function* limited(body: AsyncIterable<Uint8Array>, maxBytes: number) {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    yield chunk;
  }
}

function tooLarge(maxBytes: number): FlotillaError {
  return new FlotillaError('body_too_large', `the body is over the limit of ${maxBytes} bytes`, {
    details: { maxBytes },
  });
}

function bodyMissing(): FlotillaError {
  const message = `the body must be a graph as ${GRAPH_TYPE}, but is missing`;
  return new FlotillaError('request_invalid', message);
}
