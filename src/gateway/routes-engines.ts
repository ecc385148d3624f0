// The engines of the fleet over HTTP: which there are, and how a request would be routed.
import { explainSchema, parseRequest } from './validate.ts';
import type { FastifyInstance } from 'fastify';
import type { GatewayComponents } from './components.ts';
import type { Inference } from './proxy/inference.ts';

export function registerEngineRoutes(
  app: FastifyInstance,
  { engines, clock }: GatewayComponents,
  inference: Inference,
): void {
  app.get('/engines', async () => {
    const states = new Map(
      engines.router.states(clock.now()).map((state) => [state.endpoint, state]),
    );
    return {
      policy: engines.router.policy,
      engines: engines.list().map(({ target, ...engine }) => ({
        ...engine,
        ...(target !== undefined && { origin: target.origin }),
        routing: states.get(engine.endpoint) ?? null,
      })),
    };
  });

  app.get('/explain', async ({ query }) =>
    inference.explain(parseRequest(explainSchema, query, 'query')),
  );
}
