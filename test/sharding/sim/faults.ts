// What goes wrong, when and for how long, drawn from the seed; in a calm history only what an
// operator does on purpose.
import { COORDINATOR_KEY } from '../../../src/sharding/ownership-view.ts';
import { anyLife, anyOf } from '../../sim/machines.ts';
import { Spells } from '../../sim/spells.ts';
import { losePath } from '../../sim/store-client.ts';
import { partition } from '../../sim/ways.ts';
import { StepCounts } from './steps.ts';
import type { Prng } from '../../../src/core/index.ts';
import type { StoreServer } from '../../sim/store-server.ts';
import type { World } from '../../sim/world.ts';
import type { Life, Machine, SimFleet } from './fleet.ts';
import type { Plan } from './plan.ts';
import type { Step } from './steps.ts';
import type { Wires } from './wires.ts';

export interface FaultComponents {
  readonly world: World;
  readonly wires: Wires;
  readonly server: StoreServer;
  readonly fleet: SimFleet;
}

export class Faults {
  readonly #components: FaultComponents;
  readonly #plan: Plan;
  readonly #prng: Prng;
  readonly #spells: Spells;
  readonly steps = new StepCounts();
  count = 0;

  constructor(components: FaultComponents, plan: Plan) {
    this.#components = components;
    this.#plan = plan;
    this.#prng = components.world.prng(5);
    this.#spells = new Spells(components.world, this.#prng);
  }

