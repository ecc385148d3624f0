// What goes wrong, when and for how long: all of it drawn from the seed. Each fault knows how it
// ends, and `heal` ends those that have not.
import { anyLife, anyOf } from './machines.ts';
import { CALM_MS, STALL_MS } from './plan.ts';
import { Spells } from './spells.ts';
import { losePath } from './store-client.ts';
import { partition } from './ways.ts';
import type { Prng } from '../../src/core/index.ts';
import type { Fleet, Life, Machine } from './fleet.ts';
import type { Network } from './network.ts';
import type { Plan } from './plan.ts';
import type { StoreServer } from './store-server.ts';
import type { Way } from './ways.ts';
import type { World } from './world.ts';

export interface FaultComponents {
  readonly world: World;
  readonly network: Network;
  readonly server: StoreServer;
  readonly fleet: Fleet;
}

type Kind =
  | 'partition'
  | 'one-way'
  | 'pause'
  | 'crash'
  | 'clock-jump'
  | 'store-path'
  | 'store-hang'
  | 'loss'
  | 'reset'
  | 'drain'
  | 'leave'
  | 'storm';

const WEIGHTS: Readonly<Record<Kind, number>> = {
  partition: 3,
  'one-way': 2,
  pause: 4,
  crash: 4,
  'clock-jump': 2,
  'store-path': 4,
  'store-hang': 2,
  loss: 1,
  reset: 2,
  drain: 1,
  leave: 1,
  storm: 1,
};

const KINDS = Object.entries(WEIGHTS).flatMap(([kind, weight]) =>
  Array<Kind>(weight).fill(kind as Kind),
);

const HOUR_MS = 3_600_000;

/** Machines that never come back: at most this share. */
const GONE_SHARE = 0.25;

export class Faults {
  readonly #components: FaultComponents;
  readonly #plan: Plan;
  readonly #prng: Prng;
  readonly #usualLoss: number;
  readonly #spells: Spells;
  /** Machines that stay down for good. */
  readonly gone = new Set<Machine>();
  /** Faults so far. */
  count = 0;

