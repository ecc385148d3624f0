// The balancers. All of them see gossiped load corrected by this router's own requests in flight,
// so that a burst between two samples does not herd onto the node that was idle at the first.
import { OverloadFilter, leastOf } from './balancer.ts';
import { LOAD_DEFAULTS } from './defaults.ts';
import type { Prng } from '../core/index.ts';
import type { Balancer, Candidates } from './balancer.ts';
import type { RoutingView } from './routing-view.ts';

export const BALANCER_NAMES = [
  'round-robin',
  'random',
  'adaptive',
  'weighted',
  'two-choices',
  'peak-ewma',
  'least-outstanding',
] as const;

export type BalancerName = (typeof BALANCER_NAMES)[number];

export interface BalancerComponents {
  readonly view: RoutingView;
  readonly prng: Prng;
}

type Choose = (candidates: Candidates, nowMs: number) => number;

/** Makes the balancer called `name` over `view`. */
export function createBalancer(name: BalancerName, components: BalancerComponents): Balancer {
  const choose = CHOICES[name](components);
  const filter = new OverloadFilter(components.view);
  return {
    pick(candidates, nowMs) {
      if (candidates.count === 0) return -1;
      const eligible = filter.apply(candidates);
      return eligible.count === 1 ? eligible.slots[0]! : choose(eligible, nowMs);
    },
  };
}

const CHOICES: Readonly<Record<BalancerName, (components: BalancerComponents) => Choose>> = {
  'round-robin': roundRobin,
  random:
    ({ prng }) =>
    ({ slots, count }) =>
      slots[prng.int(count)]!,
  adaptive,
  weighted:
    ({ view, prng }) =>
    (candidates) =>
      weightedPick(candidates, view, prng.next()),
  'two-choices': twoChoices,
  'peak-ewma': peakEwma,
  'least-outstanding': leastOutstanding,
};

function roundRobin(): Choose {
  let next = 0;
  return ({ slots, count }) => {
    next = next >= count ? 0 : next;
    return slots[next++]!;
  };
}

/** The least used by the view's selector; an unknown node only when all are unknown. */
function adaptive({ view, prng }: BalancerComponents): Choose {
  const cost = (slot: number) => {
    const usage = view.usage(slot);
    return Number.isNaN(usage) ? Number.POSITIVE_INFINITY : usage;
  };
  return (candidates) => leastOf(candidates, prng.int(candidates.count), cost);
}

/** Where the weights of a draw go: a draw allocates nothing. */
let weights = new Float64Array(0);

/**
 * A draw in proportion to room and capacity: first whose cumulated weight exceeds `draw` × total. A
 * node without room is never drawn, unless none has any: then it is the first.
 * @param draw in [0, 1); what is outside is clamped
 */
export function weightedPick(candidates: Candidates, view: RoutingView, draw: number): number {
  const { slots, count } = candidates;
  if (weights.length < count) weights = new Float64Array(slots.length);
  let total = 0;
  for (let i = 0; i < count; i++) {
    const weight = weightOf(slots[i]!, view);
    weights[i] = weight;
    total += weight;
  }
  const target = Math.min(1, Math.max(0, draw)) * total;
  let cumulated = 0;
  let last = slots[0] ?? -1;
  for (let i = 0; i < count; i++) {
    const weight = weights[i]!;
    if (weight === 0) continue;
    last = slots[i]!;
    cumulated += weight;
    if (cumulated > target) break;
  }
  return last;
}

function weightOf(slot: number, view: RoutingView): number {
  const room = view.room(slot);
  return view.capacity(slot) * (Number.isNaN(room) ? LOAD_DEFAULTS.unknownWeight : room);
}

/** The one with fewer outstanding requests of two drawn at random (Mitzenmacher, 2001). */
function twoChoices({ view, prng }: BalancerComponents): Choose {
  return ({ slots, count }) => {
    const first = prng.int(count);
    const a = slots[first]!;
    const b = slots[(first + 1 + prng.int(count - 1)) % count]!;
    return view.outstandingNext(b) < view.outstandingNext(a) ? b : a;
  };
}

/**
 * The lowest peak latency × (outstanding + 1). Finagle compares two at random; among all it is
 * better here, because the counts of this router itself are never stale.
 */
function peakEwma({ view, prng }: BalancerComponents): Choose {
  let now = 0;
  const cost = (slot: number) =>
    Math.max(1, view.peakLatencyMs(slot, now)) * (view.outstanding(slot) + 1);
  return (candidates, nowMs) => {
    now = nowMs;
    return leastOf(candidates, prng.int(candidates.count), cost);
  };
}

/** The fewest outstanding requests for its capacity, the one to place included, of all. */
function leastOutstanding({ view, prng }: BalancerComponents): Choose {
  const cost = (slot: number) => view.outstandingNext(slot);
  return (candidates) => leastOf(candidates, prng.int(candidates.count), cost);
}
