// The engines of this node, for the gateways of others: says which there are, and answers calls for
// them on the tag that the caller chose. The calling end is `peer-route.ts`.
import { FlotillaError } from '../../core/index.ts';
import { ENGINE_LINK } from '../defaults.ts';
import { traceparentIn, withTraceparent } from '../proxy/engine-headers.ts';
import { isForEngines, openAt } from '../proxy/engine-route.ts';
import { dataFrame, endFrame, errorFrame, headFrame, readFields } from './frames.ts';
import type { Clock } from '../../core/index.ts';
import type { Engine } from '../../engines/index.ts';
import type { HttpClient } from '../../http/index.ts';
import type { CallContext, Payload, PeerHost, RawChannel } from '../../peer/index.ts';
import type { EngineCall, EngineHead, EngineRequest, EngineSink } from '../proxy/engine-route.ts';
import type { Span } from '../tracing/span.ts';
import type { Tracer } from '../tracing/tracer.ts';
import type { LocalEngines } from './local-engines.ts';

export interface EngineServiceComponents {
  readonly clock: Clock;
  readonly host: Pick<PeerHost, 'handle' | 'peer'>;
  readonly client: HttpClient;
  readonly engines: LocalEngines;
  readonly tracer?: Tracer | undefined;
}

export class EngineService {
  readonly #components: EngineServiceComponents;
  /** Calls under way, by engine. */
  readonly #running = new Map<string, number>();
  #total = 0;
  #isStopping = false;
  #emptied = () => {};

  constructor(components: EngineServiceComponents) {
    this.#components = components;
  }

  /** Calls of other nodes that an engine works on. */
  running(engine: string): number {
    return this.#running.get(engine) ?? 0;
  }

  start(): void {
    const { host, engines } = this.#components;
    host.handle(ENGINE_LINK.list, () => ({ body: engines.describe() }));
    host.handle(ENGINE_LINK.call, (request, context) => this.#call(request, context));
  }

  /** Takes no more calls, and resolves when those under way are over, or have had their time. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    if (this.#total === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#components.clock.schedule(graceMs, resolve);
      this.#emptied = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** Resolves when the answer has left, or the caller has given up. */
  async #call(payload: Payload, { peer: caller, signal }: CallContext): Promise<Payload> {
    const { tag, engine, request } = this.#read(payload);
    if (this.#isStopping) throw new FlotillaError('engine_unavailable', 'the node is stopping');
    const channel = this.#components.host.peer(caller)?.tag(tag);
    if (channel === undefined) throw new FlotillaError('peer_unreachable', `${caller} is gone`);
    const { target } = engine;
    if (target === undefined) {
      throw new FlotillaError('engine_unavailable', `the engine ${engine.name} is not running`);
    }
    const span = this.#spanOf(engine.name, request);
    const answer = new ChannelAnswer(channel, span);
    const call = openAt({ client: this.#components.client, target }, traced(request, span), answer);
    answer.begin(call);
    const stop = () => {
      call.abort();
      answer.stop();
      channel.remove();
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    this.#count(engine.name, 1);
    await answer.whole;
    this.#count(engine.name, -1);
    span?.end();
    signal.removeEventListener('abort', stop);
    return { body: null };
  }

  #count(engine: string, by: number): void {
    this.#running.set(engine, this.running(engine) + by);
    this.#total += by;
    if (this.#total === 0) this.#emptied();
  }

  #spanOf(engine: string, { headers, method, path }: EngineRequest): Span | undefined {
    const { tracer } = this.#components;
    const traceparent = tracer && traceparentIn(headers);
    // Whether there is a trace is for the gateway to say.
    if (traceparent === undefined) return undefined;
    const span = tracer?.begin(traceparent, `${method} ${path}`);
    span?.set({ 'flotilla.engine': engine });
    return span;
  }

  #read({ body, bytes }: Payload): { tag: bigint; engine: Engine; request: EngineRequest } {
    const [tag, name, method, path, text, contentLength, hasDate] = Array.isArray(body) ? body : [];
    const isWhole =
      typeof tag === 'string' &&
      /^[0-9a-f]{1,16}$/.test(tag) &&
      typeof name === 'string' &&
      method === 'POST' &&
      typeof path === 'string' &&
      isForEngines(path);
    if (!isWhole) throw new FlotillaError('request_invalid', 'an engine call is malformed');
    const engine = this.#components.engines.named(name);
    if (engine === undefined) {
      throw new FlotillaError('engine_unavailable', `there is no engine ${name} here`);
    }
    const headers = readFields(text, contentLength, hasDate);
    const request = { method, path, headers, body: bytes ?? new Uint8Array(0) };
    return { tag: BigInt(`0x${tag}`), engine, request };
  }
}

function traced(request: EngineRequest, span: Span | undefined): EngineRequest {
  if (span === undefined) return request;
  return { ...request, headers: withTraceparent(request.headers, span.traceparent) };
}

/** Passes an engine's answer on; asks the engine to wait while too much has not left. */
class ChannelAnswer implements EngineSink {
  readonly whole: Promise<void>;
  readonly #channel: RawChannel;
  readonly #span: Span | undefined;
  readonly #settle: () => void;
  #call: EngineCall | undefined;
  #unsentBytes = 0;
  #isPaused = false;
  #isStopped = false;

  constructor(channel: RawChannel, span: Span | undefined) {
    this.#channel = channel;
    this.#span = span;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.whole = promise;
    this.#settle = resolve;
  }

  begin(call: EngineCall): void {
    this.#call = call;
  }

  onHead(head: EngineHead): void {
    this.#span?.set({ 'http.response.status_code': head.status });
    this.#send(headFrame(head));
  }

  onData(chunk: Buffer): boolean {
    this.#send(dataFrame(chunk));
    this.#isPaused = this.#unsentBytes > ENGINE_LINK.maxUnsentBytes;
    return !this.#isPaused;
  }

  onEnd(): void {
    this.#send(endFrame(), this.#settle);
  }

  onError(error: FlotillaError): void {
    this.#span?.fail(error.message);
    this.#send(errorFrame(error), this.#settle);
  }

  /** The caller is gone. */
  stop(): void {
    this.#isStopped = true;
    this.#span?.set({ 'flotilla.result': 'abandoned' });
    this.#settle();
  }

  #send(frame: Uint8Array, left?: () => void): void {
    if (this.#isStopped) return;
    this.#unsentBytes += frame.length;
    this.#channel.send(frame, { timeoutMs: ENGINE_LINK.timeoutMs }).then(
      () => {
        this.#unsentBytes -= frame.length;
        if (this.#isPaused && this.#unsentBytes <= ENGINE_LINK.maxUnsentBytes / 2) {
          this.#isPaused = false;
          this.#call?.resume();
        }
        left?.();
      },
      () => {
        if (this.#isStopped) return;
        this.#call?.abort();
        this.stop();
      },
    );
  }
}
