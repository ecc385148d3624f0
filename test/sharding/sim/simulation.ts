// One seed from beginning to end: a fleet that shards, faults, and after the last of them a time in
// which everything has to come right again.
import { decodeState, PROCEDURES } from '../../../src/sharding/messages.ts';
import { sessionKey } from '../../../src/sharding/ownership-view.ts';
import { decodeTable, VACANT } from '../../../src/sharding/shard-table.ts';
import { play, reportOf } from '../../sim/history.ts';
import { StoreServer } from '../../sim/store-server.ts';
import { World } from '../../sim/world.ts';
import { Faults } from './faults.ts';
import { SimFleet } from './fleet.ts';
import { JournalServer } from './journal.ts';
import { Judge } from './judge.ts';
import { TYPES } from './ledger.ts';
import { planOf } from './plan.ts';
import { TABLES } from './steps.ts';
import { Wires } from './wires.ts';
import type { ShardTable } from '../../../src/sharding/shard-table.ts';
import type { NodeDescription } from '../../../src/sharding/messages.ts';
import type { Outcome } from '../../sim/history.ts';
import type { Ledger } from './ledger.ts';
import type { Plan, SimulationOptions } from './plan.ts';
import type { OnStep } from './steps.ts';
import type { WireHost } from './wires.ts';

const MISSING_LOOKS = 4;
const MAX_EVENTS = 200_000;

/** After the last fault every shard has an owner within this, */
const OWNED_AFTER_MS = 6_000;

/** and answers everybody within the sum of these. */
const ANSWERS_AFTER_MS = 9_000;
const ANSWERS_WITHIN_MS = 2_000;

/** Clients fall silent this long before the end, so that the last asks settle. */
const QUIET_MS = 11_500;

