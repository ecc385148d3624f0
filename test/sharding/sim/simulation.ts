// One seed from beginning to end: a fleet that shards, faults, and after the last of them a time in
// which everything has to come right again.
import { messageOf } from '../../../src/core/index.ts';
import { decodeState } from '../../../src/sharding/messages.ts';
import { decodeTable } from '../../../src/sharding/shard-table.ts';
import { StoreServer } from '../../sim/store-server.ts';
import { World } from '../../sim/world.ts';
import { Faults } from './faults.ts';
import { SimFleet, TYPES } from './fleet.ts';
import { JournalServer } from './journal.ts';
import { Judge } from './judge.ts';
import { planOf } from './plan.ts';
import { Wires } from './wires.ts';
import type { ShardTable } from '../../../src/sharding/shard-table.ts';
import type { Ledger } from './fleet.ts';
import type { Violation } from './judge.ts';
import type { Plan, SimulationOptions } from './plan.ts';

const LOOK_EVERY_MS = 500;
const MAX_EVENTS = 200_000;

/** Clients fall silent this long before the end, so that the last asks settle. */
const QUIET_MS = 11_500;

/** Tables stand still from this long before the end. */
const STILL_MS = 4_000;

export interface Outcome {
  readonly seed: number;
  readonly hash: string;
  readonly violation: Violation | undefined;
  readonly report: string;
  readonly counters: Readonly<Record<string, number>>;
}

