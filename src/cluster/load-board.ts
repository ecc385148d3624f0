// What this node knows of everybody's load, in the two forms in which it is used: records by name
// (`LoadStore`) and columns for routing (`RoutingView`), kept in step with who is listed. Where
// records come from is `LoadGossip`'s, where requests go is `LoadRouter`'s.
import { defined } from '../core/index.ts';
import { LOAD_DEFAULTS, LoadStore, RoutingView } from '../load/index.ts';
import { CLUSTER_DEFAULTS } from './defaults.ts';
import type { Clock } from '../core/index.ts';
import type {
  Candidates,
  KnownLoad,
  NodeLoad,
  PublishOutcome,
  RoutingViewOptions,
} from '../load/index.ts';
import type { NodeInfo, NodeRegistry } from './node-registry.ts';

/** What is known of one node. What only a record tells is absent without one. */
export interface KnownNode extends Partial<Pick<KnownLoad, 'record' | 'cpu' | 'memory'>> {
  /** Since the record arrived. */
  readonly ageMs?: number;
  readonly overloaded: boolean;
  /** Requests in flight over capacity. */
  readonly outstanding: number;
}

/** Records by what became of them. */
export type LoadCounters = Readonly<Record<PublishOutcome | 'expired' | 'refused', number>>;

export interface LoadBoardComponents {
  readonly registry: NodeRegistry;
  readonly clock: Clock;
}

export class LoadBoard {
  readonly #registry: NodeRegistry;
  readonly #clock: Clock;
  readonly #routing: RoutingViewOptions;
  readonly #store = new LoadStore();
  /** Made when it is first needed: who only follows membership does without its columns. */
  #view: RoutingView | undefined;
  /** Who has a slot. */
  readonly #placed = new Set<string>();
  #healthy: { readonly slots: Uint16Array; readonly count: number } = {
    slots: new Uint16Array(0),
    count: 0,
  };
  /** Of the registry, when slots were last given out. */
  #version = -1;
  #refused = 0;

  constructor({ registry, clock }: LoadBoardComponents, routing: RoutingViewOptions = {}) {
    this.#registry = registry;
    this.#clock = clock;
    this.#routing = routing;
  }

  get counters(): LoadCounters {
    return { ...this.#store.outcomes, refused: this.#refused };
  }

  /** The loads by slot. */
  get view(): RoutingView {
    if (this.#version !== this.#registry.version) this.#follow();
    return defined(this.#view, 'the view follows the registry');
  }

  /** The slots of those that requests may go to, by name. Good until the registry changes. */
  get healthy(): Candidates {
    if (this.#version !== this.#registry.version) this.#follow();
    return this.#healthy;
  }

  /** Takes a record in; what became of it. */
  publish(record: NodeLoad): PublishOutcome {
    const { node } = record;
    const outcome = this.#store.publish(record, this.#clock.now());
    const known = this.#store.get(node);
    if (outcome === 'stored' && known !== undefined) {
      this.view.update(node, known);
      this.#registry.updateLoad(node, known.cpu);
    }
    return outcome;
  }

  /** Counts a record that was not worth a look. */
  refuse(): void {
    this.#refused++;
  }

  /** Forgets what is too old to be acted on. */
  expire(): void {
    for (const node of this.#store.expire(this.#clock.now())) this.view.update(node, undefined);
  }

  /**
   * Forgets a node's load in its present life, and refuses what still arrives of it.
   * @param incarnation of that life; the record's when it is not known
   */
  remove(node: string, incarnation = this.#store.get(node)?.record.incarnation): void {
    if (incarnation === undefined) return;
    this.#store.remove(node, incarnation);
    if (this.#store.get(node) === undefined) this.#view?.update(node, undefined);
  }

  /** Undefined for a node that is not listed. */
  of(node: string): KnownNode | undefined {
    const { view } = this;
    const slot = view.slotOf(node);
    if (slot === undefined) return undefined;
    const state = { overloaded: view.isOverloaded(slot), outstanding: view.outstanding(slot) };
    const known = this.#store.get(node);
    if (known === undefined) return state;
    const { record, cpu, memory, receivedAtMs } = known;
    return { record, cpu, memory, ageMs: this.#clock.now() - receivedAtMs, ...state };
  }

  /** The newest record of a node, with what is smoothed out of its records. */
  known(node: string): KnownLoad | undefined {
    return this.#store.get(node);
  }

  /** Gives everybody who is listed a slot. A node keeps its counts while it is unhealthy. */
  #follow(): void {
    this.#version = this.#registry.version;
    this.#view ??= new RoutingView(this.#routing);
    const nodes = this.#registry.allNodes();
    const { maxNodes } = LOAD_DEFAULTS;
    const unlisted = [...this.#placed].filter((name) => this.#registry.get(name) === undefined);
    this.#displace(unlisted);
    if (nodes.length > maxNodes) {
      // Those that requests may go to come first.
      this.#displace(nodes.filter(({ healthy }) => !healthy).map(({ id }) => id));
    }
    const slots = new Uint16Array(nodes.length);
    let count = 0;
    for (const node of nodes) {
      const { id, healthy } = node;
      const isNew = !this.#placed.has(id);
      if (isNew && (this.#placed.size >= maxNodes || (!healthy && nodes.length > maxNodes))) {
        continue;
      }
      const slot = this.#view.add(id, capacityOf(node));
      this.#placed.add(id);
      if (isNew) this.#view.update(id, this.#store.get(id));
      if (healthy) slots[count++] = slot;
    }
    this.#healthy = { slots, count };
  }

  #displace(names: readonly string[]): void {
    for (const name of names) {
      if (this.#placed.delete(name)) this.#view?.remove(name);
    }
  }
}

/** A member may say what it likes of its capacity: one figure must not spoil the sums of all. */
function capacityOf({ capacity = 1 }: NodeInfo): number {
  const { minCapacity, maxCapacity } = CLUSTER_DEFAULTS;
  return Math.min(maxCapacity, Math.max(minCapacity, capacity));
}
