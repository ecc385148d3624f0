// Where a key is at home: its owner on the ring, walked on past endpoints that have more than their
// share in flight (Mirrokni, Thorup and Zadimoghaddam, 2016). Gateways that know the same endpoints
// agree on homes without telling each other anything.
import { invalidOption } from '../core/index.ts';
import { HashRing } from '../ring/index.ts';
import type { Candidates, RoutingView } from '../load/index.ts';

export interface HomeRingOptions {
  /** Load of an endpoint over the mean from which it is walked past, at least 1. */
  readonly loadFactor: number;
  /** Below so many requests in flight it never is. */
  readonly minLoadCap: number;
}

/** An endpoint's home, and whether it is not the key's owner among the candidates. */
export interface Home {
  readonly slot: number;
  readonly spilled: boolean;
}

export class HomeRing {
  readonly #ring = new HashRing();
  readonly #view: RoutingView;
  readonly #options: HomeRingOptions;
  /** Number of the walk in which a slot was a candidate: nothing has to be cleared. */
  readonly #walkOf: Uint32Array;
  readonly #home = { slot: -1, spilled: false };
  #walk = 0;
  /** Requests in flight per unit of capacity from which an endpoint is full. */
  #fullAt = 0;
  readonly #accepts = (id: string) => this.#accept(id);

  constructor(view: RoutingView, maxEndpoints: number, options: HomeRingOptions) {
    this.#view = view;
    this.#options = options;
    if (!(options.loadFactor >= 1)) {
      throw invalidOption('loadFactor', 'at least 1', options.loadFactor);
    }
    if (!(options.minLoadCap >= 0)) {
      throw invalidOption('minLoadCap', 'at least 0', options.minLoadCap);
    }
    this.#walkOf = new Uint32Array(maxEndpoints);
  }

  add(id: string): void {
    this.#ring.addNode(id);
  }

  remove(id: string): void {
    this.#ring.removeNode(id);
  }

  /** Valid until the next call; the slot is −1 without candidates. */
  find(key: string, candidates: Candidates): Home {
    const { slots, count } = candidates;
    this.#walk = (this.#walk + 1) >>> 0;
    for (let i = 0; i < count; i++) this.#walkOf[slots[i]!] = this.#walk;
    this.#setLimit(candidates);
    this.#home.slot = -1;
    this.#home.spilled = false;
    if (count > 0) this.#ring.walk(key, this.#accepts);
    return this.#home;
  }

  /** Requests in flight at `slot` over its limit among the candidates of the last `find`. */
  fullness(slot: number): number {
    return this.#view.inFlight(slot) / this.#limit(slot);
  }

  #setLimit({ slots, count }: Candidates): void {
    const view = this.#view;
    let inFlight = 0;
    let capacity = 0;
    for (let i = 0; i < count; i++) {
      inFlight += view.inFlight(slots[i]!);
      capacity += view.capacity(slots[i]!);
    }
    this.#fullAt = (this.#options.loadFactor * (inFlight + 1)) / capacity;
  }

  /**
   * The sum over all candidates is above their requests in flight: one is always below its limit.
   */
  #limit(slot: number): number {
    const share = Math.ceil(this.#fullAt * this.#view.capacity(slot));
    return Math.max(share, this.#options.minLoadCap);
  }

  #accept(id: string): boolean {
    const slot = this.#view.slotOf(id)!;
    if (this.#walkOf[slot] !== this.#walk) return false;
    if (this.#view.inFlight(slot) >= this.#limit(slot)) {
      this.#home.spilled = true;
      return false;
    }
    this.#home.slot = slot;
    return true;
  }
}
