// What a node serves: engines to the fleet, HTTP to clients, and to both of them word of its load.
import { Gateway, GATEWAY_DEFAULTS, Tracer } from '../gateway/index.ts';
import { formatAddress } from '../transport/index.ts';
import { readConfigured } from './config.ts';
import { NodeEngines } from './engines.ts';
import { shareLoad } from './share-load.ts';
import type { LaneCounters, QuicCounters } from '../gateway/index.ts';
import type { Peer } from '../peer/index.ts';
import type { FleetDevices, NodeDevices } from '../placement/index.ts';
import type { Sharding } from '../sharding/index.ts';
import type { TableService } from '../tables/index.ts';
import type { Models, Trainer } from '../training/index.ts';
import type { NodeConfig } from './config.ts';
import type { NodeEnginesComponents } from './engines.ts';
import type { KeyService } from './key-service.ts';
import type { MemberService } from './member-service.ts';

export interface ServingParts extends NodeEnginesComponents {
  readonly sharding: Sharding;
  readonly devices: FleetDevices;
  readonly ownDevices: NodeDevices;
  readonly tables: TableService;
  readonly models: Models;
  readonly trainer: Trainer;
  readonly members: MemberService;
  readonly keys: KeyService;
  readonly quicCounters: QuicCounters | undefined;
}

/** Where clients reach the node; undefined without HTTP. What stops it is put on `stack`. */
export async function serve(
  config: NodeConfig,
  parts: ServingParts,
  stack: AsyncDisposableStack,
): Promise<string | undefined> {
  const { host, cluster, coordinator, clock, prng, log } = parts;
  const tracing = config.http === false ? undefined : config.http.tracing;
  const tracer = tracing && new Tracer({ node: config.name, clock, prng, log }, tracing);
  stack.defer(() => tracer?.stop());
  const traced = { ...parts, ...(tracer && { tracer }) };
  const engines = await NodeEngines.start(config, traced);
  stack.defer(() => engines.stop());
  const http = await startGateway(config, { ...traced, engines }, stack);
  if (http !== undefined) cluster.announceHttp(http.address);
  const shared = { host, cluster, coordinator, clock, prng, log };
  const requests = () => requestsOf(http?.gateway);
  const { ownDevices: devices } = parts;
  stack.defer(shareLoad(config, { ...shared, requests, devices, engines: engines.load }));
  return http?.url;
}

/** Undefined for a node without HTTP. */
async function startGateway(
  config: NodeConfig,
  parts: ServingParts & { readonly engines: NodeEngines },
  stack: AsyncDisposableStack,
): Promise<{ gateway: Gateway; address: string; url: string } | undefined> {
  const {
    sharding,
    devices,
    ownDevices,
    tables,
    engines,
    host,
    cluster: _,
    quicCounters,
    ...shared
  } = parts;
  const { stopTimeoutMs } = { ...GATEWAY_DEFAULTS, ...config.http };
  if (config.http === false) {
    stack.defer(() => engines.retire(stopTimeoutMs));
    return undefined;
  }
  const components = {
    ...shared,
    ...(quicCounters !== undefined && { quicCounters }),
    engines: engines.view(config.http.routing),
    tables: () => tables.list(),
    shards: () => sharding.describe(),
    devices: () => devices.list(),
    shardMetrics: () => sharding.metrics(),
    deviceMetrics: () => ownDevices.records(),
    laneCounters: () => host.peers().flatMap(laneCountersOf),
  };
  const { tls, tracing: _tracing, ...options } = config.http;
  const pem = tls && {
    certificate: readConfigured('http.tls.certificateFile', tls.certificateFile),
    key: readConfigured('http.tls.keyFile', tls.keyFile),
  };
  const gateway = new Gateway(components, { ...options, ...(pem && { tls: pem }) });
  stack.defer(async () => {
    await Promise.all([gateway.stop(), engines.retire(stopTimeoutMs)]);
  });
  const address = formatAddress(await gateway.start());
  const scheme = tls === undefined ? 'http' : 'https';
  return { gateway, address, url: `${scheme}://${address}` };
}

function requestsOf(gateway: Gateway | undefined): { inFlight: number; queued: number } {
  if (gateway === undefined) return { inFlight: 0, queued: 0 };
  const { inFlight, queued } = gateway;
  return { inFlight: inFlight - queued, queued };
}

function laneCountersOf(peer: Peer): LaneCounters[] {
  const { control, requests, responses, channels, relay } = peer.metrics;
  const lanes = { control, requests, responses, channels, relay };
  return Object.entries(lanes).map(([lane, counters]) => ({
    peer: peer.name,
    lane,
    messagesSent: counters.sentMessages,
    messagesReceived: counters.receivedMessages,
    bytesSent: counters.sentBytes,
    bytesReceived: counters.receivedBytes,
    depth: counters.depth,
    drops: counters.drops,
    creditWaits: counters.creditWaits,
  }));
}
