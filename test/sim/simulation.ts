// One seed from beginning to end: builds the world, lets it run, looks at it after every step, and
// says what it found.
import { Faults } from './faults.ts';
import { Fleet } from './fleet.ts';
import { play, reportOf } from './history.ts';
import { MAX_CALLS } from './host.ts';
import { Network } from './network.ts';
import { Observer } from './observer.ts';
import { CALM_MS, CONVERGENCE_MS, DEFAULT_NODES, planOf } from './plan.ts';
import { Sink } from './sink.ts';
import { MAX_STORE_CALLS } from './store-client.ts';
import { StoreServer } from './store-server.ts';
import { World } from './world.ts';
import type { Member } from '../../src/cluster/index.ts';
import type { Life, Machine } from './fleet.ts';
import type { Outcome, Violation } from './history.ts';
import type { Plan, SimulationOptions } from './plan.ts';

/** All views agree, or did a moment ago. */
const MOMENT_MS = 3_000;

/**
 * Events that may wait, and that may happen between two looks, for each node and for each pair of
 * them: more is a leak, or a busy loop.
 */
const MAX_EVENTS_PER_NODE = 400;
const MAX_EVENTS_PER_PAIR = 20;

/** Said here anew, so that it is a check of the code under test and not its echo. */
function mayServe({ status, declared }: Member): boolean {
  return status === 'up' || (status === 'suspect' && declared === 'up');
}

