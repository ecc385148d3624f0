// What an operator asks a node: does it live, what does it measure, how does it see the cluster.
import { loadReport } from './load-report.ts';
import { jsonOf } from './operators.ts';
import { drainSchema, leaveSchema, parseRequest, routeSchema } from './validate.ts';
import type { FastifyInstance } from 'fastify';
import type { NodeInfo } from '../cluster/index.ts';
import type { GatewayComponents, MemberControl } from './components.ts';
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

  app.get('/load', async () => loadReport(components));

  app.get('/cluster', async () => ({
    summary: coordinator.topologySummary(),
    self: coordinator.nodeId,
    nodes: withStatus(coordinator.registry.allNodes(), components.members),
    tables: (await tables?.()) ?? [],
    models: await models.list(),
  }));

  app.get('/cluster/shards', async () => ({
    self: coordinator.nodeId,
    shards: (await components.shards?.()) ?? [],
  }));

  app.get('/cluster/devices', async () => ({
    self: coordinator.nodeId,
    ...((await components.devices?.()) ?? { devices: [], silent: [] }),
  }));

  app.get('/cluster/route', async ({ query }) => {
    const { key } = parseRequest(routeSchema, query, 'query');
    const { node: id, owner, cap, candidates } = coordinator.explain(key);
    const node = coordinator.registry.allNodes().find((listed) => listed.id === id);
    return {
      key,
      node: node?.id ?? null,
      addr: node?.addr ?? null,
      httpAddr: node?.httpAddr ?? null,
      owner: owner ?? null,
      cap,
      candidates,
    };
  });

  if (components.members !== undefined) registerMemberRoutes(app, components.members, coordinator);
}

/** A node that was forgotten a moment ago has no status. */
function withStatus(nodes: readonly NodeInfo[], members: MemberControl | undefined): object[] {
  const statuses = new Map(members?.list().map(({ name, status }) => [name, status]));
  return nodes.map((node) => ({ ...node, status: statuses.get(node.id) }));
}

function registerMemberRoutes(
  app: FastifyInstance,
  members: MemberControl,
  { nodeId }: Pick<GatewayComponents['coordinator'], 'nodeId'>,
): void {
  app.get('/cluster/members', async () => ({ self: nodeId, members: members.list() }));

  app.post('/cluster/drain', async (request) => {
    const { node, cancel } = parseRequest(drainSchema, jsonOf(request), 'body');
    await members.drain(node, cancel);
    return { node, status: cancel ? 'up' : 'leaving' };
  });

  app.post('/cluster/leave', async (request) => {
    const { node = nodeId } = parseRequest(leaveSchema, jsonOf(request), 'body');
    await members.leave(node);
    return { node, status: 'leaving' };
  });
}
