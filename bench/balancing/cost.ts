// Contestant: the processor time that one node spends on measuring itself, on telling every member
// once a second and on taking in what they tell. The node is this process, with the real probe over
// TLS on loopback; the others are hosts of a second process, whose time is not counted.
import { LoadGossip, Coordinator } from '../../src/cluster/index.ts';
import { createPrng, silentLogger, sleep, systemClock } from '../../src/core/index.ts';
import { MachineProbe, StaticProbe } from '../../src/load/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { TlsTransport } from '../../src/transport/index.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { issueCredentials } from '../messaging/certificates.ts';
import { serve, startServer } from '../messaging/server-process.ts';
import type { ClusterHost, Member } from '../../src/cluster/index.ts';
import type { Clock } from '../../src/core/index.ts';
import type { Credentials } from '../../src/identity/index.ts';
import type { Probe } from '../../src/load/index.ts';
import type { ControlHandler } from '../../src/peer/index.ts';
import type { BalancingWorkload } from './workload.ts';

const NODE = 'node-0';
const PACE = 'pace';
/** While code warms up a second passes this much faster: a node runs for days, a bench does not. */
const WARM_UP_PACE = 20;

interface Others {
  /** The measured node's: making them leaves it nothing to clean up. */
  readonly credentials: Credentials;
  readonly addresses: readonly string[];
}

/** Time whose timers run faster or slower than the clock's. */
class PacedClock implements Clock {
  pace = 1;
  readonly now = systemClock.now;
  readonly wallTime = systemClock.wallTime;

  schedule(delayMs: number, callback: () => void) {
    return systemClock.schedule(delayMs / this.pace, callback);
  }

  repeat(intervalMs: number, callback: () => void) {
    return systemClock.repeat(intervalMs / this.pace, callback);
  }
}

function createHost(credentials: Credentials): PeerHost {
  const components = { credentials, clock: systemClock, log: silentLogger };
  return new PeerHost({ ...components, transport: new TlsTransport(components) });
}

function memberOf(name: string): Member {
  const declared = { status: 'up', declared: 'up' } as const;
  return { name, address: '', httpAddress: '', incarnation: 1, metadata: {}, ...declared };
}

interface GossipParts {
  readonly host: ClusterHost;
  readonly names: readonly string[];
  readonly clock: Clock;
  readonly probe: Probe;
}

/** Load gossip among members that are known and up: what membership costs is another matter. */
function createGossip({ host, names, clock, probe }: GossipParts) {
  const { name } = host;
  // Nothing is routed here: one point on the ring is enough.
  const coordinator = new Coordinator({ clock }, { nodeId: name, ring: { replicas: 1 } });
  for (const each of names) coordinator.addPeer('', each);
  const members = new Map(names.map((each) => [each, memberOf(each)]));
  const cluster = {
    self: memberOf(name),
    members: () => [...members.values()],
    member: (each: string) => members.get(each),
    watch: () => () => {},
  };
  const prng = createPrng(1, names.indexOf(name));
  const parts = { host, cluster, coordinator, probe, clock, prng, log: silentLogger };
  return { gossip: new LoadGossip(parts), coordinator };
}

/** A host of the second process: what is not for the measured node is handed over in memory. */
function bypass(host: PeerHost, handlers: Map<string, ControlHandler>): ClusterHost {
  return {
    name: host.name,
    sendControl(to, kind, body) {
      if (to === NODE) return host.sendControl(to, kind, body);
      handlers.get(to)?.(body, host.name);
      return true;
    },
    onControl(kind, handler) {
      handlers.set(host.name, handler);
      host.onControl(kind, handler);
    },
    learn: () => {},
    forget: () => {},
    disconnect: (...args) => host.disconnect(...args),
    connect: (address) => host.connect(address),
    call: (...args) => host.call(...args),
    handle: (...args) => host.handle(...args),
    onDisconnect: (listener) => host.onDisconnect(listener),
    peers: () => host.peers(),
  };
}

/** Share of a processor that this process takes over `durationMs`. */
async function shareOver(durationMs: number): Promise<number> {
  const startedMs = systemClock.now();
  const before = process.cpuUsage();
  await sleep(systemClock, durationMs);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000 / (systemClock.now() - startedMs);
}

const namesOf = (members: number) => Array.from({ length: members }, (_, at) => `node-${at}`);

async function measure({ members, costMs }: BalancingWorkload): Promise<void> {
  const names = namesOf(members);
  const { ready, stop } = await startServer<Others>(import.meta.filename, {});
  const host = createHost(ready.credentials);
  for (const address of ready.addresses) await host.connect(address);
  const clock = new PacedClock();
  const pace = async (value: number) => {
    clock.pace = value;
    await host.call(names[1] as string, PACE, { body: value });
  };
  // A node has a timer or two and its connections anyway.
  const keepAlive = setInterval(() => {}, 1_000);
  await sleep(systemClock, costMs / 10);
  const idleShare = await shareOver(costMs);
  const requests = () => ({ inFlight: 0, queued: 0 });
  const probe = new MachineProbe({ clock: systemClock, requests });
  const probeShare = (await shareOver(costMs / 4)) - idleShare;
  const { gossip, coordinator } = createGossip({ host, names, clock, probe });
  gossip.start();
  await pace(WARM_UP_PACE);
  await sleep(systemClock, costMs / 4);
  await pace(1);
  await sleep(systemClock, costMs / 20);
  const share = (await shareOver(costMs)) - idleShare;
  gossip.stop();
  clearInterval(keepAlive);
  await host.stop();
  await stop();
  const { stored } = coordinator.load.counters;
  report({ share, idleShare, probeShare, stored });
}

if (readMode() === 'server') {
  serve(async (): Promise<Others> => {
    const names = namesOf(readWorkload<BalancingWorkload>().members);
    const [own, ...others] = await issueCredentials(names);
    const clock = new PacedClock();
    const handlers = new Map<string, ControlHandler>();
    const gossips: LoadGossip[] = [];
    const addresses: string[] = [];
    for (const credentials of others) {
      const host = createHost(credentials);
      const { port } = await host.listen({ host: '127.0.0.1', port: 0 });
      addresses.push(`127.0.0.1:${port}`);
      const probe = new StaticProbe({ cpu: 0.5, memoryUsed: 7e9, memoryMax: 16e9 });
      const parts = { host: bypass(host, handlers), names, clock, probe };
      gossips.push(createGossip(parts).gossip);
      if (gossips.length > 1) continue;
      host.handle(PACE, async ({ body }) => {
        clock.pace = Number(body);
        // Until now the node was measured idle.
        for (const gossip of gossips.splice(0)) gossip.start();
        return { body: null };
      });
    }
    return { credentials: own as Credentials, addresses };
  });
} else {
  await measure(readWorkload<BalancingWorkload>());
}
