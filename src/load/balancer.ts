// What every balancer is, and the rule that all of them share: an overloaded node is passed over
// while another can serve.
import type { RoutingView } from './routing-view.ts';

/** Chooses among nodes of one `RoutingView`. Allocates nothing. */
export interface Balancer {
  /**
   * The slot to send the next request to; −1 when `candidates` is empty.
   * @param nowMs on the clock that `RoutingView.settled` is told
   */
  pick(candidates: Candidates, nowMs: number): number;
}

/** The slots that may serve a request: the first `count` of `slots`, each once. */
export interface Candidates {
  readonly slots: Uint16Array;
  readonly count: number;
}

/** Picks candidates that are not overloaded into memory of its own. */
export class OverloadFilter {
  readonly #view: RoutingView;
  readonly #kept: { slots: Uint16Array; count: number } = { slots: new Uint16Array(0), count: 0 };

  constructor(view: RoutingView) {
    this.#view = view;
  }

  /** `candidates` without the overloaded ones; all of them when every one is. */
  apply(candidates: Candidates): Candidates {
    const view = this.#view;
    if (!view.skipsOverloaded) return candidates;
    const kept = this.#kept;
    const { slots, count } = candidates;
    if (kept.slots.length < count) kept.slots = new Uint16Array(slots.length);
    kept.count = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if (!view.isOverloaded(slot)) kept.slots[kept.count++] = slot;
    }
    return kept.count === 0 ? candidates : kept;
  }
}

/**
 * The candidate of the least cost; among equals the first from a random one on, so that routers
 * which see the same do not all choose the same.
 */
export function leastOf(
  { slots, count }: Candidates,
  start: number,
  costOf: (slot: number) => number,
): number {
  let best = -1;
  let bestCost = Number.POSITIVE_INFINITY;
  for (let i = 0, at = start; i < count; i++, at = at + 1 === count ? 0 : at + 1) {
    const slot = slots[at]!;
    const cost = costOf(slot);
    if (best !== -1 && !(cost < bestCost)) continue;
    best = slot;
    bestCost = cost;
  }
  return best;
}
