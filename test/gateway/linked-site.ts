// A gateway whose engines are behind another node: two hosts with a TLS link between them on this
// machine, and the engines that a test wrote behind the second one.
import { createPrng, silentLogger, systemClock } from '../../src/core/index.ts';
import { EngineService, LocalEngines } from '../../src/gateway/index.ts';
import { PeerRoute } from '../../src/gateway/engines/peer-route.ts';
import { HttpClient } from '../../src/http/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { Router } from '../../src/routing/index.ts';
import { TlsTransport } from '../../src/transport/index.ts';
import { createAuthority } from '../peer/networks.ts';
import { MODEL, ScriptedEngine } from './engine-site.ts';
import { withGateway } from './fakes.ts';
import type { Engine } from '../../src/engines/index.ts';
import type { EngineRoute } from '../../src/gateway/proxy/engine-route.ts';
import type { Tracer } from '../../src/gateway/index.ts';
import type { EngineSite, EngineSiteOptions } from './engine-site.ts';

const GATEWAY = 'node-a';
const NODE = 'node-b';

export interface LinkedSite extends EngineSite {
  readonly service: EngineService;
}

function engineAt({ name, origin }: ScriptedEngine): Engine {
  return {
    ...{ name, state: 'up', problem: undefined, capacity: 1, models: [MODEL] },
    target: { origin, apiPath: '/v1', headers: {} },
    modelNamed: () => MODEL,
    start: () => {},
    stop: async () => {},
    load: async () => ({}),
  };
}

/** `tracer` is that of the second node. */
export async function withLinkedEngines(
  setup: EngineSiteOptions & { readonly tracer?: Tracer },
  use: (site: LinkedSite) => Promise<void>,
): Promise<void> {
  const components = { clock: systemClock, log: silentLogger, prng: createPrng(3) };
  await using stack = new AsyncDisposableStack();
  const authority = await createAuthority();
  stack.defer(() => authority.remove());
  const host = async (name: string) => {
    const credentials = await authority.credentials(name);
    const made = new PeerHost({
      ...components,
      transport: new TlsTransport({ credentials, ...components }),
    });
    stack.defer(() => made.stop());
    return made;
  };
  const engines = setup.engines.map((handler, index) => new ScriptedEngine(`e${index}`, handler));
  for (const engine of engines) {
    await engine.start();
    stack.defer(() => engine.kill());
  }
  const node = await host(NODE);
  const client = new HttpClient(components);
  stack.defer(() => client.close());
  const local = new LocalEngines(
    engines.map((engine) => ({ engine: engineAt(engine), isReachable: false })),
  );
  const parts = { ...components, host: node, client, engines: local, tracer: setup.tracer };
  const service = new EngineService(parts);
  service.start();
  const gatewayHost = await host(GATEWAY);
  const { port } = await node.listen({ host: '127.0.0.1', port: 0 });
  await gatewayHost.connect(`127.0.0.1:${port}`);
  const router = new Router(components, setup.routing);
  const routes = new Map<string, EngineRoute>();
  const tag = () => (BigInt(components.prng.uint32()) << 32n) | BigInt(components.prng.uint32());
  for (const { name } of engines) {
    const target = { node: NODE, engine: name, models: { [MODEL]: MODEL } };
    routes.set(`${NODE}/${name}`, new PeerRoute({ host: gatewayHost, tag }, target));
    router.add({ id: `${NODE}/${name}`, node: NODE, models: [MODEL] }, systemClock.now());
  }
  await withGateway(
    {
      ...setup.parts,
      engines: { router, routes: { of: (id) => routes.get(id) }, list: () => [] },
      ...(setup.options && { options: setup.options }),
    },
    (site) => use({ ...site, engines, router, service }),
  );
}
