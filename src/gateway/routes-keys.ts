// API keys over HTTP: list, make, revoke. Only for operators: whoever may make a key may do
// everything that keys are for.
import { jsonOf } from './operators.ts';
import { keySchema, parseRequest } from './validate.ts';
import type { FastifyInstance } from 'fastify';
import type { KeyControl } from './components.ts';
import type { Operators } from './operators.ts';

export function registerKeyRoutes(
  app: FastifyInstance,
  keys: KeyControl,
  operators: Operators,
): void {
  app.get('/keys', async (request) => {
    operators.check(request);
    return { required: keys.areRequired, keys: keys.list() };
  });

  app.post('/keys', async (request, reply) => {
    operators.check(request);
    const spec = parseRequest(keySchema, jsonOf(request), 'body');
    const { key, text } = await keys.create(spec);
    // The only time that the text is shown.
    void reply.code(201).header('cache-control', 'no-store');
    return { ...key, key: text };
  });

  app.delete<{ Params: { id: string } }>('/keys/:id', async (request) => {
    operators.check(request);
    return keys.revoke(request.params.id);
  });
}
