// Raw sockets for the tests of HTTP: what is sent and read are bytes, so that nothing in between
// can make them better than they are.
import net from 'node:net';
import { silentLogger, systemClock } from '../../src/core/index.ts';
import { HttpClient, HttpServer } from '../../src/http/index.ts';
import type { TestContext } from 'node:test';
import type { FlotillaError } from '../../src/core/index.ts';
import type {
  Exchange,
  HttpClientOptions,
  HttpServerOptions,
  RequestOptions,
} from '../../src/http/index.ts';

export type Handler = (exchange: Exchange) => void;

/** Answers with method, target and body. */
export const echo: Handler = (exchange) => {
  exchange.body(1 << 20).then(
    (body) => {
      exchange.respond(200, ['content-type', 'text/plain']);
      exchange.end(Buffer.from(`${exchange.method} ${exchange.target} ${body.toString('latin1')}`));
    },
    (error: FlotillaError) => exchange.fail(Number(error.details['status'] ?? 500), error.code),
  );
};

export async function startServer(
  t: TestContext,
  handler: Handler,
  options: HttpServerOptions = {},
): Promise<{ server: HttpServer; port: number; origin: string }> {
  const server = new HttpServer({ clock: systemClock, log: silentLogger }, options, handler);
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  t.after(() => server.stop(0));
  const scheme = options.tls === undefined ? 'http' : 'https';
  return { server, port, origin: `${scheme}://127.0.0.1:${port}` };
}

export function startClient(t: TestContext, options: HttpClientOptions = {}): HttpClient {
  const client = new HttpClient({ clock: systemClock }, options);
  t.after(() => client.close());
  return client;
}

/** A raw server that runs `serve` for each connection. */
export async function startOrigin(
  t: TestContext,
  serve: (socket: net.Socket, index: number) => void,
): Promise<{ origin: string; port: number; connections: () => number }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket, sockets.size - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as net.AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, port, connections: () => sockets.size };
}

/** A raw client connection and everything that came over it. */
export class RawClient {
  readonly socket: net.Socket;
  text = '';
  isClosed = false;
  #waiters: (() => void)[] = [];

  constructor(port: number) {
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const wake = () => {
      for (const waiter of this.#waiters.splice(0)) waiter();
    };
    this.socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1');
      wake();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
      wake();
    });
  }

  send(bytes: string | Buffer): this {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    return this;
  }

  /** Resolves once `holds`, or the connection is closed. */
  async until(holds: (text: string) => boolean): Promise<string> {
    while (!holds(this.text) && !this.isClosed) {
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
    return this.text;
  }

  closed(): Promise<string> {
    return this.until(() => false);
  }
}

/** Sends `bytes` over a new connection and gives all that comes until the server closes. */
export async function exchangeBytes(port: number, bytes: string): Promise<string> {
  const client = new RawClient(port);
  return await client.send(bytes).closed();
}

export const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** One request by `HttpClient`, gathered. Rejects with what `onError` got. */
export function fetchBy(client: HttpClient, options: RequestOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let headers: Record<string, string> = {};
    const chunks: Buffer[] = [];
    client.request(options, {
      onHead: (code, fields) => {
        status = code;
        headers = Object.fromEntries(
          [...fields].map(([name, value]) => [name.toLowerCase(), value]),
        );
      },
      onData: (chunk) => {
        chunks.push(chunk);
        return true;
      },
      onEnd: () => resolve({ status, headers, body: Buffer.concat(chunks).toString('latin1') }),
      onError: reject,
    });
  });
}

/** A promise and the function that fulfils it. */
export function signal<T = void>(): { promise: Promise<T>; fire: (value: T) => void } {
  let fire!: (value: T) => void;
  const promise = new Promise<T>((resolve) => {
    fire = resolve;
  });
  return { promise, fire };
}