  start(): void {
    const { world, fleet } = this.#components;
    for (const machine of fleet.machines) {
      world.at(2_000 * this.#prng.next(), undefined, () => fleet.start(machine));
    }
    this.#spells.every(this.#plan.faultEveryMs, () => this.#inject());
  }

  /** A step of a handoff: somebody may be hit exactly here. */
  step(node: string, step: Step): void {
    const { world } = this.#components;
    const { hits } = this.#plan;
    this.steps.add('reached', step);
    if (this.#spells.healed || (hits.step !== 'any' && hits.step !== step)) return;
    if (this.#prng.next() >= hits.probability) return;
    const machine = this.#victim(node);
    const kind = this.#prng.int(6);
    this.count++;
    // Before anything else happens, or right after what happens now.
    world.at(this.#prng.int(2) * this.#prng.next() * 3, undefined, () => {
      const { life } = machine;
      if (this.#spells.healed || life === undefined) return;
      this.steps.add(kind === 0 ? 'pause' : kind === 1 ? 'reset' : 'crash', step);
      if (kind === 0) this.#pause(life);
      else if (kind === 1) this.#reset(life);
      else this.#crash(machine);
    });
  }

  heal(): void {
    const { fleet, wires } = this.#components;
    this.#spells.heal();
    Object.assign(this.#plan.store, { failure: 0, late: 0 });
    Object.assign(this.#plan.journal, { failure: 0, late: 0 });
    wires.conditions.late = 0;
    // Handlers that take longer than a handoff may keep their shard from moving for ever.
    this.#plan.handlerMs = Math.min(this.#plan.handlerMs, 20);
    for (const machine of fleet.machines) fleet.start(machine);
  }

  #inject(): void {
    this.count++;
    const operator = [() => this.#leave(), () => this.#drain()];
    const accidents = [
      () => this.#crash(this.#machine()),
      () => this.#crash(this.#machine()),
      () => this.#pause(this.#life()),
      () => this.#pause(this.#life()),
      () => this.#partition(),
      () => this.#storePath(),
      () => this.#storeHang(),
      () => this.#reset(this.#life()),
    ];
    const kinds = this.#plan.calm ? operator : [...operator, ...accidents];
    kinds[this.#prng.int(kinds.length)]!();
  }

  #crash(machine: Machine): void {
    const { fleet } = this.#components;
    fleet.crash(machine, this.#prng.int(2) === 0);
    this.#comeBack(machine);
  }

  #leave(): void {
    const { fleet } = this.#components;
    // Somebody must be there to take what it has.
    if (fleet.running().filter(({ life }) => !life.leaving).length < 2) return;
    const machine = this.#machine();
    fleet.leave(machine);
    this.#comeBack(machine);
  }

  #drain(): void {
    const { fleet } = this.#components;
    const { life, name } = this.#machine();
    if (life === undefined || life.leaving || life.draining || fleet.running().length < 2) return;
    const lengthMs = this.#spells.lengthMs(200, 4_000);
    fleet.drain(life, 2 * lengthMs);
    this.#spells.during(lengthMs, `drain ${name}`, () => fleet.undrain(life));
  }

  #pause(life: Life | undefined): void {
    const { world } = this.#components;
    if (life === undefined || life.process.paused) return;
    world.pause(life.process);
    const lengthMs = this.#spells.lengthMs(100, 3 * this.#plan.ttlMs);
    this.#spells.during(lengthMs, `pause ${life.process.name}`, () => {
      life.resumedMs = life.clock.now();
      world.resume(life.process);
    });
  }

  #partition(): void {
    const { wires, fleet } = this.#components;
    const { sides, ways } = partition(fleet.machines, this.#prng);
    const oneWay = this.#prng.int(2) === 0 ? ways.filter(([from]) => from === ways[0]?.[0]) : ways;
    wires.ways.block(oneWay);
    const lengthMs = this.#spells.lengthMs(200, 5_000);
    this.#spells.during(lengthMs, `partition ${sides}`, () => wires.ways.unblock(oneWay));
  }

  #storePath(): void {
    const { path, name, life } = this.#machine();
    const shape = this.#prng.int(3);
    const cure = losePath(path, shape);
    if (cure === undefined) return;
    const lengthMs = this.#spells.lengthMs(200, 5_000);
    this.#spells.during(lengthMs, `store-path ${shape} ${name}`, () => {
      cure();
      if (life?.process.alive) life.store.disconnect();
    });
  }

  #storeHang(): void {
    const { world, server } = this.#components;
    const durationMs = this.#spells.lengthMs(100, this.#plan.ttlMs);
    world.trace.add(world.now, 'store-hang', Math.round(durationMs));
    server.hang(durationMs, this.#prng.int(2) === 0);
  }

  #reset(life: Life | undefined): void {
    const { world } = this.#components;
    const linked = life?.host.linked() ?? [];
    if (life === undefined || linked.length === 0) return;
    const other = linked[this.#prng.int(linked.length)]!;
    world.trace.add(world.now, 'reset', life.process.name, other);
    let endOther: (() => void) | undefined;
    let noticed = false;
    world.at(0, life.process, () => {
      endOther = life.host.break(other);
      if (noticed) endOther();
    });
    // The other end notices sooner or later.
    this.#spells.during(this.#spells.lengthMs(1, 5_000), `half of ${other}`, () => {
      noticed = true;
      endOther?.();
    });
  }

  #comeBack(machine: Machine): void {
    const { world, fleet } = this.#components;
    const again = () => {
      if (this.#spells.healed) return;
      fleet.start(machine);
      if (machine.life?.leaving === true) world.at(500, undefined, again);
    };
    world.at(this.#spells.lengthMs(20, 5_000), undefined, again);
  }

  /** Where the step happens, the coordinator, or anybody. */
  #victim(node: string): Machine {
    const { fleet, server } = this.#components;
    const choice = this.#prng.int(4);
    const leader = decodeLeader(server.entry(COORDINATOR_KEY)?.value);
    const wanted = choice < 2 ? node : choice === 2 ? leader : undefined;
    return fleet.machines.find(({ name }) => name === wanted) ?? this.#machine();
  }

  #life(): Life | undefined {
    return anyLife(this.#components.fleet.machines, this.#prng);
  }

  #machine(): Machine {
    return anyOf(this.#components.fleet.machines, this.#prng);
  }
}

function decodeLeader(value: Uint8Array | undefined): string | undefined {
  if (value === undefined) return undefined;
  return (JSON.parse(Buffer.from(value).toString()) as { name: string }).name;
}
