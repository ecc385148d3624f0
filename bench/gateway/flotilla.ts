// The gateway as a node has it: prefix affinity, admission, retries and the breaker as they are by
// default, over four engines, which are one backend under four names. With `node` they are behind a
// second node, a process of its own, over TLS.
import { once } from 'node:events';
import { createPrng, silentLogger, systemClock } from '../../src/core/index.ts';
import {
  EngineDirectory,
  EngineService,
  Gateway,
  LocalEngines,
  stampOf,
} from '../../src/gateway/index.ts';
import { HttpClient } from '../../src/http/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { Router } from '../../src/routing/index.ts';
import { createCredentials, SERVER_NAME } from '../messaging/certificates.ts';
import { serve, startServer } from '../messaging/server-process.ts';
import { createTransport } from '../messaging/transports.ts';
import type { Member } from '../../src/cluster/index.ts';
import type { Engine } from '../../src/engines/index.ts';
import type { CoordinatorView, ModelCatalogue } from '../../src/gateway/index.ts';
import type { Credentials } from '../../src/identity/index.ts';

interface Setup {
  readonly credentials: Credentials;
  readonly upstreamPort: number;
}

const ENGINES = ['a', 'b', 'c', 'd'];
/** Of which the load asks. */
const MODEL = 'm';
const SEED = 1;

const components = { clock: systemClock, log: silentLogger };

function backend(name: string, upstreamPort: number): Engine {
  return {
    ...{ name, state: 'up', problem: undefined, capacity: 1, models: [MODEL] },
    target: { origin: `http://127.0.0.1:${upstreamPort}`, apiPath: '/v1', headers: {} },
    modelNamed: () => MODEL,
    start: () => {},
    stop: async () => {},
    load: async () => ({}),
  };
}

function enginesAt(upstreamPort: number): LocalEngines {
  const engines = ENGINES.map((name) => backend(name, upstreamPort));
  return new LocalEngines(engines.map((engine) => ({ engine, isReachable: false })));
}

function createHost(credentials: Credentials): PeerHost {
  return new PeerHost({ ...components, transport: createTransport('tls', credentials) });
}

/** The second node. */
async function startNode({ credentials, upstreamPort }: Setup): Promise<object> {
  const host = createHost(credentials);
  const engines = enginesAt(upstreamPort);
  new EngineService({ ...components, host, client: new HttpClient(components), engines }).start();
  return host.listen({ host: '127.0.0.1', port: 0 });
}

/** Nothing is trained here, and there is no cluster: no request of the load asks for either. */
const models: ModelCatalogue = {
  list: async () => [],
  embed: async () => ({ vectors: new Float32Array(0), unknown: [] }),
  neighbors: async () => [],
  complete: async () => [],
};
const coordinator: CoordinatorView = {
  nodeId: 'bench',
  registry: { allNodes: () => [] },
  topologySummary: () => '',
  clusterSize: () => 1,
  healthyCount: () => 1,
  route: () => undefined,
  explain: () => ({ node: '', owner: '', cap: 1, candidates: [] }),
};

function memberNamed(name: string, metadata: Member['metadata']): Member {
  return {
    ...{ name, status: 'up', declared: 'up', incarnation: 0, metadata },
    ...{ address: '', httpAddress: '' },
  };
}

async function startGateway(port: number, upstreamPort: number, isBehindNode: boolean) {
  const prng = createPrng(SEED);
  const { client, server } = await createCredentials();
  const host = createHost(client);
  const members: Member[] = [];
  if (isBehindNode) {
    const setup: Setup = { credentials: server, upstreamPort };
    const { ready } = await startServer<{ port: number }>(import.meta.filename, setup);
    await host.connect(`127.0.0.1:${ready.port}`);
    const metadata = { engines: stampOf(enginesAt(upstreamPort).describe()) };
    members.push(memberNamed(SERVER_NAME, metadata));
  }
  const router = new Router({ prng });
  const routes = new EngineDirectory({
    ...{ ...components, prng, host, router, client: new HttpClient(components) },
    cluster: { members: () => members, watch: () => () => {} },
    loadOf: () => undefined,
    local: isBehindNode ? new LocalEngines([]) : enginesAt(upstreamPort),
  });
  routes.start();
  while (!router.serves(MODEL)) await new Promise((resolve) => setTimeout(resolve, 10));
  const gateway = new Gateway(
    {
      ...{ ...components, prng, models, coordinator },
      trainer: { train: async () => {} },
      engines: { router, routes, list: () => routes.list() },
    },
    { port },
  );
  await gateway.start();
}

if (process.argv[3] === 'server') {
  serve(startNode);
} else {
  const [port, upstreamPort] = process.argv.slice(2).map(Number);
  await startGateway(port!, upstreamPort!, process.argv[4] === 'node');
  await once(process, 'SIGTERM');
  process.exit(0);
}
