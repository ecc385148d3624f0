// The composition root: starts every part of a node in the order of their ranks, and stops them in
// reverse. Nothing else in Flotilla makes a socket, a file or a thread on its own account.
import { systemClock } from '../core/index.ts';
import { Kernels } from '../devices/index.ts';
import { formatAddress, QuicTransport, TlsTransport } from '../transport/index.ts';
import { PeerHost } from '../peer/index.ts';
import { EmbeddedStore, RemoteStore, serveStore } from '../store/index.ts';
import { Cluster, Coordinator } from '../cluster/index.ts';
import { TableService } from '../tables/index.ts';
import { Models, Trainer } from '../training/index.ts';
import { Gateway } from '../gateway/index.ts';
import { layoutOf } from './config.ts';
import { NODE_DEFAULTS } from './defaults.ts';
import { createLoadSampler } from './load-sampler.ts';
import { createLogger } from './log.ts';
import type { Logger } from '../core/index.ts';
import type { ClusterAuthority, Credentials } from '../identity/index.ts';
import type { LaneCounters } from '../gateway/index.ts';
import type { Peer } from '../peer/index.ts';
import type { Store } from '../store/index.ts';
import type { NodeConfig } from './config.ts';

const clock = systemClock;

/** Who the node is; the founding node holds the CA. */
export interface NodeIdentity {
  readonly credentials: Credentials;
  readonly authority?: ClusterAuthority;
}

/** The parts that the rest of the program uses. */
export interface StartedNode {
  readonly address: string;
  readonly httpUrl: string | undefined;
  readonly coordinator: Coordinator;
  readonly tables: TableService;
  readonly models: Models;
  readonly trainer: Trainer;
  stop(): Promise<void>;
}

/** Starts a node. When a part fails to start, those before it are stopped. */
export async function startNode(config: NodeConfig, identity: NodeIdentity): Promise<StartedNode> {
  const stack = new AsyncDisposableStack();
  try {
    return await startParts(config, identity, stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function startParts(
  config: NodeConfig,
  identity: NodeIdentity,
  stack: AsyncDisposableStack,
): Promise<StartedNode> {
  const log = createLogger(config);
  const { host, address } = await startPeers(config, identity, { log, stack });
  const coordinator = new Coordinator({ clock }, { nodeId: config.name, bindAddr: address });
  const cluster = createCluster(config, { host, coordinator, log, address, identity });
  const embedded = identity.authority && (await openStore(config, host));
  await cluster.start(config.seeds);
  stack.defer(() => cluster.stop());
  const store: Store = embedded ?? new RemoteStore(host, cluster.founder, { clock });
  stack.defer(() => store.close());

  const kernels = await Kernels.create({ maxBytes: NODE_DEFAULTS.kernelMemoryBytes });
  const { tables: directory } = layoutOf(config.dataDir);
  const tables = new TableService({ host, coordinator, store, kernels, clock, log }, { directory });
  await tables.start();
  stack.defer(() => tables.stop());
  const trainer = new Trainer({ host, coordinator, tables, store, kernels, clock, log });
  await trainer.start();
  stack.defer(() => trainer.stop());
  const models = new Models({ tables, store });

  const parts = { coordinator, tables, models, trainer };
  const httpAddress = await startGateway(config, { ...parts, host, log, stack });
  if (httpAddress !== undefined) cluster.announceHttp(httpAddress);
  log.info({ address, httpAddress }, 'node started');
  const httpUrl = httpAddress === undefined ? undefined : `http://${httpAddress}`;
  return { ...parts, address, httpUrl, stop: () => stack.disposeAsync() };
}

async function startPeers(
  config: NodeConfig,
  { credentials, authority }: NodeIdentity,
  { log, stack }: { log: Logger; stack: AsyncDisposableStack },
): Promise<{ host: PeerHost; address: string }> {
  const options = authority === undefined ? {} : { onJoin: authority.admit.bind(authority) };
  const Transport = config.preset === 'wan' ? QuicTransport : TlsTransport;
  const transport = new Transport({ clock, credentials, log }, options);
  const host = new PeerHost({ clock, log, transport });
  stack.defer(() => host.stop());
  const address = formatAddress(await host.listen(config.listen));
  return { host, address };
}

interface ClusterParts {
  readonly host: PeerHost;
  readonly coordinator: Coordinator;
  readonly log: Logger;
  readonly address: string;
  readonly identity: NodeIdentity;
}

function createCluster(config: NodeConfig, parts: ClusterParts): Cluster {
  const { host, coordinator, log, address, identity } = parts;
  const { heartbeatIntervalMs, healthTimeoutMs, name } = config;
  return new Cluster(
    { host, coordinator, clock, log, load: createLoadSampler() },
    {
      address,
      ...(identity.authority !== undefined && { founder: name }),
      ...(heartbeatIntervalMs !== undefined && { heartbeatIntervalMs }),
      ...(healthTimeoutMs !== undefined && { healthTimeoutMs }),
    },
  );
}

async function openStore(config: NodeConfig, host: PeerHost): Promise<Store> {
  const store = await EmbeddedStore.open(layoutOf(config.dataDir).store, { clock });
  serveStore(host, store);
  return store;
}

interface GatewayParts extends Pick<StartedNode, 'coordinator' | 'tables' | 'models' | 'trainer'> {
  readonly host: PeerHost;
  readonly log: Logger;
  readonly stack: AsyncDisposableStack;
}

/** Returns where clients connect, `host:port`. */
async function startGateway(config: NodeConfig, parts: GatewayParts): Promise<string | undefined> {
  if (config.http === false) return undefined;
  const { tables, host, stack, ...shared } = parts;
  const components = {
    ...shared,
    clock,
    tables: () => tables.list(),
    laneCounters: () => host.peers().flatMap(laneCountersOf),
  };
  const gateway = new Gateway(components, config.http);
  stack.defer(() => gateway.stop());
  return formatAddress(await gateway.start());
}

function laneCountersOf(peer: Peer): LaneCounters[] {
  const { control, requests, responses, channels } = peer.metrics;
  return Object.entries({ control, requests, responses, channels }).map(([lane, counters]) => ({
    peer: peer.name,
    lane,
    messagesSent: counters.sentMessages,
    messagesReceived: counters.receivedMessages,
    bytesSent: counters.sentBytes,
    bytesReceived: counters.receivedBytes,
  }));
}