  readonly #kinds: Readonly<Record<Kind, () => void>> = {
    partition: () => this.#partition(),
    'one-way': () => this.#oneWay(),
    pause: () => this.#pause(),
    crash: () => this.#crash(),
    'clock-jump': () => this.#jump(),
    'store-path': () => this.#storePath(),
    'store-hang': () => this.#storeHang(),
    loss: () => this.#loss(),
    reset: () => this.#reset(),
    drain: () => this.#drain(),
    leave: () => this.#leave(),
    storm: () => this.#storm(),
  };

  constructor(components: FaultComponents, plan: Plan) {
    this.#components = components;
    this.#plan = plan;
    this.#usualLoss = plan.network.loss;
    this.#prng = components.world.prng(5);
    this.#spells = new Spells(components.world, this.#prng);
  }

  /** Starts the fleet, and then trouble. */
  start(): void {
    const { world, fleet } = this.#components;
    fleet.machines.forEach((machine, index) => {
      const delayMs = this.#plan.joinStorm ? this.#prng.next() : index * 200;
      world.at(delayMs, undefined, () => fleet.start(machine));
    });
    this.#spells.every(this.#plan.faultEveryMs, () => {
      this.count++;
      this.#kinds[KINDS[this.#prng.int(KINDS.length)]!]();
    });
  }

  /** Everything works again, as well as it can, and who is not gone for good comes back. */
  heal(): void {
    const { world, network, fleet } = this.#components;
    this.#spells.heal();
    // Single messages are lost as before: that alone makes nobody dead.
    Object.assign(network.conditions, { duplication: 0, late: 0 });
    Object.assign(this.#plan.store, { failure: 0, late: 0 });
    this.#plan.server.earlyExpiry = 0;
    for (const machine of fleet.machines) if (!this.gone.has(machine)) fleet.start(machine);
    world.at(CALM_MS, undefined, () => this.#stall());
  }

  /** What is no fault for the others: one node is late, once. */
  #stall(): void {
    const { world } = this.#components;
    const life = this.#life();
    if (life === undefined) return;
    world.trace.add(world.now, 'stall', life.process.name);
    world.pause(life.process);
    world.at(STALL_MS, undefined, () => world.resume(life.process));
  }

  /** Two sides that do not hear each other. */
  #partition(): void {
    const { machines } = this.#components.fleet;
    const { sides, ways } = partition(machines, this.#prng);
    this.#block(ways, `partition ${sides}`);
  }

  /** One node is not heard, or hears nothing, or one pair is cut in one direction. */
  #oneWay(): void {
    const { machines } = this.#components.fleet;
    const one = this.#machine().name;
    const others = machines.map(({ name }) => name).filter((name) => name !== one);
    if (others.length === 0) return;
    const shape = this.#prng.int(3);
    const to = shape === 2 ? [others[this.#prng.int(others.length)]!] : others;
    const ways = to.map((other) =>
      shape === 1 ? ([other, one] as const) : ([one, other] as const),
    );
    this.#block(ways, `one-way ${shape} ${one}`);
  }

  #block(ways: readonly Way[], what: string): void {
    const { network } = this.#components;
    network.ways.block(ways);
    const lengthMs = this.#spells.lengthMs(500, 20_000);
    this.#spells.during(lengthMs, what, () => network.ways.unblock(ways));
  }

  /** From a hiccup to three times the TTL: the process is there, and does nothing. */
  #pause(): void {
    const { world } = this.#components;
    const life = this.#life();
    if (life === undefined || life.process.paused) return;
    world.pause(life.process);
    const lengthMs = this.#spells.lengthMs(100, 3 * this.#plan.ttlMs);
    this.#spells.during(lengthMs, `pause ${life.process.name}`, () => world.resume(life.process));
  }

  #crash(): void {
    const { fleet } = this.#components;
    const machine = this.#machine();
    if (machine.life === undefined) return;
    fleet.crash(machine, this.#prng.int(2) === 0);
    // The battery of its clock may be dead, or NTP not yet there.
    if (this.#prng.int(3) === 0) machine.keeping.wallOffsetMs += this.#jumpMs();
    this.#comeBack(machine);
  }

  #jump(): void {
    const { world } = this.#components;
    const machine = this.#machine();
    machine.keeping.wallOffsetMs += this.#jumpMs();
    world.trace.add(world.now, 'clock-jump', machine.name);
  }

  #storePath(): void {
    const { path, name, life } = this.#machine();
    const shape = this.#prng.int(3);
    const cure = losePath(path, shape);
    if (cure === undefined) return;
    const broken = this.#prng.int(2) === 0;
    const lengthMs = this.#spells.lengthMs(300, 15_000);
    this.#spells.during(lengthMs, `store-path ${shape} ${name}`, () => {
      cure();
      if (broken && life?.process.alive) life.store.disconnect();
    });
  }

  #storeHang(): void {
    const { world, server } = this.#components;
    const durationMs = this.#spells.lengthMs(200, 2 * this.#plan.ttlMs);
    world.trace.add(world.now, 'store-hang', Math.round(durationMs));
    server.hang(durationMs, this.#prng.int(2) === 0);
  }

  #loss(): void {
    const { conditions } = this.#components.network;
    conditions.loss = 0.3;
    this.#spells.during(this.#spells.lengthMs(500, 8_000), 'loss', () => {
      conditions.loss = this.#usualLoss;
    });
  }

  #reset(): void {
    const { world } = this.#components;
    const life = this.#life();
    if (life === undefined) return;
    const linked = life.host.linked();
    if (linked.length === 0) return;
    const other = linked[this.#prng.int(linked.length)]!;
    world.trace.add(world.now, 'reset', life.process.name, other);
    world.at(0, life.process, () => life.host.break(other));
  }

  #drain(): void {
    const { world } = this.#components;
    const life = this.#life();
    if (life === undefined || !life.joined || life.leaving) return;
    const { name } = life.process;
    world.at(0, life.process, () => life.cluster.drain());
    this.#spells.during(this.#spells.lengthMs(500, 10_000), `drain ${name}`, () => {
      world.at(0, life.process, () => life.cluster.undrain());
    });
  }

  #leave(): void {
    const { world, fleet } = this.#components;
    const machine = this.#machine();
    const { life } = machine;
    if (life === undefined || life.leaving) return;
    world.at(0, life.process, () => fleet.leave(machine));
    this.#comeBack(machine);
  }

  /** Many processes start at once; those that run are killed first, some of them. */
  #storm(): void {
    const { world, fleet } = this.#components;
    world.trace.add(world.now, 'storm');
    for (const machine of fleet.machines) {
      if (this.gone.has(machine)) continue;
      if (this.#prng.int(2) === 0) fleet.crash(machine, true);
      world.at(this.#prng.next() * 10, undefined, () => fleet.start(machine));
    }
  }

  #comeBack(machine: Machine): void {
    const { world, fleet } = this.#components;
    const share = (this.gone.size + 1) / fleet.machines.length;
    if (machine.name !== 'n0' && share <= GONE_SHARE && this.#prng.int(6) === 0) {
      this.gone.add(machine);
      return;
    }
    world.at(this.#spells.lengthMs(20, 15_000), undefined, () => {
      if (!this.#spells.healed) fleet.start(machine);
    });
  }

  #machine(): Machine {
    return anyOf(this.#components.fleet.machines, this.#prng);
  }

  #life(): Life | undefined {
    return anyLife(this.#components.fleet.machines, this.#prng);
  }

  #jumpMs(): number {
    return HOUR_MS * (2 * this.#prng.next() - 1);
  }
}
