// A gateway on a free port in front of small fakes: two words of width 3 and a trainer that does
// what a test tells it to.
import { createPrng, FlotillaError, silentLogger, systemClock } from '../../src/core/index.ts';
import { Gateway } from '../../src/gateway/index.ts';
import { Router } from '../../src/routing/index.ts';
import type { NodeInfo } from '../../src/cluster/index.ts';
import type {
  CoordinatorView,
  EngineView,
  GatewayComponents,
  GatewayOptions,
  ModelCatalogue,
  TrainingService,
} from '../../src/gateway/index.ts';

export const VECTORS: Readonly<Record<string, readonly number[]>> = {
  'dog.n.01': [0.5, -1.25, 3e-7],
  'wolf.n.01': [1, 0, -2],
};

const NODES: readonly NodeInfo[] = ['node-0', 'node-1'].map((id, index) => ({
  id,
  addr: `127.0.0.1:740${index}`,
  httpAddr: `127.0.0.1:808${index}`,
  healthy: index === 0,
  load: 0.25,
  lastSeenMs: 1_000,
}));

export function fakeModels(overrides: Partial<ModelCatalogue> = {}): ModelCatalogue {
  return {
    list: async () => [
      { name: 'wordnet', status: 'ready', dim: 3, createdMs: 1_700_000_000_500, entities: 2 },
    ],
    embed: async (_model, words) => ({
      vectors: Float32Array.from(words.flatMap((word) => VECTORS[word] ?? [0, 0, 0])),
      unknown: words.filter((word) => VECTORS[word] === undefined),
    }),
    neighbors: async (_model, word, k) => {
      if (word === 'gone') {
        const message = 'shard 3 of wordnet lives on node-2, which is gone';
        throw new FlotillaError('owner_unreachable', message);
      }
      if (word === 'bug') throw new TypeError('secret detail');
      return [{ id: 'wolf.n.01', score: 0.75 }].slice(0, k);
    },
    complete: async (_model, head, relation) => {
      if (relation !== 'hypernym') {
        throw new FlotillaError('relation_unknown', `there is no relation "${relation}"`);
      }
      return [{ id: `${head}-parent`, score: 2 }];
    },
    ...overrides,
  };
}

export const fakeCoordinator: CoordinatorView = {
  nodeId: 'node-0',
  registry: { allNodes: () => NODES },
  topologySummary: () => 'cluster[nodes=2 healthy=1 vnodes=300 self=node-0]',
  clusterSize: () => NODES.length,
  healthyCount: () => 1,
  route: () => NODES[0],
  explain: () => ({
    node: 'node-0',
    owner: 'node-0',
    cap: 1,
    candidates: [
      {
        ...{ node: 'node-0', reason: 'serves the key', healthy: true },
        ...{ overloaded: false, inFlight: 0, cap: 1 },
      },
    ],
  }),
};

export interface Site {
  readonly gateway: Gateway;
  readonly url: string;
  readonly logged: string[];
}

/** Starts a gateway for the duration of `use`. */
export async function withGateway(
  parts: Partial<GatewayComponents> & { options?: GatewayOptions },
  use: (site: Site) => Promise<void>,
): Promise<void> {
  const logged: string[] = [];
  const { options, ...overrides } = parts;
  const gateway = new Gateway(
    {
      models: fakeModels(),
      trainer: idleTrainer,
      coordinator: fakeCoordinator,
      engines: noEngines(),
      prng: createPrng(1),
      clock: systemClock,
      log: { ...silentLogger, error: (_fields, message) => logged.push(message) },
      ...overrides,
    },
    { port: 0, ...options },
  );
  const { host, port } = await gateway.start();
  try {
    await use({ gateway, url: `http://${host}:${port}`, logged });
  } finally {
    await gateway.stop();
  }
}

/** A fleet without engines. */
export function noEngines(): EngineView {
  const router = new Router({ prng: createPrng(1) });
  return { router, routes: { of: () => undefined }, list: () => [] };
}

const idleTrainer: TrainingService = { train: async () => {} };

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes
  readonly body: any;
}

/** A request whose JSON answer is parsed. */
export async function ask(url: string, init?: RequestInit): Promise<Answer> {
  const response = await fetch(url, init);
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: JSON.parse(text) };
}

export function post(url: string, body: unknown): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return ask(url, { method: 'POST', body: text });
}