export async function simulate(options: SimulationOptions): Promise<Outcome> {
  return new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #plan: Plan;
  readonly #world: World;
  readonly #server: StoreServer;
  readonly #journal: JournalServer;
  readonly #judge: Judge;
  readonly #fleet: SimFleet;
  readonly #faults: Faults;
  #steps = 0;
  #tables = 0;
  #lastTableMs = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const world = new World(options.seed);
    this.#world = world;
    world.trace.onLine = options.onLine;
    const plan = planOf(world.prng(1), options);
    this.#plan = plan;
    const wires = new Wires(world, plan.wires, {
      reorders: plan.mutation === 'reorder',
      deniesSending: plan.mutation === 'resend',
    });
    this.#server = new StoreServer(world, plan.server);
    this.#journal = new JournalServer(plan.mutation !== 'no-journal-fence');
    this.#judge = new Judge(world.trace, () => world.now);
    const parts = { world, wires, server: this.#server, judge: this.#judge };
    const onStep = (node: string) => this.#faults.step(node);
    this.#fleet = new SimFleet({ ...parts, journal: this.#journal, onStep }, plan);
    this.#faults = new Faults({ ...parts, fleet: this.#fleet }, plan);
  }

  async run(): Promise<Outcome> {
    const { durationMs, healMs } = this.#plan;
    const onRejection = (error: unknown) => this.#fault(error);
    process.on('unhandledRejection', onRejection);
    this.#server.watch(1, ({ type, key, value }) => {
      if (type === 'put' && key.startsWith('sharding/tables/')) {
        this.#written(key.slice('sharding/tables/'.length), decodeTable(value!));
      }
    });
    this.#faults.start();
    this.#world.at(healMs, undefined, () => this.#faults.heal());
    this.#world.at(durationMs - QUIET_MS, undefined, () => {
      this.#fleet.quiet = true;
    });
    try {
      for (let at = LOOK_EVERY_MS; at <= durationMs; at += LOOK_EVERY_MS) {
        await this.#world.run(at, MAX_EVENTS, this.#afterStep);
        // Who left is started again: by the end all nodes are there.
        if (at > healMs) for (const machine of this.#fleet.machines) this.#fleet.start(machine);
      }
      this.#atEnd();
    } catch (error) {
      this.#fault(error);
    } finally {
      process.off('unhandledRejection', onRejection);
    }
    const outcome = this.#outcome();
    this.#fleet.dispose();
    return outcome;
  }

  readonly #afterStep = () => {
    this.#steps++;
    if (this.#judge.violation !== undefined) throw this.#judge.violation;
  };

  #fault(error: unknown): void {
    const stack = error instanceof Error ? (error.stack ?? messageOf(error)) : String(error);
    this.#judge.violate('nothing throws past its caller', stack);
  }

  #written(type: string, table: ShardTable): void {
    const { trace } = this.#world;
    this.#tables++;
    this.#lastTableMs = this.#world.now;
    const shown = table.map(({ owner, epoch, move }) => {
      return `${owner}@${epoch}${move === undefined ? '' : `>${move.node}`}`;
    });
    trace.add(this.#world.now, 'table', type, shown.join(' '));
    const epochs = table.map(({ epoch }) => epoch);
    this.#judge.written(type, epochs);
  }

  #atEnd(): void {
    const lives = this.#fleet.running().map(({ life }) => life);
    const { now } = this.#world;
    const judge = this.#judge;
    judge.atEnd(
      new Set(lives.map(({ process }) => `${process.name}.${process.life}`)),
      this.#plan.calm,
    );
    if (now - this.#lastTableMs < STILL_MS) {
      judge.violate('rebalancing ends', `a table was written at ${this.#lastTableMs}`);
    }
    for (const type of TYPES) {
      const entry = this.#server.entry(`sharding/tables/${type}`);
      if (entry === undefined) judge.violate('every type has a table', type);
      else this.#lookAt(type, decodeTable(entry.value));
    }
    for (const { host } of lives) {
      if (host.pending > 0) judge.violate('no call is left over', `${host.name}: ${host.pending}`);
    }
    this.#lookAtJournal();
  }

  #lookAt(type: string, table: ShardTable): void {
    const judge = this.#judge;
    const counts = new Map(this.#fleet.machines.map(({ name }) => [name, 0]));
    for (const [shard, { owner, session, epoch, move }] of table.entries()) {
      const lives = this.#server.entry(`sharding/nodes/${owner}`)?.revision === session;
      const where = `${type} shard ${shard}: ${owner} at ${epoch}`;
      if (!lives) judge.violate('every shard has a living owner', where);
      if (move !== undefined) judge.violate('every move ends', where);
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
    const difference = Math.max(...counts.values()) - Math.min(...counts.values());
    if (difference > 1) judge.violate('shards are balanced', `${type}: ${[...counts].join(' ')}`);
  }

  /** What was acknowledged is kept, once; what was not delivered is not. */
  #lookAtJournal(): void {
    const judge = this.#judge;
    const kept = new Map<number, number>();
    for (const entity of new Set(judge.sent.map((message) => message.entity))) {
      const state = this.#journal.state('kept', entity);
      const seen = state === undefined ? [] : (decodeState(state) as Ledger).seen;
      for (const number of seen) kept.set(number, (kept.get(number) ?? 0) + 1);
    }
    for (const { number, type, outcome, handled } of judge.sent) {
      if (type !== 'kept') continue;
      const times = kept.get(number) ?? 0;
      if (times > 1) judge.violate('nothing is kept twice', `message ${number}`);
      if (outcome === 'answered' && times !== 1) {
        judge.violate('what was acknowledged is kept', `message ${number}`);
      }
      if (times > handled) judge.violate('what is kept was handled', `message ${number}`);
    }
  }

  #outcome(): Outcome {
    const { violation, sent } = this.#judge;
    const { seed, mutation } = this.#options;
    const count = (wanted: string) => sent.filter(({ outcome }) => outcome === wanted).length;
    const lines = [
      `violated: ${violation?.invariant}`,
      `  ${violation?.details}`,
      `plan: ${JSON.stringify(this.#plan)}`,
      ...this.#world.trace.lines().map((line) => `  ${line}`),
      `replay: node test/sharding/sim/main.ts ${seed} ${mutation ?? ''}`,
    ];
    return {
      seed,
      hash: this.#world.trace.hash,
      violation,
      report: violation === undefined ? '' : lines.join('\n'),
      counters: {
        steps: this.#steps,
        messages: sent.length,
        answered: count('answered'),
        notDelivered: count('not_delivered'),
        unknown: count('unknown'),
        tables: this.#tables,
        faults: this.#faults.count,
        ...this.#journal.counters,
      },
    };
  }
}
