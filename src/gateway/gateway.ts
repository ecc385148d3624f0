// The HTTP server of a node, in two parts behind one port: requests for inference go to the proxied
// path (`proxy/`), which pays for no framework; everything else goes to the routes of Fastify. Here
// both are wired, started and stopped, and every other answer gets its id, its measure and its
// error body.
import Fastify from 'fastify';
import { FlotillaError, invalidOption, messageOf } from '../core/index.ts';
import { type HTTP_SERVER_DEFAULTS, HttpServer } from '../http/index.ts';
import { GATEWAY_DEFAULTS } from './defaults.ts';
import { errorBody, publicError, statusOf } from './http-errors.ts';
import { listenError } from './listen-error.ts';
import { GatewayMetrics } from './metrics.ts';
import { Inference } from './proxy/inference.ts';
import { InferenceMetrics } from './proxy/inference-metrics.ts';
import { RequestIds } from './request-ids.ts';
import { Operators } from './operators.ts';
import { registerClusterRoutes } from './routes-cluster.ts';
import { registerEngineRoutes } from './routes-engines.ts';
import { registerGraphRoutes } from './routes-graph.ts';
import { registerKeyRoutes } from './routes-keys.ts';
import { registerOpenApiRoute } from './routes-openapi.ts';
import { embeddingsOf, registerOpenAiRoutes } from './routes-openai.ts';
import { registerTrainRoute } from './routes-train.ts';
import { RouteTable } from './route-table.ts';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock, Logger } from '../core/index.ts';
import type { GatewayComponents } from './components.ts';
import type { InferenceOptions } from './proxy/inference.ts';

export interface GatewayOptions extends InferenceOptions {
  /** @default "127.0.0.1" */
  readonly host?: string;
  /** 0 lets the system choose. @default 8080 */
  readonly port?: number;
  /** PEM texts of a certificate, with its chain, and of its key: HTTPS. @default none: HTTP */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Limits and times of connections; `HTTP_SERVER_DEFAULTS` explains them. */
  readonly connections?: ConnectionLimits;
  /** In this time a request that is not for inference has come whole. @default 5 min */
  readonly requestTimeoutMs?: number;
  /** How long answers under way may go on after `stop`. @default 3 s */
  readonly stopTimeoutMs?: number;
  /** Networks (CIDR) from which API keys may be managed. @default this machine's loopback */
  readonly operators?: readonly string[];
  /** Largest JSON body. @default 1 MiB */
  readonly maxBodyBytes?: number;
  /** Largest body of a training as it arrives. @default 256 MiB */
  readonly maxTrainBodyBytes?: number;
  /** Largest body of a training after decompression. @default 1 GiB */
  readonly maxTrainTextBytes?: number;
}

type ConnectionLimits = Partial<Readonly<Record<keyof typeof HTTP_SERVER_DEFAULTS, number>>>;

/** Answers HTTP for one node. Start it once; after `stop` it stays stopped. */
export class Gateway {
  readonly #app: FastifyInstance;
  readonly #server: HttpServer;
  readonly #inference: Inference;
  /** Connections that Fastify answers on, each with its one request as soon as it is read. */
  readonly #handedOver = new Map<Socket, IncomingMessage | undefined>();
  readonly #options: CheckedOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #routes = new RouteTable();
  readonly #stopping = new AbortController();
  readonly #ids: RequestIds;
  #inFlight = 0;

