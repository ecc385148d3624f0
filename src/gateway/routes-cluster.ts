// What an operator asks a node: does it live, what does it measure, how does it see the cluster.
import { parseRequest, routeSchema } from './validate.ts';
import type { FastifyInstance } from 'fastify';
import type { GatewayComponents } from './components.ts';
import type { GatewayMetrics } from './metrics.ts';

export function registerClusterRoutes(
  app: FastifyInstance,
  components: GatewayComponents,
  metrics: GatewayMetrics,
): void {
  const { coordinator, models, tables } = components;

  app.get('/health', async () => ({
    status: 'ok',
    node: coordinator.nodeId,
    nodes: coordinator.clusterSize(),
    healthy: coordinator.healthyCount(),
  }));

  app.get('/metrics', async (_, reply) => {
    reply.type(metrics.contentType);
    return metrics.render();
  });

  app.get('/cluster', async () => ({
    summary: coordinator.topologySummary(),
    self: coordinator.nodeId,
    nodes: coordinator.registry.allNodes(),
    tables: (await tables?.()) ?? [],
    models: await models.list(),
  }));

  app.get('/cluster/route', async ({ query }) => {
    const { key } = parseRequest(routeSchema, query, 'query');
    const node = coordinator.route(key);
    return {
      key,
      node: node?.id ?? null,
      addr: node?.addr ?? null,
      httpAddr: node?.httpAddr ?? null,
      candidates: coordinator.explain(key).candidates,
    };
  });
}
