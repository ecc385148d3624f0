// The nodes of a simulated fleet: each life runs the real sharding service with two types, and two
// clients that ask and tell entities of both.
import { hasCode, messageOf, silentLogger, sleep } from '../../../src/core/index.ts';
import { Extractor } from '../../../src/sharding/extractor.ts';
import { Sharding } from '../../../src/sharding/index.ts';
import { livesOf } from '../../sim/machines.ts';
import { driftOf, ProcessClock } from '../../sim/world.ts';
import { JournalClient } from './journal.ts';
import { defineLedger, TYPES } from './ledger.ts';
import { SteppedStore } from './steps.ts';
import { WireHost } from './wires.ts';
import type { Clock, Logger, Prng } from '../../../src/core/index.ts';
import type { Lived, Machine as AnyMachine } from '../../sim/machines.ts';
import type { StoreServer } from '../../sim/store-server.ts';
import type { Process, World } from '../../sim/world.ts';
import type { JournalServer } from './journal.ts';
import type { Judge } from './judge.ts';
import type { LedgerType } from './ledger.ts';
import type { Plan } from './plan.ts';
import type { OnStep, Step } from './steps.ts';
import type { Wires } from './wires.ts';

export interface FleetComponents {
  readonly world: World;
  readonly wires: Wires;
  readonly server: StoreServer;
  readonly journal: JournalServer;
  readonly judge: Judge;
  readonly onStep: OnStep;
}

export type Machine = AnyMachine<Life>;

export interface Life {
  readonly process: Process;
  readonly host: WireHost;
  readonly clock: Clock;
  readonly store: SteppedStore;
  readonly sharding: Sharding;
  readonly types: readonly LedgerType[];
  leaving: boolean;
  draining: boolean;
  /** On its clock, when it was held up last. */
  resumedMs: number;
}

const ENTITIES = 10;
const RARE = 30;
const ASK_TIMEOUTS_MS = [400, 3_000, 9_000];

/** Steps that only the log tells. */
const LOGGED: readonly string[] = ['frozen', 'handed', 'table written'];

export class SimFleet {
  readonly machines: readonly Machine[];
  readonly lives: Life[] = [];
  readonly #components: FleetComponents;
  readonly #plan: Plan;
  readonly #prng: Prng;
  readonly #sequences = new Map<string, number>();
  #count = 0;
  quiet = false;
  /** Probes that were answered. */
  probed = 0;