export async function simulate(options: SimulationOptions): Promise<Outcome> {
  const simulation = new Simulation(options);
  return simulation.run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #plan: Plan;
  readonly #world: World;
  readonly #network: Network;
  readonly #server: StoreServer;
  readonly #observer: Observer;
  readonly #sink: Sink;
  readonly #fleet: Fleet;
  readonly #faults: Faults;
  #convergedMs: number | undefined;
  /** When all views agreed last. */
  #agreedMs = -Infinity;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const world = new World(options.seed);
    this.#world = world;
    world.trace.onLine = options.onLine;
    const plan = planOf(world.prng(1), options);
    this.#plan = plan;
    this.#network = new Network(world, plan.network);
    this.#server = new StoreServer(world, plan.server);
    this.#observer = new Observer(() => world.now);
    this.#sink = new Sink(plan.epochChecked);
    const { nodes = DEFAULT_NODES } = options;
    const parts = {
      world,
      network: this.#network,
      server: this.#server,
      observer: this.#observer,
      sink: this.#sink,
    };
    this.#fleet = new Fleet(parts, { plan, nodes });
    this.#faults = new Faults({ ...parts, fleet: this.#fleet }, plan);
  }

  async run(): Promise<Outcome> {
    const { healMs, durationMs } = this.#plan;
    this.#server.watch(1, ({ type, key, revision }) => {
      if (type === 'put') this.#granted(key, revision);
    });
    this.#faults.start();
    this.#world.at(healMs, undefined, () => this.#faults.heal());
    const steps = await play(
      {
        world: this.#world,
        judge: this.#observer,
        durationMs,
        mostEvents: this.#mostEvents,
        look: (at) => this.#look(at > healMs),
        atEnd: () => this.#checkAgreement(),
      },
      this.#options.onProgress,
    );
    const outcome = this.#outcome(steps);
    this.#fleet.dispose();
    return outcome;
  }

  #granted(key: string, epoch: number): void {
    const world = this.#world;
    world.trace.add(world.now, 'granted', key, epoch);
    if (this.#plan.storeLies) {
      this.#observer.granted(key, epoch, []);
      return;
    }
    const holders = this.#fleet.lives().flatMap(({ life }) => {
      const term = life.elections.get(key)?.term();
      return term === undefined ? [] : [{ name: life.process.name, epoch: term.epoch }];
    });
    this.#observer.granted(key, epoch, holders);
  }

  /** What is too dear to look at after every step. */
  #look(healed: boolean): void {
    for (const { life } of this.#fleet.lives()) this.#lookAt(life);
    this.#bounded('events', this.#world.pending, this.#mostEvents, 'world');
    if (!healed || this.#observer.violation !== undefined) {
      this.#afterLook();
      return;
    }
    const healedMs = this.#world.now - this.#plan.healMs;
    const agreed = this.#disagreement() === undefined;
    if (agreed) {
      this.#agreedMs = this.#world.now;
      this.#convergedMs ??= healedMs;
    } else if (healedMs < CALM_MS) {
      this.#convergedMs = undefined;
    }
    this.#afterLook();
  }

  get #mostEvents(): number {
    const nodes = this.#fleet.machines.length;
    return MAX_EVENTS_PER_NODE * nodes + MAX_EVENTS_PER_PAIR * nodes * nodes;
  }

  #afterLook(): void {
    if (this.#observer.violation !== undefined) throw this.#observer.violation;
  }

  #lookAt({ process, host, store, cluster, coordinator, elections }: Life): void {
    const { name } = process;
    if (process.paused) return;
    this.#bounded('calls', host.pending, MAX_CALLS, name);
    this.#bounded('store calls', store.pending, MAX_STORE_CALLS, name);
    this.#bounded('watches', store.watches, 4 * elections.size, name);
    const members = cluster.members();
    this.#bounded('members', members.length, this.#fleet.machines.length, name);
    const routable = new Set(members.filter(mayServe).map((member) => member.name));
    for (const { id } of coordinator.routeMany(`key-${Math.round(this.#world.now)}`, 3)) {
      if (routable.has(id)) continue;
      const status = members.find((member) => member.name === id)?.status ?? 'unknown';
      this.#observer.violate('no route to who is not up', `${name}: ${id} is ${status}`, name, id);
    }
  }

  #bounded(what: string, size: number, most: number, node: string): void {
    if (size <= most) return;
    this.#observer.violate(
      'queues stay bounded',
      `${node} has ${size} ${what}, over ${most}`,
      node,
    );
  }

  /** Why the views do not agree yet; undefined when they do. */
  #disagreement(): { details: string; nodes: string[] } | undefined {
    const lives = this.#fleet.lives();
    const truth = lives.map(({ machine }) => machine.name).sort();
    for (const { machine, life } of lives) {
      const members = life.cluster.members();
      const live = members.filter(({ status }) => status === 'up').map(({ name }) => name);
      const view = live.sort().join();
      if (view !== truth.join()) {
        const details = `${machine.name} has ${view} up, but ${truth.join()} are`;
        return { details, nodes: [machine.name] };
      }
      for (const { machine: other, life: others } of lives) {
        const sees = members.find(({ name }) => name === other.name)!.incarnation;
        const is = others.cluster.members().find(({ name }) => name === other.name)!.incarnation;
        if (sees === is) continue;
        const details = `${machine.name} has ${other.name}@${sees}, but it is @${is}`;
        return { details, nodes: [machine.name, other.name] };
      }
    }
    for (const key of this.#plan.keys) {
      const holders = lives.filter(({ life }) => life.elections.get(key)?.term() !== undefined);
      if (holders.length === 1) continue;
      return { details: `${key} has ${holders.length} holders`, nodes: [] };
    }
    return undefined;
  }

  /** Messages are still lost, so somebody may be suspected for a moment just now. */
  #checkAgreement(): void {
    const { details, nodes } = this.#disagreement() ?? { details: 'it did again', nodes: [] };
    if (this.#world.now - this.#agreedMs <= MOMENT_MS) return;
    const seconds = CONVERGENCE_MS / 1000;
    const invariant = `${seconds} s after the last fault all views agree, all keys have a holder`;
    this.#observer.violate(invariant, details, ...nodes);
  }

  #outcome(steps: number): Outcome {
    const { violation } = this.#observer;
    const concerned = new Set(violation?.nodes);
    const shown = this.#fleet.machines.filter(
      ({ name }) => concerned.size === 0 || concerned.has(name),
    );
    const report =
      violation === undefined ? '' : this.#report(violation, { steps, machines: shown });
    return {
      seed: this.#options.seed,
      hash: this.#world.trace.hash,
      steps,
      violation,
      report,
      counters: {
        ...this.#network.counters,
        ...this.#sink.counters,
        faults: this.#faults.count,
        terms: this.#server.revision,
      },
      convergedMs: this.#convergedMs,
    };
  }

  #report(
    violation: Violation,
    { steps, machines }: { steps: number; machines: readonly Machine[] },
  ): string {
    const { seed, nodes, minutes, mutation } = this.#options;
    const { preset, ttlMs, network, store, server } = this.#plan;
    return reportOf({
      violation,
      steps,
      plan: { preset, ttlMs, network, store, server },
      trace: this.#world.trace,
      nodes: machines.flatMap((machine) => this.#stateOf(machine)),
      replay: { seed, nodes, minutes, mutation },
    });
  }

  #stateOf({ name, life, path }: Machine): string[] {
    if (life === undefined) return [`  ${name}: no process`];
    const { process, cluster, elections, host, store, joined } = life;
    const views = cluster.members().map((member) => {
      const declared = member.status === member.declared ? '' : `(${member.declared})`;
      return `${member.name}@${member.incarnation}:${member.status}${declared}`;
    });
    const terms = [...elections].map(
      ([key, election]) => `${key}=${election.term()?.epoch ?? '-'}`,
    );
    return [
      `  ${name}: life ${process.life}, joined ${joined}, paused ${process.paused}, links ` +
        `${host.linked().join()}, calls ${host.pending}, store calls ${store.pending}, ` +
        `store path ${JSON.stringify(path)}`,
      `    members ${views.join(' ')}`,
      `    terms ${terms.join(' ')}`,
    ];
  }
}
