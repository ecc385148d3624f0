// Peer: fastify with undici's `dispatch`, its leanest call, as a proxy of JSON and event streams.
import { Readable } from 'node:stream';
import fastify from 'fastify';
import { loadPeer } from '../peers/load.ts';

interface Undici {
  readonly Agent: new (options: object) => Dispatcher;
}
interface Dispatcher {
  dispatch(options: object, handler: object): void;
}

const [port, upstreamPort] = process.argv.slice(2).map(Number);
const { Agent } = await loadPeer<Undici>('../peers/node_modules/undici/index.js');
const agent = new Agent({ connections: 128, pipelining: 1 });
const origin = `http://127.0.0.1:${upstreamPort}`;
const app = fastify();
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_, body, done) => {
  done(null, body);
});
app.post('/v1/chat/completions', (request, reply) => {
  const { connection: _, host: __, ...headers } = request.headers;
  const body = new Readable({ read: () => {} });
  const handler = {
    onRequestStart: () => {},
    onResponseStart: (_controller: unknown, status: number, fields: Record<string, string>) => {
      const { 'transfer-encoding': _coding, connection: _connection, ...kept } = fields;
      void reply.code(status).headers(kept).send(body);
    },
    onResponseData: (_controller: unknown, chunk: Buffer) => void body.push(chunk),
    onResponseEnd: () => void body.push(null),
    onResponseError: (_controller: unknown, error: Error) => void body.destroy(error),
  };
  agent.dispatch(
    { origin, path: request.url, method: 'POST', headers, body: request.body },
    handler,
  );
});
await app.listen({ host: '127.0.0.1', port: port! });