  constructor(components: GatewayComponents, options: GatewayOptions = {}) {
    this.#options = checkOptions(options);
    this.#clock = components.clock;
    this.#log = components.log;
    this.#ids = new RequestIds(components.coordinator.nodeId, components.clock.wallTime());
    this.#app = this.#createServer();
    const metrics = new GatewayMetrics({
      coordinator: components.coordinator,
      laneCounters: components.laneCounters ?? (() => []),
      quicCounters: components.quicCounters,
      shardMetrics: components.shardMetrics,
      deviceMetrics: components.deviceMetrics,
    });
    this.#addHooks(metrics);
    registerOpenAiRoutes(this.#app, components);
    registerGraphRoutes(this.#app, components);
    registerClusterRoutes(this.#app, components, metrics);
    if (components.keys !== undefined) {
      registerKeyRoutes(this.#app, components.keys, new Operators(this.#options.operators));
    }
    const { signal } = this.#stopping;
    registerTrainRoute(this.#app, components, { limits: this.#options, stopping: signal });
    this.#inference = this.#createInference(components, metrics);
    registerEngineRoutes(this.#app, components, this.#inference);
    registerOpenApiRoute(this.#app, this.#routes);
    this.#server = new HttpServer(components, this.#serverOptions(), (exchange) =>
      this.#inference.handle(exchange),
    );
  }

  /**
   * Listens. Returns the address, with the port that the system chose for port 0.
   * Errors: `port_in_use`, `listen_failed`.
   */
  async start(): Promise<{ host: string; port: number }> {
    const { host, port } = this.#options;
    await this.#app.ready();
    try {
      const bound = await this.#server.listen({ host, port });
      return { host, port: bound.port };
    } catch (error) {
      throw listenError((error as Error).cause ?? error, { host, port });
    }
  }

  /** Ends trainings, lets other requests finish for a while, then cuts what is left. */
  async stop(): Promise<void> {
    const { stopTimeoutMs } = this.#options;
    const stopped = new FlotillaError('gateway_stopped', 'the node is stopping');
    this.#stopping.abort(stopped);
    this.#inference.stop(stopped);
    const cut = this.#clock.schedule(stopTimeoutMs, () => {
      for (const socket of this.#handedOver.keys()) socket.destroy();
    });
    await Promise.all([this.#server.stop(stopTimeoutMs), this.#handedOverEnded()]);
    cut.cancel();
    await this.#app.close();
  }

  /** Requests for models that are being answered. What operators ask is no load. */
  get inFlight(): number {
    return this.#inFlight + this.#inference.inFlight;
  }

  /** Requests for inference whose turn has come. */
  get running(): number {
    return this.#inference.queue.running;
  }

  /** Requests for inference that wait for their turn. */
  get queued(): number {
    return this.#inference.queue.waiting;
  }

  async #handedOverEnded(): Promise<void> {
    const closed = [...this.#handedOver.keys()].map(
      (socket) => new Promise((resolve) => socket.once('close', resolve)),
    );
    await Promise.all(closed);
  }

  #createInference(components: GatewayComponents, metrics: GatewayMetrics): Inference {
    const { engines, keys, models, tracer, clock, prng, log } = components;
    const measures = new InferenceMetrics(metrics.registry, {
      inFlight: () => this.#inference.inFlight,
      queued: () => this.queued,
    });
    return new Inference(
      {
        ...{ ...engines, keys, tracer, clock, prng, log, metrics: measures, ids: this.#ids },
        local: (fields) => embeddingsOf(models, fields),
      },
      this.#options,
    );
  }

  #serverOptions() {
    const { tls, connections } = this.#options;
    return {
      ...connections,
      takes: (_method: string, target: string) => this.#inference.takes(target),
      handOver: (socket: Socket) => this.#handOver(socket),
      ...(tls && { tls: { cert: tls.certificate, key: tls.key } }),
    };
  }

  #handOver(socket: Socket): void {
    this.#handedOver.set(socket, undefined);
    // A server that does not listen itself keeps no time of its own.
    const late = this.#clock.schedule(this.#options.requestTimeoutMs, () => {
      if (this.#handedOver.get(socket)?.complete !== true) socket.destroy();
    });
    socket.once('close', () => {
      late.cancel();
      this.#handedOver.delete(socket);
    });
    this.#app.server.emit('connection', socket);
  }

  #createServer(): FastifyInstance {
    const app = Fastify({
      bodyLimit: this.#options.maxBodyBytes,
      forceCloseConnections: 'idle',
      genReqId: ({ headers }) => this.#ids.of(headers['x-request-id']),
      frameworkErrors: (error, request, reply) => this.#answerError(error, request, reply),
      routerOptions: { maxParamLength: GATEWAY_DEFAULTS.maxWordCharacters },
    });
    // The next request on the connection may be one for inference, which is not answered here.
    app.server.maxRequestsPerSocket = 1;
    // Node only says that it closes, and waits for the client to do so.
    app.server.prependListener('request', (_request, response) => {
      response.shouldKeepAlive = false;
    });
    // JSON whatever the type says: `curl -d` sends a form's type, and no answer depends on it.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'string' }, (_request, text, done) => {
      try {
        done(null, text === '' ? undefined : JSON.parse(text as string));
      } catch (error) {
        const message = `the body is not valid JSON: ${messageOf(error)}`;
        done(new FlotillaError('body_malformed', message, { cause: error }));
      }
    });
    app.setErrorHandler((error, request, reply) => this.#answerError(error, request, reply));
    app.setNotFoundHandler((request, reply) => this.#answerUnknown(request, reply));
    return app;
  }

  #addHooks(metrics: GatewayMetrics): void {
    this.#app.addHook('onRoute', ({ method, url }) => this.#routes.add(method, url));
    this.#app.addHook('onRequest', async (request, reply) => {
      reply.header('x-request-id', request.id);
      if (isForPages(request.url)) {
        setFields(reply, this.#inference.cors.fieldsFor(request.headers.origin));
      }
      if (this.#handedOver.has(request.raw.socket)) {
        this.#handedOver.set(request.raw.socket, request.raw);
      }
      if (!request.routeOptions.url?.startsWith('/v1/')) return;
      this.#inFlight++;
      reply.raw.once('close', () => this.#inFlight--);
    });
    this.#app.addHook('onResponse', async (request, reply) => {
      const { method } = request;
      const route = request.routeOptions.url ?? 'unknown';
      const status = reply.raw.statusCode;
      const seconds = reply.elapsedTime / 1000;
      metrics.observe({ method, route, status, seconds });
      const record = { id: request.id, client: request.ip, method, route, status, seconds };
      this.#log[this.#options.accessLog ? 'info' : 'debug'](record, 'answered');
    });
  }

  #answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    // What a body fails with whose client is gone is nobody's fault here.
    const isGone = request.raw.destroyed && !request.raw.complete;
    const gone = isGone && new FlotillaError('cancelled', 'the client closed its connection');
    const shown = gone || publicError(error);
    const status = statusOf(shown.code);
    if (status === 500) {
      const { id: requestId, method, url } = request;
      this.#log.error({ err: error, requestId, method, url }, 'a request failed unexpectedly');
    }
    const { retryAfterS } = shown.details;
    if (retryAfterS !== undefined) reply.header('retry-after', String(retryAfterS));
    void reply.code(status).send(errorBody(shown));
  }

  #answerUnknown(request: FastifyRequest, reply: FastifyReply): void {
    const { method } = request;
    const [path = ''] = request.url.split('?');
    const allowed = this.#routes.methodsOf(path);
    if (allowed.length === 0) {
      const message = `there is no route ${method} ${path}`;
      this.#answerError(new FlotillaError('route_unknown', message), request, reply);
      return;
    }
    if (method === 'OPTIONS' && isForPages(path)) {
      const { origin, 'access-control-request-headers': asked } = request.headers;
      setFields(reply, this.#inference.cors.preflightFor(origin, asked));
      void reply.code(204).send();
      return;
    }
    const list = allowed.join(', ');
    const message = `${path} answers ${list}, not ${method}`;
    void reply.header('allow', list);
    this.#answerError(new FlotillaError('method_not_allowed', message), request, reply);
  }
}

