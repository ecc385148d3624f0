// The least that a gateway does, over `src/http`: reads a request, passes it on, passes the answer
// back.
import { silentLogger, systemClock } from '../../src/core/index.ts';
import { HttpClient, HttpServer, statusOf } from '../../src/http/index.ts';
import type { FlotillaError } from '../../src/core/index.ts';
import type { Exchange } from '../../src/http/index.ts';

const MAX_BODY_BYTES = 1 << 20;

const [port, upstreamPort] = process.argv.slice(2).map(Number);
const origin = `http://127.0.0.1:${upstreamPort}`;
const client = new HttpClient({ clock: systemClock });

function forward(exchange: Exchange, body: Buffer): void {
  const { method, target: path } = exchange;
  const headers = exchange.headers.forwardable();
  const request = client.request(
    { origin, method, path, headers, body },
    {
      onHead: (status, fields) => exchange.respond(status, fields.forwardable()),
      onData: (chunk) => exchange.write(chunk),
      onEnd: () => exchange.end(),
      onError: (error) => exchange.fail(502, error.code),
    },
  );
  exchange.onDrain(() => request.resume());
  exchange.onAbort(() => request.abort());
}

const server = new HttpServer({ clock: systemClock, log: silentLogger }, {}, (exchange) => {
  exchange.body(MAX_BODY_BYTES).then(
    (body) => forward(exchange, body),
    (error: FlotillaError) => exchange.fail(statusOf(error), error.code),
  );
});
await server.listen({ host: '127.0.0.1', port: port! });
