// The machines of the fleet and the lives of the nodes on them. Each life runs the real driver of
// the cluster and real elections, on the simulated host, clock and store connection; what it does
// for a living is to act on the keys that it holds.
import { Cluster, Coordinator } from '../../src/cluster/index.ts';
import { hasCode, messageOf, silentLogger } from '../../src/core/index.ts';
import { Election } from '../../src/store/index.ts';
import { SimHost } from './host.ts';
import { livesOf } from './machines.ts';
import { CALM_MS } from './plan.ts';
import { StoreClient } from './store-client.ts';
import { driftOf, ProcessClock } from './world.ts';
import type { Member } from '../../src/cluster/index.ts';
import type { Clock, Logger, Prng } from '../../src/core/index.ts';
import type { Lived, Machine as AnyMachine } from './machines.ts';
import type { Network } from './network.ts';
import type { Observer } from './observer.ts';
import type { Plan } from './plan.ts';
import type { Effect, Sink } from './sink.ts';
import type { StoreServer } from './store-server.ts';
import type { Process, World } from './world.ts';

export interface FleetComponents {
  readonly world: World;
  readonly network: Network;
  readonly server: StoreServer;
  readonly observer: Observer;
  readonly sink: Sink;
}

export interface Machine extends AnyMachine<Life> {
  readonly address: string;
}

export interface Life {
  readonly process: Process;
  readonly host: SimHost;
  readonly clock: Clock;
  readonly cluster: Cluster;
  readonly coordinator: Coordinator;
  readonly store: StoreClient;
  readonly elections: ReadonlyMap<string, Election>;
  joined: boolean;
  leaving: boolean;
  /** Its incarnation when it had joined: what is said of an earlier one is not said of it. */
  incarnation: number;
}

const JOIN_RETRY_MS = 700;

/** What may stand in the way of a join here; a seed that is leaving refuses. */
const JOIN_FAILURES = [
  'peer_unreachable',
  'peer_disconnected',
  'deadline_exceeded',
  'join_refused',
];

/** Few points on the ring: where keys go matters here, how evenly does not. */
const RING_REPLICAS = 4;

/** A holder acts this often, and a little more by chance. */
const ACT_EVERY_MS = 150;
const ACT_SPREAD_MS = 300;

export class Fleet {
  readonly machines: readonly Machine[];
  readonly #components: FleetComponents;
  readonly #plan: Plan;
  readonly #prng: Prng;
  readonly #log: Logger;
  /** Those of every life. */
  readonly #campaigns: Election[] = [];
  #lives = 0;

