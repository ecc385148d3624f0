// Which node takes the next request, by what is known of load: keyed requests by the ring with
// bounded load, others by a balancer. It counts what it sent until that is settled, so that the
// next choice knows of it; it sends nothing itself.
import { assert, defined } from '../core/index.ts';
import { createBalancer, OverloadFilter } from '../load/index.ts';
import { loadCap } from '../ring/index.ts';
import type { Clock, Prng } from '../core/index.ts';
import type { Balancer, BalancerName, Candidates, Dispatch, RoutingView } from '../load/index.ts';
import type { LoadBoard } from './load-board.ts';
import type { NodeInfo, NodeRegistry } from './node-registry.ts';

export interface LoadRouterComponents {
  readonly registry: NodeRegistry;
  readonly board: LoadBoard;
  readonly clock: Clock;
  readonly prng: Prng;
}

export type RouteReason =
  | 'unhealthy'
  /** Too busy, and others can serve. */
  | 'overloaded'
  /** It has its share of the requests in flight. */
  | 'at its cap'
  | 'serves the key'
  | 'next in line';

export interface RouteCandidate {
  readonly node: string;
  readonly reason: RouteReason;
  readonly healthy: boolean;
  readonly overloaded: boolean;
  /** Requests there, as far as this node knows. */
  readonly inFlight: number;
  /** A request goes there while `inFlight` is below it. */
  readonly cap: number;
  /** Smoothed CPU share; absent while nothing is known. */
  readonly load?: number;
}

/** Why a key goes where it goes. */
export interface RouteExplanation {
  readonly key: string;
  /** Where a request with this key would be sent now; undefined when nobody is healthy. */
  readonly node: string | undefined;
  /** Whose key it is on the ring, however it does. */
  readonly owner: string | undefined;
  /** The most requests that a node of mean capacity should have in flight. */
  readonly cap: number;
  /** Every member in the ring's order from the key, with the reason it was taken or passed over. */
  readonly candidates: readonly RouteCandidate[];
}

/**
 * A request that counts at `node` until it is settled. With `using` it counts as failed when it was
 * not settled before.
 */
export class DispatchedRequest implements Disposable {
  readonly node: NodeInfo;
  readonly #view: RoutingView;
  readonly #clock: Clock;
  readonly #dispatch: Dispatch;
  readonly #startedMs: number;
  #settled = false;

  constructor(node: NodeInfo, slot: number, { view, clock }: { view: RoutingView; clock: Clock }) {
    this.node = node;
    this.#view = view;
    this.#clock = clock;
    this.#dispatch = view.dispatched(slot);
    this.#startedMs = clock.now();
  }

  /**
   * Says how the request ended; only the first time counts.
   * @param latencyMs how long it took. Default: the time since it was dispatched
   */
  settle(ok: boolean, latencyMs?: number): void {
    if (this.#settled) return;
    this.#settled = true;
    const now = this.#clock.now();
    this.#view.settled(this.#dispatch, now, { ok, latencyMs: latencyMs ?? now - this.#startedMs });
  }

  [Symbol.dispose](): void {
    this.settle(false);
  }
}

export class LoadRouter {
  readonly #components: LoadRouterComponents;
  readonly #view: RoutingView;
  readonly #filter: OverloadFilter;
  readonly #balancers = new Map<BalancerName, Balancer>();
  /** What is decided on now: its number, who is eligible by it, and their sums. */
  #decision = 0;
  #marks = new Float64Array(0);
  #totalInFlight = 0;
  #totalCapacity = 0;
  readonly #chosen: { slots: Uint16Array; count: number } = { slots: new Uint16Array(0), count: 0 };
  /** Made once: a decision makes no closure. */
  readonly #accepts = (id: string): boolean => {
    const slot = this.#view.slotOf(id);
    return slot !== undefined && this.#isEligible(slot) && this.#hasRoom(slot);
  };

  constructor(components: LoadRouterComponents) {
    this.#components = components;
    this.#view = components.board.view;
    this.#filter = new OverloadFilter(this.#view);
  }

