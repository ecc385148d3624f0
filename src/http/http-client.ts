// Sends requests to origins over connections that it keeps: the one used last first, so that those
// that a lull leaves over go cold and close. How many requests there may be is for its callers.
import net from 'node:net';
import tls from 'node:tls';
import { FlotillaError, invalidOption } from '../core/index.ts';
import { ClientConnection } from './client-connection.ts';
import { PendingRequest } from './client-request.ts';
import { TARGET, TOKEN } from './characters.ts';
import { HTTP_CLIENT_DEFAULTS, KEEP_ALIVE_MARGIN_MS, READ_BYTES } from './defaults.ts';
import { HeaderBlock } from './header-fields.ts';
import { limitsFrom } from './options.ts';
import { Slab } from './output.ts';
import { Sweeper } from './sweeper.ts';
import type { Clock } from '../core/index.ts';
import type { ClientTimes, ConnectionPool } from './client-connection.ts';
import type { ClientRequest, RequestOptions, ResponseSink } from './client-request.ts';

export interface HttpClientComponents {
  readonly clock: Clock;
}

/** Limits and times are explained at `HTTP_CLIENT_DEFAULTS`. */
export interface HttpClientOptions
  extends Partial<Readonly<Record<keyof typeof HTTP_CLIENT_DEFAULTS, number>>> {
  /** For `https` origins: authorities, client certificate, ... @default Node's */
  readonly tls?: tls.ConnectionOptions;
}

type Limits = Readonly<Record<keyof typeof HTTP_CLIENT_DEFAULTS, number>>;

interface Shared {
  readonly limits: Limits;
  readonly times: ClientTimes;
  readonly slab: Slab;
  readonly readBuffer: Buffer;
  readonly sweeper: Sweeper;
  readonly tls: tls.ConnectionOptions | undefined;
  emptied(origin: Origin): void;
}

/** The connections to one origin. */
class Origin implements ConnectionPool {
  readonly times: ClientTimes;
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
  readonly slab: Slab;
  readonly hostLine: string;
  readonly name: string;
  readonly #shared: Shared;
  readonly #host: string;
  readonly #port: number;
  readonly #isSecure: boolean;
  readonly #idle: ClientConnection[] = [];
  readonly #all = new Set<ClientConnection>();

  constructor(name: string, shared: Shared) {
    const { limits } = shared;
    const url = parseOrigin(name);
    this.name = name;
    this.#shared = shared;
    this.times = shared.times;
    this.maxHeadBytes = limits.maxHeadBytes;
    this.maxHeaders = limits.maxHeaders;
    this.slab = shared.slab;
    this.hostLine = `host: ${url.host}\r\n`;
    this.#isSecure = url.protocol === 'https:';
    this.#host = url.hostname.replace(/^\[|\]$/g, '');
    this.#port = Number(url.port === '' ? (this.#isSecure ? 443 : 80) : url.port);
  }

  get idle(): number {
    return this.#idle.length;
  }

  get size(): number {
    return this.#all.size;
  }

  send(request: PendingRequest): void {
    for (let kept = this.#idle.pop(); kept !== undefined; kept = this.#idle.pop()) {
      if (!kept.isUsable) continue;
      kept.send(request);
      return;
    }
    this.#open().send(request);
  }

  released(connection: ClientConnection, keepAliveMs: number | undefined): void {
    const { limits, sweeper } = this.#shared;
    const asked = keepAliveMs === undefined ? Infinity : keepAliveMs - KEEP_ALIVE_MARGIN_MS;
    const sweeps = sweeper.atMost(Math.min(asked, limits.idleTimeoutMs));
    const isKept = sweeps > 0 && this.#idle.length < limits.maxIdlePerOrigin;
    connection.rest(isKept ? sweeps : 0);
    if (isKept) this.#idle.push(connection);
  }

