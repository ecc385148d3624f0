// How one try of a request reaches an engine: straight over HTTP, or through the node that it is
// behind. Both look the same from here: a call that is told head, data and end.
import { HeaderBlock } from '../../http/index.ts';
import type { EngineTarget } from '../../engines/index.ts';
import type { FlotillaError } from '../../core/index.ts';
import type { HeaderFields, HttpClient, ResponseSink } from '../../http/index.ts';

export interface EngineRequest {
  readonly method: string;
  /** As the client sent it: `/v1/chat/completions`, `/tokenize`. */
  readonly path: string;
  /** What travels on; no field of the connection, no credentials of the client. */
  readonly headers: HeaderBlock;
  readonly body: Uint8Array;
}

export interface EngineHead {
  readonly status: number;
  readonly headers: HeaderBlock;
  readonly contentType: string;
  /** What the engine asks for in `retry-after`, where it gave seconds. */
  readonly retryAfterMs: number | undefined;
}

/** Told `onHead`, then data, then `onEnd`; or `onError` once at any time. */
export interface EngineSink {
  onHead(head: EngineHead): void;
  /** False pauses until `resume`. */
  onData(chunk: Buffer): boolean;
  onEnd(): void;
  /** Before the head nothing was answered: another engine may be asked. Not after `abort`. */
  onError(error: FlotillaError): void;
}

export interface EngineCall {
  /** Gives up, so that the engine stops too. Nothing is called afterwards. */
  abort(): void;
  resume(): void;
}

/** The way to one engine. */
export interface EngineRoute {
  /** `direct` to its URL, or over the link to the `node` that it is behind. */
  readonly via: 'direct' | 'node';
  /** What the engine itself calls `model`. */
  modelNamed(model: string): string | undefined;
  /** `sink` is not called before this returns. */
  open(request: EngineRequest, sink: EngineSink): EngineCall;
}

/** What goes to engines. `/v1/embeddings` may also be answered by the tables of the fleet. */
export const ENGINE_PATHS = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
  '/tokenize',
  '/detokenize',
] as const;

const PATHS: ReadonlySet<string> = new Set(ENGINE_PATHS);

/** Whether a request for `target`, a path with its query, is one for an engine. */
export function isForEngines(target: string): boolean {
  return PATHS.has(pathOf(target));
}

export function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}

/** Fields of an answer that are this gateway's to say. */
const DROPPED = [
  'server',
  'x-request-id',
  'access-control-allow-origin',
  'access-control-expose-headers',
];

/** A request as an engine with this target gets it. */
export function openAt(
  { client, target }: { readonly client: HttpClient; readonly target: EngineTarget },
  request: EngineRequest,
  sink: EngineSink,
): EngineCall {
  return client.request(
    {
      origin: target.origin,
      method: request.method,
      path: pathAt(target.apiPath, request.path),
      headers: withOwn(request.headers, target.headers),
      body: request.body,
      // The same prompt twice is the same question: nothing is lost but work.
      isIdempotent: true,
    },
    new Answer(sink),
  );
}

/** The answer of an engine as its sink wants it. */
class Answer implements ResponseSink {
  readonly #sink: EngineSink;

  constructor(sink: EngineSink) {
    this.#sink = sink;
  }

  onHead(status: number, fields: HeaderFields): void {
    const after = fields.get('retry-after');
    this.#sink.onHead({
      status,
      headers: fields.forwardable(DROPPED),
      contentType: fields.get('content-type') ?? '',
      retryAfterMs: after !== undefined && /^\d{1,6}$/.test(after) ? +after * 1000 : undefined,
    });
  }

  onData(chunk: Buffer): boolean {
    return this.#sink.onData(chunk);
  }

  onEnd(): void {
    this.#sink.onEnd();
  }

  onError(error: FlotillaError): void {
    this.#sink.onError(error);
  }
}

/** `/v1/…` lies below the engine's API path; what is beside `/v1` stays beside it. */
function pathAt(apiPath: string, path: string): string {
  if (apiPath === '/v1') return path;
  if (path.startsWith('/v1/')) return apiPath + path.slice('/v1'.length);
  return apiPath.replace(/\/v1$/, '') + path;
}

/** Lines of each engine's own fields: they are checked once. */
const ownFields = new WeakMap<EngineTarget['headers'], string>();

function withOwn(headers: HeaderBlock, own: EngineTarget['headers']): HeaderBlock {
  let lines = ownFields.get(own);
  if (lines === undefined) {
    lines = HeaderBlock.from(Object.entries(own).flat()).text;
    ownFields.set(own, lines);
  }
  if (lines === '') return headers;
  return headers.plus(lines);
}
