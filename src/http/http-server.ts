// Listens, keeps count of its connections and stops them. Requests go to one handler; those that it
// does not take go with their connection to another server.
import net from 'node:net';
import tls from 'node:tls';
import { FlotillaError, invalidOption, messageOf } from '../core/index.ts';
import { HTTP_SERVER_DEFAULTS, LINGER_MS, LISTEN_BACKLOG } from './defaults.ts';
import { limitsFrom } from './options.ts';
import { Slab } from './output.ts';
import { ServerConnection } from './server-connection.ts';
import { Sweeper } from './sweeper.ts';
import type { Socket } from 'node:net';
import type { Clock, Logger } from '../core/index.ts';
import type { Exchange } from './exchange.ts';
import type { ConnectionHost } from './server-connection.ts';

export interface HttpServerComponents {
  readonly clock: Clock;
  readonly log: Logger;
}

/** Limits and times are explained at `HTTP_SERVER_DEFAULTS`. */
export interface HttpServerOptions
  extends Partial<Readonly<Record<keyof typeof HTTP_SERVER_DEFAULTS, number>>> {
  /** Key and certificate: HTTPS. @default none: HTTP */
  readonly tls?: tls.TlsOptions;
  /** False for a request whose connection `handOver` gets, from this request on. @default all */
  readonly takes?: (method: string, target: string) => boolean;
  /**
   * Gets connections with their unread bytes put back, for one of `node:http`:
   * `(socket) => other.emit('connection', socket)`. They are no longer this server's: neither its
   * timeouts nor `stop` touch them.
   */
  readonly handOver?: (socket: Socket) => void;
}

const takesAll = () => true;

export class HttpServer {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #handler: (exchange: Exchange) => void;
  readonly #options: HttpServerOptions;
  readonly #server: net.Server;
  readonly #sweeper: Sweeper;
  readonly #host: ConnectionHost;
  readonly #connections = new Set<ServerConnection>();
  #isStopping = false;
  #whenEmpty: (() => void) | undefined;
  #dateLine = '';
  #dateUntil = 0;

  constructor(
    components: HttpServerComponents,
    options: HttpServerOptions,
    handler: (exchange: Exchange) => void,
  ) {
    const limits = limitsFrom(HTTP_SERVER_DEFAULTS, options);
    if (options.takes !== undefined && options.handOver === undefined) {
      throw invalidOption('handOver', 'given beside takes', undefined);
    }
    const { headTimeoutMs, idleTimeoutMs, bodyTimeoutMs } = limits;
    this.#clock = components.clock;
    this.#log = components.log;
    this.#options = options;
    this.#handler = handler;
    this.#sweeper = new Sweeper(components.clock, [headTimeoutMs, idleTimeoutMs, bodyTimeoutMs]);
    const { tls: secure } = options;
    const accept = (socket: Socket) => this.#accept(socket);
    // Half-open, so that a last answer can be sent while bytes of its request still come.
    const sockets = { allowHalfOpen: true, noDelay: true };
    const handshake = { ALPNProtocols: ['http/1.1'], handshakeTimeout: headTimeoutMs };
    this.#server =
      secure === undefined
        ? net.createServer(sockets, accept)
        : tls.createServer({ ...sockets, ...handshake, ...secure }, accept);
    this.#server.maxConnections = limits.maxConnections;
    this.#server.on('tlsClientError', (error: Error) => {
      this.#log.debug({ error: messageOf(error) }, 'TLS handshake failed');
    });
    this.#host = this.#hostOf(limits);
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Port 0 takes any free one. Rejects with `http_listen_failed`. */
  async listen(at: { host: string; port: number }): Promise<{ host: string; port: number }> {
    const server = this.#server;
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ ...at, backlog: LISTEN_BACKLOG }, () => {
          server.off('error', reject);
          resolve();
        });
      });
    } catch (cause) {
      const { code } = cause as { code?: string };
      throw new FlotillaError('http_listen_failed', messageOf(cause), {
        details: { host: at.host, port: at.port, reason: code ?? '' },
        cause,
      });
    }
    server.on('error', (error) => {
      this.#log.warn({ error: messageOf(error) }, 'HTTP server cannot accept a connection');
    });
    const { address, port } = server.address() as net.AddressInfo;
    return { host: address, port };
  }

  /**
   * Accepts no more, closes idle connections, lets answers under way finish for `graceMs`, then
   * cuts them; their handlers are told `http_server_stopped`.
   */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    this.#server.close();
    for (const connection of this.#connections) connection.stop();
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.schedule(graceMs, () => this.#cutAll());
      this.#whenEmpty = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #cutAll(): void {
    const reason = new FlotillaError('http_server_stopped', 'the server was stopped');
    for (const connection of this.#connections) connection.abort(reason);
  }

  #accept(socket: Socket): void {
    if (this.#isStopping) {
      socket.destroy();
      return;
    }
    const connection = new ServerConnection(this.#host, socket);
    this.#connections.add(connection);
    this.#sweeper.add(connection);
  }

  #forget(connection: ServerConnection): void {
    this.#connections.delete(connection);
    this.#sweeper.delete(connection);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  #handle(exchange: Exchange): void {
    try {
      this.#handler(exchange);
    } catch (error) {
      this.#log.error({ error: messageOf(error), target: exchange.target }, 'handler failed');
      exchange.fail(500);
    }
  }

  #date(): string {
    const now = this.#clock.now();
    if (now < this.#dateUntil) return this.#dateLine;
    this.#dateUntil = now + 1000;
    this.#dateLine = `date: ${new Date(this.#clock.wallTime()).toUTCString()}\r\n`;
    return this.#dateLine;
  }

  #hostOf(limits: Record<keyof typeof HTTP_SERVER_DEFAULTS, number>): ConnectionHost {
    const sweeper = this.#sweeper;
    const sweeps = {
      head: sweeper.atLeast(limits.headTimeoutMs),
      idle: sweeper.atLeast(limits.idleTimeoutMs),
      body: sweeper.atLeast(limits.bodyTimeoutMs),
      linger: sweeper.atLeast(LINGER_MS),
    };
    const isStopping = () => this.#isStopping;
    const date = () => this.#date();
    return {
      ...limits,
      sweeps,
      slab: new Slab(),
      get dateLine() {
        return date();
      },
      get isStopping() {
        return isStopping();
      },
      handle: (exchange) => this.#handle(exchange),
      takes: this.#options.takes ?? takesAll,
      handOver: (connection, socket) => {
        this.#forget(connection);
        this.#options.handOver?.(socket);
      },
      closed: (connection) => this.#forget(connection),
    };
  }
}