  closed(connection: ClientConnection): void {
    const at = this.#idle.lastIndexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#all.delete(connection);
    this.#shared.sweeper.delete(connection);
    if (this.#all.size === 0) this.#shared.emptied(this);
  }

  again(request: PendingRequest): void {
    if (!request.isOver) this.#open().send(request);
  }

  close(error: FlotillaError): void {
    for (const connection of this.#all) connection.fail(error);
  }

  #open(): ClientConnection {
    const to = { host: this.#host, port: this.#port, noDelay: true };
    const servername = net.isIP(this.#host) === 0 ? { servername: this.#host } : {};
    const { readBuffer: buffer, tls: secure } = this.#shared;
    if (this.#isSecure) {
      const handshake = { ALPNProtocols: ['http/1.1'], ...servername, ...secure };
      const socket = tls.connect({ ...handshake, ...to });
      const connection = this.#add(new ClientConnection(this, socket));
      socket.on('data', (chunk: Buffer) => connection.receive(chunk));
      return connection;
    }
    // All connections read into one buffer: one for each read costs more than the copy out of it.
    const callback = (length: number) => {
      connection.receive(buffer.subarray(0, length));
      return true;
    };
    const socket = net.connect({ ...to, onread: { buffer, callback } });
    const connection = this.#add(new ClientConnection(this, socket));
    return connection;
  }

  #add(connection: ClientConnection): ClientConnection {
    this.#all.add(connection);
    this.#shared.sweeper.add(connection);
    return connection;
  }
}

export class HttpClient {
  readonly #shared: Shared;
  readonly #origins = new Map<string, Origin>();
  #isClosed = false;

  constructor(components: HttpClientComponents, options: HttpClientOptions = {}) {
    const limits = limitsFrom(HTTP_CLIENT_DEFAULTS, options);
    const { connectTimeoutMs, headTimeoutMs, bodyTimeoutMs, idleTimeoutMs } = limits;
    const sweeper = new Sweeper(components.clock, [
      connectTimeoutMs,
      headTimeoutMs,
      bodyTimeoutMs,
      idleTimeoutMs,
    ]);
    this.#shared = {
      limits,
      sweeper,
      slab: new Slab(),
      readBuffer: Buffer.allocUnsafeSlow(READ_BYTES),
      tls: options.tls,
      times: {
        connectTimeoutMs,
        headTimeoutMs,
        bodyTimeoutMs,
        connectSweeps: sweeper.atLeast(connectTimeoutMs),
        headSweeps: sweeper.atLeast(headTimeoutMs),
        bodySweeps: sweeper.atLeast(bodyTimeoutMs),
      },
      emptied: (origin) => void this.#origins.delete(origin.name),
    };
  }

  /** Connections to all origins, those that are kept idle among them. */
  get connections(): number {
    return [...this.#origins.values()].reduce((sum, { size }) => sum + size, 0);
  }

  get idleConnections(): number {
    return [...this.#origins.values()].reduce((sum, { idle }) => sum + idle, 0);
  }

  /**
   * Sends a request. `sink` is never called before this returns. Throws `invalid_option` and
   * `http_header_invalid` for what must not be sent.
   */
  request(options: RequestOptions, sink: ResponseSink): ClientRequest {
    if (this.#isClosed) throw closedError();
    if (!isMadeOf(options.method, TOKEN)) throw invalidOption('method', 'a token', options.method);
    if (options.path[0] !== '/' || !isMadeOf(options.path, TARGET)) {
      throw invalidOption('path', 'a path of visible ASCII', options.path);
    }
    const request = new PendingRequest(options, HeaderBlock.from(options.headers), sink);
    let origin = this.#origins.get(options.origin);
    if (origin === undefined) {
      origin = new Origin(options.origin, this.#shared);
      this.#origins.set(options.origin, origin);
    }
    origin.send(request);
    return request;
  }

  /** Closes all connections; requests under way fail with `http_client_closed`. */
  close(): void {
    this.#isClosed = true;
    const error = closedError();
    for (const origin of [...this.#origins.values()]) origin.close(error);
  }
}

function closedError(): FlotillaError {
  return new FlotillaError('http_client_closed', 'the HTTP client is closed');
}

function parseOrigin(name: string): URL {
  const url = URL.canParse(name) ? new URL(name) : undefined;
  if (url === undefined || !/^https?:\/\/[^/?#@\\]+\/?$/i.test(name)) {
    throw invalidOption('origin', 'http(s)://HOST:PORT', name);
  }
  return url;
}

function isMadeOf(text: string, table: Uint8Array): boolean {
  if (text.length === 0) return false;
  for (let i = 0; i < text.length; i++) if (table[text.charCodeAt(i)] !== 1) return false;
  return true;
}