  constructor(components: FleetComponents, plan: Plan) {
    this.#components = components;
    this.#plan = plan;
    this.#prng = components.world.prng(4);
    this.machines = Array.from({ length: plan.nodes }, (_, index) => ({
      name: `n${index}`,
      keeping: { rate: driftOf(this.#prng), wallOffsetMs: 0 },
      path: { requestsLost: false, answersLost: false },
      life: undefined,
    }));
  }

  running(): Lived<Life>[] {
    return livesOf(this.machines);
  }

  start(machine: Machine): void {
    const { world } = this.#components;
    if (machine.life !== undefined) return;
    world.trace.add(world.now, 'start', machine.name, ++this.#count);
    const life = this.#makeLife(machine, this.#count);
    machine.life = life;
    this.lives.push(life);
    world.unsettle();
    world.at(0, life.process, () => {
      life.sharding.start();
      for (const type of life.types) life.sharding.register(type as never);
      this.#talk(life);
    });
  }

  crash(machine: Machine, reset: boolean): void {
    const { world } = this.#components;
    const { life } = machine;
    if (life === undefined) return;
    world.trace.add(world.now, 'crash', machine.name, life.process.life);
    this.#end(machine, life, reset ? 20 : undefined);
  }

  /** Gives its shards away, and ends. */
  leave(machine: Machine): void {
    const { world } = this.#components;
    const { life } = machine;
    if (life === undefined || life.leaving) return;
    life.leaving = true;
    world.trace.add(world.now, 'leave', machine.name, life.process.life);
    world.at(0, life.process, () => {
      world.unsettle();
      void life.sharding.drain(this.#plan.calm ? 60_000 : 5_000).then(async (gone) => {
        world.trace.add(world.now, machine.name, gone ? 'drained' : 'not drained');
        if (gone) this.#drained(life);
        // What is still on its way to it has to be sent elsewhere, and its own asks answered.
        await sleep(life.clock, 300 + this.#plan.wires.lateMs);
        await life.sharding.stop();
        world.unsettle();
        if (life.process.alive) this.#end(machine, life, 20);
      });
    });
  }

  /** Has others take its shards, until `undrain`. */
  drain(life: Life, timeoutMs: number): void {
    const { world } = this.#components;
    life.draining = true;
    world.at(0, life.process, () => {
      world.unsettle();
      void life.sharding.drain(timeoutMs).then((gone) => {
        if (gone && life.draining) this.#drained(life);
      });
    });
  }

  undrain(life: Life): void {
    const { world, judge } = this.#components;
    life.draining = false;
    world.at(0, life.process, () => {
      if (life.leaving) return;
      judge.ownership.empty.delete(life.process.name);
      life.sharding.undrain();
    });
  }

  /** It says that it has nothing, and is to get nothing. */
  #drained({ process, sharding }: Life): void {
    const { judge } = this.#components;
    if (!process.alive) return;
    // Without a session it cannot get anything anyway.
    if (sharding.session !== undefined) judge.ownership.drains(process.name);
  }

  /** After the last event. */
  dispose(): void {
    for (const { sharding } of this.lives) void sharding.stop().catch(() => {});
  }

  #end(machine: Machine, life: Life, resetAfterMs: number | undefined): void {
    const { world, wires, judge } = this.#components;
    life.process.alive = false;
    life.store.disconnect();
    machine.life = undefined;
    judge.ended(machine.name);
    judge.ownership.empty.delete(machine.name);
    for (const other of wires.hosts.values()) {
      const afterMs = resetAfterMs ?? 2_000 + 6_000 * this.#prng.next();
      if (other !== life.host) {
        world.at(afterMs, other.process, () => other.break(machine.name, life.host));
      }
    }
  }

  #makeLife(machine: Machine, number: number): Life {
    const { world, wires, server, journal, judge } = this.#components;
    const plan = this.#plan;
    const { name, keeping, path } = machine;
    const process: Process = { name, life: number, alive: true, paused: false, backlog: [] };
    const clock = new ProcessClock(world, process, { keeping, originMs: 1e6 * this.#prng.next() });
    const host = new WireHost(wires, process, clock);
    const prng = world.prng(1000 + number);
    const believedTtl = plan.mutation === 'late-fence' ? 2 : 1;
    const onStep = (step: Step) => {
      if (process.alive) this.#components.onStep(name, step);
    };
    const store = new SteppedStore(
      { world, server, process, clock, prng, path },
      { conditions: plan.store, believedTtl },
      { onStep, heard: (type, table) => judge.ownership.heard(`${name}.${number}`, type, table) },
    );
    const client = new JournalClient(
      { world, process, server: journal, prng },
      { delayMs: plan.store.delayMs, jitterMs: plan.store.jitterMs, faults: plan.journal, onStep },
    );
    const log = this.#logOf(process);
    const sharding = new Sharding(
      { host, store, journal: client, clock, prng, log },
      {
        sessionTtlMs: plan.ttlMs,
        handoffTimeoutMs: plan.handoffTimeoutMs,
        rebalanceIntervalMs: plan.rebalanceIntervalMs,
        retryHandoffMs: 200,
        maxRetryHandoffMs: 4_000,
      },
    );
    const made = { process, host, clock, store, sharding };
    const ledgers = { ...made, server, judge, plan, prng: this.#prng };
    const types = TYPES.map((kind) => defineLedger(kind, ledgers));
    return { ...made, types, leaving: false, draining: false, resumedMs: -Infinity };
  }

  #logOf(process: Process): Logger {
    const { judge, onStep, world } = this.#components;
    return {
      ...silentLogger,
      debug: (fields, message) => {
        if (!LOGGED.includes(message) || !process.alive) return;
        const { shard } = fields as { shard?: number };
        world.trace.add(world.now, process.name, message, shard ?? -1);
        onStep(process.name, message as Step);
      },
      warn: (fields, message) => {
        const { entity, err } = fields as { entity?: string; err?: unknown };
        world.trace.add(world.now, process.name, message, entity, messageOf(err));
      },
      error: (fields, message) =>
        judge.violate('no internal error', `${message}: ${JSON.stringify(fields)}`),
    };
  }

  /** A client at this node: now and then a message, sometimes several at once. */
  #talk(life: Life): void {
    const { messageEveryMs } = this.#plan;
    life.clock.schedule(messageEveryMs * (0.5 + this.#prng.next()), () => {
      if (this.quiet || life.leaving) return;
      const burst = this.#prng.int(8) === 0 ? 5 : 1;
      const type = life.types[this.#prng.int(life.types.length)]!;
      const rare = this.#prng.int(16) === 0;
      const entity = rare ? `r${this.#prng.int(RARE)}` : `e${this.#prng.int(ENTITIES)}`;
      for (let i = 0; i < burst; i++) this.#sendTo(life, type, entity);
      this.#talk(life);
    });
  }

  /** How many entities of each shard have answered at least once. */
  answered(type: string): number[] {
    const extractor = new Extractor(this.#plan.shards);
    const counts = Array.from({ length: this.#plan.shards }, () => 0);
    const ids = new Set<string>();
    for (const message of this.#components.judge.sent) {
      if (message.type === type && message.outcome === 'answered') ids.add(message.entity);
    }
    for (const id of ids) counts[extractor.shardOf(id)]!++;
    return counts;
  }

  /** Every shard answers every node that is there, within `timeoutMs`. */
  probe(timeoutMs: number): void {
    const { world, judge } = this.#components;
    const extractor = new Extractor(this.#plan.shards);
    const ids = new Map<number, string>();
    for (let i = 0; ids.size < this.#plan.shards; i++) {
      const id = `probe-${i}`;
      if (!ids.has(extractor.shardOf(id))) ids.set(extractor.shardOf(id), id);
    }
    for (const { life } of this.running()) {
      const { process, sharding, types, leaving } = life;
      if (leaving) continue;
      world.at(0, process, () => {
        world.unsettle();
        for (const type of types) {
          for (const [shard, id] of ids) {
            const what = `${process.name} to ${type.name} shard ${shard}`;
            sharding
              .entity(type, id)
              .ask('ping', { timeoutMs })
              .then(
                () => {
                  this.probed++;
                },
                (error: unknown) => {
                  // Its owner has answered: there is no room.
                  if (!process.alive || /are in memory/.test(messageOf(error))) return;
                  judge.violate('every shard answers again', `${what}: ${messageOf(error)}`);
                },
              );
          }
        }
      });
    }
  }

  #sendTo(life: Life, type: LedgerType, entity: string): void {
    const { judge, world } = this.#components;
    const { clock, process, sharding } = life;
    const sender = `${process.name}.${process.life}`;
    const pair = `${sender}>${type.name}/${entity}`;
    const sequence = this.#sequences.get(pair) ?? 0;
    this.#sequences.set(pair, sequence + 1);
    const number = judge.sent.length;
    const isTell = this.#prng.int(4) === 0;
    const choice = this.#plan.calm || isTell ? 30_000 : ASK_TIMEOUTS_MS[this.#prng.int(3)]!;
    const deadlineMs = clock.now() + choice;
    const shared = { number, type: type.name, entity, sender, sequence, deadlineMs, isTell };
    judge.sent.push({ ...shared, outcome: 'open', handled: 0 });
    const reference = sharding.entity(type, entity);
    world.trace.add(world.now, sender, isTell ? 'tells' : 'asks', number, type.name, entity);
    world.unsettle();
    if (isTell) {
      reference.tell({ note: number });
      return;
    }
    const when = () => ({ onClockMs: clock.now(), resumedMs: life.resumedMs });
    reference.ask({ note: number }, { timeoutMs: choice }).then(
      () => judge.settled(number, undefined, when()),
      (error) => judge.settled(number, hasCode(error) ? error.code : String(error), when()),
    );
  }
}