/** Beside inference, a page of another site may ask which models there are. */
function isForPages(url: string): boolean {
  return /^\/v1\/models(?:[/?]|$)/.test(url);
}

/** Names and values in turns. */
function setFields(reply: FastifyReply, fields: readonly string[]): void {
  for (let at = 0; at < fields.length; at += 2) void reply.header(fields[at]!, fields[at + 1]);
}

type CheckedOptions = GatewayOptions &
  Required<
    Pick<
      GatewayOptions,
      | 'host'
      | 'port'
      | 'operators'
      | 'stopTimeoutMs'
      | 'requestTimeoutMs'
      | 'maxBodyBytes'
      | 'maxTrainBodyBytes'
      | 'maxTrainTextBytes'
    >
  >;

function checkOptions(options: GatewayOptions): CheckedOptions {
  const { host, port, operators, stopTimeoutMs, requestTimeoutMs } = GATEWAY_DEFAULTS;
  const { maxBodyBytes, maxTrainBodyBytes, maxTrainTextBytes } = GATEWAY_DEFAULTS;
  const checked = {
    ...{
      host,
      port,
      operators,
      stopTimeoutMs,
      requestTimeoutMs,
      maxBodyBytes,
      maxTrainBodyBytes,
      maxTrainTextBytes,
    },
    ...options,
  };
  if (!Number.isInteger(checked.port) || checked.port < 0 || checked.port > 65_535) {
    throw invalidOption('port', 'a whole number from 0 to 65535', checked.port);
  }
  if (!(checked.requestTimeoutMs >= 1)) {
    throw invalidOption('requestTimeoutMs', 'at least 1 ms', checked.requestTimeoutMs);
  }
  for (const limit of ['maxBodyBytes', 'maxTrainBodyBytes', 'maxTrainTextBytes'] as const) {
    if (checked[limit] >= 1) continue;
    throw invalidOption(limit, 'a number of bytes of at least 1', checked[limit]);
  }
  return checked;
}