  constructor(components: FleetComponents, options: { plan: Plan; nodes: number }) {
    const { world, observer } = components;
    this.#components = components;
    this.#plan = options.plan;
    this.#prng = world.prng(4);
    this.machines = Array.from({ length: options.nodes }, (_, index) => ({
      name: `n${index}`,
      address: `10.0.${index >> 8}.${index & 255}:7400`,
      keeping: { rate: driftOf(this.#prng), wallOffsetMs: 5_000 * this.#prng.next() },
      path: { requestsLost: false, answersLost: false },
      life: undefined,
    }));
    const error = (fields: object, message: string) =>
      observer.violate('no node has an internal error', `${message}: ${describe(fields)}`);
    this.#log = { ...silentLogger, error };
  }

  lives(): Lived<Life, Machine>[] {
    return livesOf(this.machines);
  }

  /**
   * Starts a process on a machine that has none. It joins through whoever is in; it founds a fleet
   * only where no other process is, as an operator would who does not want two fleets.
   */
  start(machine: Machine): void {
    const { world, observer } = this.#components;
    if (machine.life !== undefined) return;
    const others = this.lives();
    const seeds = others.filter(({ life }) => life.joined).map((other) => other.machine.address);
    if (seeds.length === 0 && others.length > 0) {
      world.at(JOIN_RETRY_MS, undefined, () => this.start(machine));
      return;
    }
    world.trace.add(world.now, 'start', machine.name, ++this.#lives);
    const life = this.#makeLife(machine, this.#lives);
    machine.life = life;
    life.cluster.watch((event) => {
      const { member } = event;
      const previous = 'previous' in event ? event.previous : undefined;
      world.trace.add(world.now, machine.name, 'sees', member.name, member.status, event.type);
      observer.changed(life.process, member, previous);
      if (member.status === 'dead' && event.type === 'status') this.#judge(machine, member);
    });
    world.unsettle();
    void this.#join(machine, life, seeds);
  }

  /** The process ends without a word; with `reset` its machine closes the connections. */
  crash(machine: Machine, reset: boolean): void {
    const { world } = this.#components;
    const { life } = machine;
    if (life === undefined) return;
    world.trace.add(world.now, 'crash', machine.name, life.process.life);
    this.#end(machine, life, reset ? 20 : undefined);
  }

  /** Says good-bye and ends. */
  leave(machine: Machine): void {
    const { world } = this.#components;
    const { life } = machine;
    if (life === undefined || life.leaving) return;
    life.leaving = true;
    world.trace.add(world.now, 'leave', machine.name, life.process.life);
    world.unsettle();
    const stops = [...life.elections.values()].map((election) => election.stop());
    const goodbye = life.joined ? life.cluster.leave() : Promise.resolve();
    void Promise.allSettled([...stops, goodbye]).then(() => {
      if (life.process.alive) this.#end(machine, life, 1);
    });
  }

  /**
   * After the last event: signals that somebody listens to are kept by the runtime until they
   * abort, and would keep this whole world.
   */
  dispose(): void {
    for (const election of this.#campaigns) void election.stop().catch(() => {});
  }

  #end(machine: Machine, life: Life, resetAfterMs: number | undefined): void {
    const { world, network } = this.#components;
    life.process.alive = false;
    life.store.disconnect();
    machine.life = undefined;
    for (const other of network.hosts()) {
      const afterMs = resetAfterMs ?? 5_000 + 15_000 * this.#prng.next();
      world.at(afterMs, other.process, () => other.break(machine.name, life.host));
    }
  }

  #makeLife(machine: Machine, number: number): Life {
    const { world, network, server } = this.#components;
    const plan = this.#plan;
    const { name, address, keeping, path } = machine;
    const process: Process = { name, life: number, alive: true, paused: false, backlog: [] };
    const originMs = 1e6 * this.#prng.next();
    const clock = new ProcessClock(world, process, { keeping, originMs });
    const host = new SimHost({ network, process, clock }, { address });
    const ring = { replicas: RING_REPLICAS };
    const coordinator = new Coordinator({ clock }, { nodeId: name, bindAddr: address, ring });
    const prng = world.prng(1000 + number);
    const cluster = new Cluster(
      { host, coordinator, clock, prng, log: this.#log },
      { address, membership: plan.membership },
    );
    const store = new StoreClient(
      { world, server, process, clock, prng, path },
      { conditions: plan.store, believedTtl: plan.believedTtl },
    );
    const elections = new Map(
      plan.keys.map((key) => [
        key,
        new Election({ store, clock, prng, log: this.#log }, { key, name, ttlMs: plan.ttlMs }),
      ]),
    );
    this.#campaigns.push(...elections.values());
    const made = { process, host, clock, cluster, coordinator, store, elections };
    return { ...made, joined: false, leaving: false, incarnation: Infinity };
  }

  async #join(machine: Machine, life: Life, seeds: readonly string[]): Promise<void> {
    const { cluster, elections, process } = life;
    try {
      await cluster.start(seeds);
    } catch (error) {
      if (process.alive) this.#giveUp(machine, life, error);
      return;
    }
    if (life.leaving) return;
    life.joined = true;
    life.incarnation = cluster.self.incarnation;
    for (const [key, election] of elections) {
      election.start();
      this.#act(life, key, election);
    }
  }

  /** `machine` has declared a member dead: is that so, or at least to be excused by a fault? */
  #judge(machine: Machine, { name, incarnation }: Member): void {
    const { world, observer } = this.#components;
    const life = this.machines.find((other) => other.name === name)?.life;
    const calm = world.now > this.#plan.healMs + CALM_MS;
    if (!calm || life === undefined || incarnation < life.incarnation) return;
    const details = `${machine.name} declares ${name}@${incarnation} dead, which runs`;
    observer.violate('without faults nobody who lives is declared dead', details, name);
  }

  /** As a process does that cannot join: it ends, and its supervisor starts another. */
  #giveUp(machine: Machine, life: Life, error: unknown): void {
    const { world, observer } = this.#components;
    const code = hasCode(error) ? error.code : 'no code';
    world.trace.add(world.now, 'join failed', machine.name, code);
    if (!hasCode(error, ...JOIN_FAILURES)) {
      observer.violate('a join fails with a reason', `${code}: ${messageOf(error)}`, machine.name);
    }
    this.#end(machine, life, 1);
    world.at(JOIN_RETRY_MS, undefined, () => {
      if (!life.leaving) this.start(machine);
    });
  }

  /** Acts on a key whenever this node holds it. */
  #act(life: Life, key: string, election: Election): void {
    const delayMs = ACT_EVERY_MS + ACT_SPREAD_MS * this.#prng.next();
    life.clock.schedule(delayMs, () => {
      const term = election.term();
      if (term !== undefined) this.#send(life, { key, epoch: term.epoch });
      this.#act(life, key, election);
    });
  }

  /** The effect is on its way: from here on nobody can take it back, and only the sink refuses. */
  #send(life: Life, { key, epoch }: { key: string; epoch: number }): void {
    const { world, network, server, observer, sink } = this.#components;
    const { name, life: number } = life.process;
    const effect: Effect = { key, epoch, owner: name, life: number };
    if (!this.#plan.storeLies) observer.acts(effect, server.entry(key)?.revision);
    const { delayMs, jitterMs, late, lateMs } = network.conditions;
    const isLate = this.#prng.next() < late;
    const wayMs = delayMs + (isLate ? lateMs : jitterMs) * this.#prng.next();
    world.at(wayMs, undefined, () => {
      const accepted = sink.apply(effect);
      world.trace.add(world.now, accepted ? 'accepts' : 'refuses', name, key, epoch);
      if (accepted) observer.accepted(effect);
    });
  }
}

function describe(fields: object): string {
  const shown = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
  return shown.join(' ');
}
