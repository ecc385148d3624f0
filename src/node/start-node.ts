// The composition root: starts every part of a node in the order of their ranks, and stops them in
// reverse. Nothing else in Flotilla makes a socket, a file or a thread on its own account.
import { createPrng, systemClock } from '../core/index.ts';
import { Kernels } from '../devices/index.ts';
import { formatAddress, QuicTransport, TlsTransport } from '../transport/index.ts';
import { PeerHost } from '../peer/index.ts';
import { RemoteStore } from '../store/index.ts';
import { createSelector } from '../load/index.ts';
import { Cluster, Coordinator } from '../cluster/index.ts';
import { NodeDevices } from '../placement/index.ts';
import { TableService } from '../tables/index.ts';
import { Models, Trainer } from '../training/index.ts';
import { layoutOf } from './config.ts';
import { NODE_DEFAULTS } from './defaults.ts';
import { createDevices } from './device-config.ts';
import { IdentityService } from './identity-service.ts';
import { KeyService } from './key-service.ts';
import { KnownMembers, loadKnownMembers } from './known-members.ts';
import { createLogger } from './log.ts';
import { openStore } from './open-store.ts';
import { MemberService } from './member-service.ts';
import { serve } from './serve.ts';
import { startDevices } from './start-devices.ts';
import { startSharding } from './start-sharding.ts';
import type { Logger, Prng } from '../core/index.ts';
import type { MemberMetadata } from '../cluster/index.ts';
import type { QuicCounters } from '../gateway/index.ts';
import type { FleetDevices } from '../placement/index.ts';
import type { Sharding } from '../sharding/index.ts';
import type { Store } from '../store/index.ts';
import type { NodeConfig } from './config.ts';
import type { NodeIdentity } from './identity-service.ts';

const clock = systemClock;

/** Why a node is at its end without being stopped: it was asked to leave, or is shut out. */
export type NodeEnd = 'left' | 'revoked';

/** The parts that the rest of the program uses. */
export interface StartedNode {
  readonly address: string;
  readonly httpUrl: string | undefined;
  readonly coordinator: Coordinator;
  readonly sharding: Sharding;
  readonly devices: FleetDevices;
  readonly tables: TableService;
  readonly models: Models;
  readonly trainer: Trainer;
  /** What is left to do then is `stop`. */
  readonly ended: Promise<NodeEnd>;
  /** Lets requests go elsewhere; `stop` says good-bye. */
  leave(): Promise<void>;
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
  const prng = createPrng(clock.wallTime() ^ (clock.now() * 1e3));
  const { identity: keys } = layoutOf(config.dataDir);
  const trust = new IdentityService({ ...identity, directory: keys, clock, prng, log });
  stack.defer(() => trust.stop());
  const { host, address, quicCounters } = await startPeers(config, trust, { log, stack });
  const routing = { selector: createSelector(config.balanceBy) };
  const place = { nodeId: config.name, bindAddr: address };
  const coordinator = new Coordinator({ clock }, { ...place, routing });
  const cluster = createCluster(config, { host, coordinator, prng, log, address, identity });
  const end = Promise.withResolvers<NodeEnd>();
  void trust.revoked.then(() => end.resolve('revoked'));
  const founding = identity.authority !== undefined;
  const { caPem } = identity.credentials;
  const own = await openStore(config, { host, caPem, founding });
  if (own !== undefined) stack.defer(() => own.close());
  await enter(config, { cluster, founding, log, stack });
  trust.start(host, cluster);
  const store: Store = own ?? new RemoteStore(host, cluster.founder, { clock });
  stack.defer(() => store.close());
  const apiKeys = new KeyService({ store, clock, log });
  stack.defer(() => apiKeys.stop());
  const keysTried = apiKeys.start();

  const ownDevices = new NodeDevices({ clock, log }, createDevices(config, { clock, log }));
  stack.defer(() => ownDevices.stop());
  const sharding = await startSharding(config, {
    ...{ host, cluster, coordinator, store, clock, prng, log, stack },
    founding,
  });
  // Entities leave while requests are still led here; what comes late is sent on.
  const leave = async () => {
    await sharding.drain(NODE_DEFAULTS.drainTimeoutMs);
    // `stop` says good-bye, when nothing is under way any more: others cut off who has left.
    await cluster.drainOut().finally(() => end.resolve('left'));
  };
  const members = new MemberService({
    ...{ host, cluster, coordinator, sharding },
    leave: () => void leave(),
  });
  members.start();

