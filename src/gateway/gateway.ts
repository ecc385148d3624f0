// The HTTP server of a node: wires the routes, gives requests their ids, measures them, turns every
// error into OpenAI's body, and starts and stops. What is asked is answered by its components.
import Fastify from 'fastify';
import { FlotillaError, invalidOption, messageOf } from '../core/index.ts';
import { GATEWAY_DEFAULTS } from './defaults.ts';
import { errorBody, publicError, statusOf } from './http-errors.ts';
import { listenError } from './listen-error.ts';
import { GatewayMetrics } from './metrics.ts';
import { registerClusterRoutes } from './routes-cluster.ts';
import { registerGraphRoutes } from './routes-graph.ts';
import { registerOpenAiRoutes } from './routes-openai.ts';
import { registerTrainRoute } from './routes-train.ts';
import { RouteTable } from './route-table.ts';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock, Logger } from '../core/index.ts';
import type { GatewayComponents } from './components.ts';

export interface GatewayOptions {
  /** @default "127.0.0.1" */
  readonly host?: string;
  /** 0 lets the system choose. @default 8080 */
  readonly port?: number;
  /** Largest JSON body. @default 1 MiB */
  readonly maxBodyBytes?: number;
  /** Largest body of a training as it arrives. @default 256 MiB */
  readonly maxTrainBodyBytes?: number;
  /** Largest body of a training after decompression. @default 1 GiB */
  readonly maxTrainTextBytes?: number;
}

/** Answers HTTP for one node. Start it once; after `stop` it stays stopped. */
export class Gateway {
  readonly #app: FastifyInstance;
  readonly #options: Required<GatewayOptions>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #routes = new RouteTable();
  readonly #stopping = new AbortController();
  readonly #idPrefix: string;
  #requests = 0;
  #inFlight = 0;

  constructor(components: GatewayComponents, options: GatewayOptions = {}) {
    this.#options = checkOptions(options);
    this.#clock = components.clock;
    this.#log = components.log;
    const startedMs = Math.floor(components.clock.wallTime());
    this.#idPrefix = `${components.coordinator.nodeId}-${startedMs.toString(36)}`;
    this.#app = this.#createServer();
    const metrics = new GatewayMetrics({
      coordinator: components.coordinator,
      laneCounters: components.laneCounters ?? (() => []),
      quicCounters: components.quicCounters,
    });
    this.#addHooks(metrics);
    registerOpenAiRoutes(this.#app, components);
    registerGraphRoutes(this.#app, components);
    registerClusterRoutes(this.#app, components, metrics);
    const { signal } = this.#stopping;
    registerTrainRoute(this.#app, components, { limits: this.#options, stopping: signal });
  }

  /**
   * Listens. Returns the address, with the port that the system chose for port 0.
   * Errors: `port_in_use`, `listen_failed`.
   */
  async start(): Promise<{ host: string; port: number }> {
    const { host, port } = this.#options;
    try {
      await this.#app.listen({ host, port });
    } catch (error) {
      throw listenError(error, { host, port });
    }
    return { host, port: (this.#app.server.address() as AddressInfo).port };
  }

  /** Ends trainings, lets other requests finish for a while, then cuts what is left. */
  async stop(): Promise<void> {
    this.#stopping.abort(new FlotillaError('gateway_stopped', 'the node is stopping'));
    const cut = this.#clock.schedule(GATEWAY_DEFAULTS.stopTimeoutMs, () =>
      this.#app.server.closeAllConnections(),
    );
    await this.#app.close();
    cut.cancel();
  }

  /** Requests for inference that are being answered. What operators ask is no load. */
  get inFlight(): number {
    return this.#inFlight;
  }

  #createServer(): FastifyInstance {
    const app = Fastify({
      bodyLimit: this.#options.maxBodyBytes,
      requestTimeout: GATEWAY_DEFAULTS.requestTimeoutMs,
      forceCloseConnections: 'idle',
      genReqId: ({ headers }) => this.#requestId(headers['x-request-id']),
      frameworkErrors: (error, request, reply) => this.#answerError(error, request, reply),
      routerOptions: { maxParamLength: GATEWAY_DEFAULTS.maxWordCharacters },
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
      this.#log.debug({ requestId: request.id, method, route, status, seconds }, 'answered');
    });
  }

  /** The client's id when it is safe to repeat, else one that names this node and start. */
  #requestId(given: string | string[] | undefined): string {
    const { maxRequestIdCharacters } = GATEWAY_DEFAULTS;
    if (typeof given === 'string' && given.length <= maxRequestIdCharacters) {
      if (/^[\w.:/+=-]+$/.test(given)) return given;
    }
    this.#requests += 1;
    return `${this.#idPrefix}-${this.#requests}`;
  }

  #answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const shown = publicError(error);
    const status = statusOf(shown.code);
    if (status === 500) {
      const { id: requestId, method, url } = request;
      this.#log.error({ err: error, requestId, method, url }, 'a request failed unexpectedly');
    }
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
    const list = allowed.join(', ');
    const message = `${path} answers ${list}, not ${method}`;
    void reply.header('allow', list);
    this.#answerError(new FlotillaError('method_not_allowed', message), request, reply);
  }
}

function checkOptions(options: GatewayOptions): Required<GatewayOptions> {
  const { host, port, maxBodyBytes, maxTrainBodyBytes, maxTrainTextBytes } = GATEWAY_DEFAULTS;
  const checked = {
    ...{ host, port, maxBodyBytes, maxTrainBodyBytes, maxTrainTextBytes },
    ...options,
  };
  if (!Number.isInteger(checked.port) || checked.port < 0 || checked.port > 65_535) {
    throw invalidOption('port', 'a whole number from 0 to 65535', checked.port);
  }
  for (const limit of ['maxBodyBytes', 'maxTrainBodyBytes', 'maxTrainTextBytes'] as const) {
    if (checked[limit] >= 1) continue;
    throw invalidOption(limit, 'a number of bytes of at least 1', checked[limit]);
  }
  return checked;
}