  /** By the ring with bounded load. Undefined when no candidate is healthy. */
  dispatch(key: string, among?: readonly string[]): DispatchedRequest | undefined {
    if (this.#decide(among).count === 0) return undefined;
    const node = this.#components.registry.ring.walk(key, this.#accepts);
    // The cap is above the mean, so not all can have reached it.
    const slot = this.#view.slotOf(defined(node, 'some node is below its cap'));
    return this.#dispatched(defined(slot, 'who is accepted has a slot'));
  }

  /** By the balancer called `name`. Undefined when no candidate is healthy. */
  balance(name: BalancerName, among?: readonly string[]): DispatchedRequest | undefined {
    const { clock, prng } = this.#components;
    let balancer = this.#balancers.get(name);
    if (balancer === undefined) {
      balancer = createBalancer(name, { view: this.#view, prng });
      this.#balancers.set(name, balancer);
    }
    const slot = balancer.pick(this.#candidates(among), clock.now());
    return slot === -1 ? undefined : this.#dispatched(slot);
  }

  /** What `dispatch` would do now, and why. */
  explain(key: string): RouteExplanation {
    const { count } = this.#decide();
    const { registry } = this.#components;
    const order = registry.ring.getNodes(key, registry.size);
    const node = count === 0 ? undefined : order.find(this.#accepts);
    const candidates = order.map((id) => this.#candidate(id, node));
    return { key, node, owner: order[0], cap: loadCap(this.#totalInFlight, count), candidates };
  }

  #candidate(id: string, taken: string | undefined): RouteCandidate {
    const { board, registry } = this.#components;
    const slot = this.#view.slotOf(id);
    const healthy = registry.get(id)?.healthy === true;
    const load = board.of(id)?.cpu;
    const reason = this.#reason(id, { slot, healthy, taken });
    return {
      ...{ node: id, reason, healthy },
      overloaded: slot !== undefined && this.#view.isOverloaded(slot),
      inFlight: slot === undefined ? 0 : this.#view.inFlight(slot),
      cap: slot === undefined || !healthy ? 0 : this.#capOf(slot),
      ...(load !== undefined && { load }),
    };
  }

  #reason(
    id: string,
    {
      slot,
      healthy,
      taken,
    }: { slot: number | undefined; healthy: boolean; taken: string | undefined },
  ): RouteReason {
    if (!healthy || slot === undefined) return 'unhealthy';
    if (id === taken) return 'serves the key';
    if (!this.#isEligible(slot)) return 'overloaded';
    return this.#hasRoom(slot) ? 'next in line' : 'at its cap';
  }

  /** Who may serve, without the overloaded while others can; and how much goes on there. */
  #decide(among?: readonly string[]): Candidates {
    const view = this.#view;
    const eligible = this.#filter.apply(this.#candidates(among));
    const { slots, count } = eligible;
    this.#decision++;
    this.#totalInFlight = 0;
    this.#totalCapacity = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if (slot >= this.#marks.length) this.#growMarks(slot);
      this.#marks[slot] = this.#decision;
      this.#totalInFlight += view.inFlight(slot);
      this.#totalCapacity += view.capacity(slot);
    }
    return eligible;
  }

  #isEligible(slot: number): boolean {
    return this.#marks[slot] === this.#decision;
  }

  #hasRoom(slot: number): boolean {
    return this.#view.inFlight(slot) < this.#capOf(slot);
  }

  /** A node's share of the cap is that of its capacity. */
  #capOf(slot: number): number {
    return loadCap(this.#totalInFlight, this.#totalCapacity / this.#view.capacity(slot));
  }

  /** The slots of `among` that are healthy; of everybody without it. */
  #candidates(among: readonly string[] | undefined): Candidates {
    const { board, registry } = this.#components;
    const { healthy } = board;
    if (among === undefined) return healthy;
    const chosen = this.#chosen;
    if (chosen.slots.length < among.length) chosen.slots = new Uint16Array(among.length);
    chosen.count = 0;
    for (const id of among) {
      const slot = this.#view.slotOf(id);
      if (slot === undefined || registry.get(id)?.healthy !== true) continue;
      chosen.slots[chosen.count++] = slot;
    }
    return chosen;
  }

  #growMarks(slot: number): void {
    const marks = new Float64Array(2 * (slot + 1));
    marks.set(this.#marks);
    this.#marks = marks;
  }

  #dispatched(slot: number): DispatchedRequest {
    const { clock, registry } = this.#components;
    const name = this.#view.nameOf(slot);
    const node = name === undefined ? undefined : registry.get(name);
    assert(node !== undefined, 'a slot belongs to a listed node');
    return new DispatchedRequest(node, slot, { view: this.#view, clock });
  }
}