  const training = await startTraining(config, { host, coordinator, store, log, stack });
  const devices = startDevices({
    ...{ host, cluster, store, sharding, own: ownDevices },
    ...{ clock, log, stack },
  });
  const parts = { coordinator, sharding, devices, ...training };
  await keysTried;
  const network = { host, cluster, coordinator, clock, prng, log };
  const serving = {
    ...{ ...network, ...parts, members },
    ...{ keys: apiKeys, quicCounters, ownDevices },
  };
  const httpUrl = await serve(config, serving, stack);
  // While it stops, new requests go elsewhere.
  stack.defer(() => cluster.drain());
  log.info({ address, httpUrl }, 'node started');
  const stop = () => stack.disposeAsync();
  return { ...parts, address, httpUrl, ended: end.promise, leave, stop };
}

/** Tables, what is trained on them, and what has been. */
async function startTraining(
  config: NodeConfig,
  parts: {
    readonly host: PeerHost;
    readonly coordinator: Coordinator;
    readonly store: Store;
    readonly log: Logger;
    readonly stack: AsyncDisposableStack;
  },
): Promise<Pick<StartedNode, 'tables' | 'models' | 'trainer'>> {
  const { stack, ...rest } = parts;
  const kernels = await Kernels.create({ maxBytes: NODE_DEFAULTS.kernelMemoryBytes });
  const { tables: directory } = layoutOf(config.dataDir);
  const tables = new TableService({ ...rest, kernels, clock }, { directory });
  await tables.start();
  stack.defer(() => tables.stop());
  const trainer = new Trainer({ ...rest, tables, kernels, clock });
  await trainer.start();
  stack.defer(() => trainer.stop());
  return { tables, models: new Models({ tables, store: rest.store }), trainer };
}

async function startPeers(
  config: NodeConfig,
  trust: IdentityService,
  { log, stack }: { log: Logger; stack: AsyncDisposableStack },
): Promise<{ host: PeerHost; address: string; quicCounters: QuicCounters | undefined }> {
  const Transport = config.preset === 'wan' ? QuicTransport : TlsTransport;
  const transport = new Transport(
    { clock, credentials: trust.credentials, log },
    trust.transportOptions(),
  );
  const host = new PeerHost({ clock, log, transport });
  stack.defer(() => host.stop());
  trust.serve(host);
  const address = formatAddress(await host.listen(config.listen));
  const quicCounters = transport instanceof QuicTransport ? transport.counters : undefined;
  return { host, address, quicCounters };
}

/** Joins through the seeds, else through members of an earlier run; a founder also stands alone. */
async function enter(
  config: NodeConfig,
  parts: { cluster: Cluster; founding: boolean; log: Logger; stack: AsyncDisposableStack },
): Promise<void> {
  const { cluster, founding, log, stack } = parts;
  const { members: file } = layoutOf(config.dataDir);
  const known = loadKnownMembers(file);
  const alone = founding && config.seeds.length === 0;
  await cluster.start(alone ? [] : [...config.seeds, ...known]);
  stack.defer(() => cluster.stop());
  if (alone && known.length > 0) {
    // Those that are starting too come by themselves; nobody waits for those that are not there.
    const nobody = (err: unknown) => log.info({ err }, 'no member of the earlier run answers');
    void cluster.rejoin(known).catch(nobody);
  }
  const keeper = new KnownMembers(file, { cluster, clock, log });
  keeper.start();
  stack.defer(() => keeper.stop());
}

interface ClusterParts {
  readonly host: PeerHost;
  readonly coordinator: Coordinator;
  readonly prng: Prng;
  readonly log: Logger;
  readonly address: string;
  readonly identity: NodeIdentity;
}

function createCluster(config: NodeConfig, parts: ClusterParts): Cluster {
  const { host, coordinator, prng, log, address, identity } = parts;
  const { preset, name, metadata } = config;
  return new Cluster(
    { host, coordinator, clock, prng, log },
    {
      address,
      preset,
      metadata: metadata as MemberMetadata,
      ...(identity.authority !== undefined && { founder: name }),
    },
  );
}