/** Tables stand still from this long before the end. */
const STILL_MS = 4_000;

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
  #tables = 0;
  #lastTableMs = 0;
  /** Shards that were looked at for the entities that they remember. */
  #remembered = 0;
  /** Those that lacked some of them: how often in a row. */
  #missing = new Map<string, number>();

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
    this.#judge = new Judge(world.trace, () => world.now, this.#server);
    const parts = { world, wires, server: this.#server, judge: this.#judge };
    const onStep: OnStep = (node, step) => this.#faults.step(node, step);
    wires.onCall = (node, procedure, moment) => {
      if (procedure === PROCEDURES.stage) onStep(node, `stage ${moment}`);
      else if (procedure === PROCEDURES.released) onStep(node, `release ${moment}`);
    };
    this.#fleet = new SimFleet({ ...parts, journal: this.#journal, onStep }, plan);
    this.#faults = new Faults({ ...parts, fleet: this.#fleet }, plan);
  }

  async run(): Promise<Outcome> {
    const { durationMs, healMs } = this.#plan;
    this.#server.watch(1, ({ type, key, value }) => {
      if (!key.startsWith(TABLES)) this.#judge.ownership.membersChanged();
      else if (type === 'put') this.#written(key.slice(TABLES.length), decodeTable(value!));
    });
    this.#faults.start();
    this.#judge.ownership.prompt = this.#plan.calm;
    this.#world.at(healMs, undefined, () => this.#faults.heal());
    this.#world.at(healMs + OWNED_AFTER_MS, undefined, () => {
      this.#judge.ownership.prompt = true;
    });
    this.#world.at(healMs + ANSWERS_AFTER_MS, undefined, () =>
      this.#fleet.probe(ANSWERS_WITHIN_MS),
    );
    this.#world.at(durationMs - QUIET_MS, undefined, () => {
      this.#fleet.quiet = true;
    });
    const steps = await play(
      {
        world: this.#world,
        judge: this.#judge,
        durationMs,
        mostEvents: MAX_EVENTS,
        look: (at) => this.#look(at),
        atEnd: () => this.#atEnd(),
      },
      this.#options.onProgress,
    );
    const outcome = this.#outcome(steps);
    this.#fleet.dispose();
    return outcome;
  }

  #look(atMs: number): void {
    const { healMs } = this.#plan;
    this.#lookAtRemembered();
    if (atMs > healMs + OWNED_AFTER_MS) this.#lookAtOwners();
    if (atMs <= healMs) return;
    // Who left is started again: by the end all nodes are there.
    for (const machine of this.#fleet.machines) this.#fleet.start(machine);
  }

  #written(type: string, table: ShardTable): void {
    const { trace } = this.#world;
    this.#tables++;
    this.#lastTableMs = this.#world.now;
    const shown = table.map(({ owner, epoch, move }) => {
      return `${owner}@${epoch}${move === undefined ? '' : `>${move.node}`}`;
    });
    trace.add(this.#world.now, 'table', type, shown.join(' '));
    this.#judge.ownership.written(type, table);
    this.#faults.step('', 'table taken');
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
      const entry = this.#server.entry(TABLES + type);
      if (entry === undefined) judge.violate('every type has a table', type);
      else this.#lookAt(type, decodeTable(entry.value));
    }
    this.#lookAtRemembered();
    for (const { host } of lives) {
      if (host.pending > 0) judge.violate('no call is left over', `${host.name}: ${host.pending}`);
    }
    this.#lookAtJournal();
  }

  #lookAtOwners(): void {
    for (const type of TYPES) {
      const value = this.#server.entry(TABLES + type)?.value;
      const table = value === undefined ? [VACANT] : decodeTable(value);
      for (const [shard, { owner, session }] of table.entries()) {
        if (this.#server.entry(sessionKey(owner))?.revision === session) continue;
        this.#judge.violate('every shard has an owner again', `${type} shard ${shard}: "${owner}"`);
      }
    }
  }

  /** Where a shard runs, the entities that ever answered are in memory, whoever asked last. */
  #lookAtRemembered(): void {
    const type = this.#plan.types.remember;
    const value = this.#server.entry(`${TABLES}${type}`)?.value;
    if (type === undefined || value === undefined) return;
    const table = decodeTable(value);
    const known = this.#fleet.answered(type);
    const before = this.#missing;
    this.#missing = new Map();
    for (const { life } of this.#fleet.running()) {
      const { host, process, sharding } = life;
      for (const [shard, epoch, phase, entities] of describe(host, type)) {
        const { owner, session, epoch: current, move } = table[shard]!;
        const mine = owner === process.name && session === sharding.session && epoch === current;
        if (!mine || move !== undefined || phase !== 'running') continue;
        this.#remembered++;
        const where = `${type} shard ${shard} at ${process.name}.${process.life}, epoch ${epoch}`;
        const looks = (before.get(where) ?? 0) + 1;
        // One that could not be loaded is tried again.
        if (entities >= known[shard]!) continue;
        this.#missing.set(where, looks);
        if (looks < MISSING_LOOKS) continue;
        const what = `${where}: ${entities} of ${known[shard]!}`;
        this.#judge.violate('what is remembered runs', what);
      }
    }
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
    const { pinned } = this.#plan.types;
    for (const [shard, { owner }] of table.slice(0, pinned).entries()) {
      const home = `n${shard % 2}`;
      if (owner !== home) judge.violate('a pinned shard is at home', `${type} ${shard}: ${owner}`);
      counts.set(owner, counts.get(owner)! - 1);
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
      // One that is only remembered so far has no state.
      const empty = state === undefined || state.length === 0;
      const seen = empty ? [] : (decodeState(state) as Ledger).seen;
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

  #outcome(steps: number): Outcome {
    const { violation, sent } = this.#judge;
    const { trace } = this.#world;
    const { seed, mutation } = this.#options;
    const count = (wanted: string) => sent.filter(({ outcome }) => outcome === wanted).length;
    const replay = { of: 'sharding', seed, mutation };
    const report =
      violation === undefined
        ? ''
        : reportOf({ violation, steps, plan: this.#plan, trace, replay });
    return {
      seed,
      hash: trace.hash,
      steps,
      violation,
      report,
      counters: {
        messages: sent.length,
        answered: count('answered'),
        notDelivered: count('not_delivered'),
        unknown: count('unknown'),
        tables: this.#tables,
        faults: this.#faults.count,
        drained: this.#judge.ownership.drained,
        moves: this.#judge.ownership.moves,
        recovered: this.#judge.ownership.lost,
        remembered: this.#remembered,
        probed: this.#fleet.probed,
        ...this.#faults.steps.counters(),
        ...this.#journal.counters,
      },
    };
  }
}

function describe(host: WireHost, type: string): NodeDescription['types'][number]['shards'] {
  const { types } = host.ask(PROCEDURES.describe) as NodeDescription;
  return types.find((one) => one.type === type)?.shards ?? [];
}
