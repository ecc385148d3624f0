// Where shards should be: strategies, pure functions over what the coordinator knows. They propose;
// that a shard is moved safely is the coordinator's and the regions' part.
import { byDevice } from './by-device.ts';
import { BY_DEVICE, LOAD_WEIGHTS, REBALANCE } from './defaults.ts';
import type { NodeLoad } from '../load/index.ts';

/** A node that takes shards of the type. */
export interface Candidate {
  readonly node: string;
  /** Those it has, those on their way to it, less those on their way from it. */
  readonly shards: number;
  /** How many of these it got in the decision that is being made. */
  readonly added: number;
  /** 0 (idle) to 1; undefined when it is not known. */
  readonly load: number | undefined;
  /** Addresses of its devices that serve the type; only of a type that says so. */
  readonly devices?: readonly string[] | undefined;
}

export interface AllocationView {
  readonly type: string;
  readonly shards: number;
  /** By name. At least one. */
  readonly candidates: readonly Candidate[];
  /** The node that has the shard, or gets it; undefined for a vacant one. */
  ownerOf(shard: number): string | undefined;
  /** Milliseconds since the shard last moved for the sake of load. */
  restedMs(shard: number): number;
  /** False for a shard whose last handoff failed a moment ago: another one does as well. */
  mayMove(shard: number): boolean;
}

export interface Move {
  readonly shard: number;
  readonly to: string;
}

/**
 * Decides where the shards of a type are. Both methods are called between the coordinator's other
 * steps, so they must be quick, and must not change the view.
 */
export interface AllocationStrategy {
  /**
   * That it looks at nothing but owners and counts, which are exact at once. Rounds may follow each
   * other sooner than those that go by figures which come later. @default false
   */
  readonly isExact?: boolean;
  /** The candidate for a shard that has no owner, or whose owner is to lose it. */
  allocate(shard: number, view: AllocationView): string;
  /** Better places, at most `limit`. None when it is good as it is: a balance must be an end. */
  rebalance(view: AllocationView, limit: number): readonly Move[];
}

/** What a region asks for by name; the coordinator may be a node that does not have the type. */
export interface AllocationChoice {
  readonly name: string;
  /** For `pinned`: nodes by shard number. */
  readonly pins?: Readonly<Record<string, string>> | undefined;
}

function cheapest(view: AllocationView, cost: (candidate: Candidate) => number): Candidate {
  let best = view.candidates[0]!;
  let least = cost(best);
  for (const candidate of view.candidates) {
    const price = cost(candidate);
    if (price < least) [best, least] = [candidate, price];
  }
  return best;
}

/** Shards of `node` that can be moved, by number. */
function shardsOf(view: AllocationView, node: string): number[] {
  const found: number[] = [];
  for (let shard = 0; shard < view.shards; shard++) {
    if (view.ownerOf(shard) === node && view.mayMove(shard)) found.push(shard);
  }
  return found;
}

/** Equal counts. */
export const leastShards: AllocationStrategy = {
  isExact: true,

  allocate: (_, view) => cheapest(view, ({ shards }) => shards).node,

  rebalance(view, limit) {
    const counts = new Map(view.candidates.map(({ node, shards }) => [node, shards]));
    const left = new Map<string, number[]>();
    const { minDifference, minShare } = REBALANCE;
    const least = Math.max(minDifference, Math.ceil((minShare * view.shards) / counts.size));
    const moves: Move[] = [];
    while (moves.length < limit) {
      const [poor, rich] = extremes(counts);
      if (counts.get(rich)! - counts.get(poor)! < (moves.length > 0 ? minDifference : least)) break;
      let choice = left.get(rich);
      if (choice === undefined) {
        choice = shardsOf(view, rich);
        left.set(rich, choice);
      }
      const shard = choice.pop();
      if (shard === undefined) break;
      moves.push({ shard, to: poor });
      counts.set(rich, counts.get(rich)! - 1);
      counts.set(poor, counts.get(poor)! + 1);
    }
    return moves;
  },
};

function extremes(counts: ReadonlyMap<string, number>): [poor: string, rich: string] {
  let [poor, rich] = ['', ''];
  let [least, most] = [Infinity, -Infinity];
  for (const [node, shards] of counts) {
    if (shards < least) [poor, least] = [node, shards];
    if (shards > most) [rich, most] = [node, shards];
  }
  return [poor, rich];
}

/**
 * Equal load. What one shard weighs is not known, so it is taken for an equal part of its node's
 * load: a shard moves only where its new node stays the less loaded of the two, and not twice
 * within a minute. While loads are alike, counts are kept roughly even, from the busier to the
 * idler node only, so that the two aims never undo each other's work.
 */
export const leastLoad: AllocationStrategy = {
  allocate(_, view) {
    const perShard = loadPerShard(view);
    // Of those that are equally loaded, the one with fewer shards.
    const cost = (c: Candidate) => (c.load ?? 0) + c.added * perShard + TIE * c.shards;
    return cheapest(view, cost).node;
  },

  rebalance(view, limit) {
    const loads = view.candidates.map((candidate) => ({ ...candidate, load: candidate.load ?? 0 }));
    const hot = loads.reduce((a, b) => (b.load > a.load ? b : a));
    const cold = loads.reduce((a, b) => (b.load < a.load ? b : a));
    const gap = hot.load - cold.load;
    if (gap < REBALANCE.loadDifference) return evenOut(view, limit);
    if (hot.shards < 2) return [];
    // Half the gap at most: beyond it the two would change places.
    const most = Math.floor((gap / 2 / hot.load) * hot.shards);
    return shardsOf(view, hot.node)
      .filter((shard) => view.restedMs(shard) >= REBALANCE.residenceMs)
      .slice(0, Math.min(limit, most))
      .map((shard) => ({ shard, to: cold.node }));
  },
};

const TIE = 1e-6;

function loadPerShard({ candidates, shards }: AllocationView): number {
  const total = candidates.reduce((sum, { load }) => sum + (load ?? 0), 0);
  return (total || 1) / shards;
}

/** From a node with half as many again as the mean to that with the fewest, if it is no busier. */
function evenOut(view: AllocationView, limit: number): readonly Move[] {
  const counts = view.candidates.map(({ shards }) => shards);
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const poor = cheapest(view, ({ shards }) => shards);
  const rich = cheapest(view, ({ shards }) => -shards);
  const uneven = rich.shards > 1.5 * mean || poor.shards < 0.5 * mean;
  const difference = rich.shards - poor.shards;
  if (!uneven || difference < REBALANCE.minDifference) return [];
  if ((poor.load ?? 0) > (rich.load ?? 0) + REBALANCE.loadDifference / 2) return [];
  return shardsOf(view, rich.node)
    .slice(0, Math.min(limit, Math.floor(difference / 2)))
    .map((shard) => ({ shard, to: poor.node }));
}

/** Shards on the nodes that they are pinned to while these live; else, and the others, evenly. */
export function pinned(pins: Readonly<Record<string, string>>): AllocationStrategy {
  const homeOf = (shard: number, { candidates }: AllocationView) => {
    const pin = pins[shard];
    return candidates.some(({ node }) => node === pin) ? pin : undefined;
  };
  return {
    isExact: true,

    allocate: (shard, view) => homeOf(shard, view) ?? leastShards.allocate(shard, view),

    rebalance(view, limit) {
      const moves: Move[] = [];
      for (let shard = 0; shard < view.shards && moves.length < limit; shard++) {
        const home = homeOf(shard, view);
        if (home !== undefined && view.ownerOf(shard) !== home) moves.push({ shard, to: home });
      }
      if (moves.length > 0) return moves;
      return leastShards.rebalance(withoutPinned(view, homeOf), limit);
    },
  };
}

/** What is left of the view when shards that are where they belong are none of its business. */
function withoutPinned(
  view: AllocationView,
  homeOf: (shard: number, view: AllocationView) => string | undefined,
): AllocationView {
  const ownerOf = (shard: number) =>
    homeOf(shard, view) === undefined ? view.ownerOf(shard) : undefined;
  const counts = new Map<string, number>();
  for (let shard = 0; shard < view.shards; shard++) {
    const owner = ownerOf(shard);
    if (owner !== undefined) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  }
  const candidates = view.candidates.map((candidate) => {
    return { ...candidate, shards: counts.get(candidate.node) ?? 0 };
  });
  const { type, shards } = view;
  const restedMs = (shard: number) => view.restedMs(shard);
  const mayMove = (shard: number) => view.mayMove(shard);
  return { type, shards, candidates, ownerOf, restedMs, mayMove };
}

/** The strategies that every coordinator knows. */
export function builtInStrategy({ name, pins }: AllocationChoice): AllocationStrategy | undefined {
  if (name === 'least-shards') return leastShards;
  if (name === 'least-load') return leastLoad;
  if (name === 'pinned') return pinned(pins ?? {});
  if (name === BY_DEVICE) return byDevice;
  return undefined;
}

/** One figure for how loaded a node is: CPU 40, memory 20, device memory 20, in flight 20. */
export function loadScore(load: NodeLoad, outstanding: number): number {
  const memory = load.memoryMax === 0 ? 0 : Math.min(1, load.memoryUsed / load.memoryMax);
  const gpus = load.gpus ?? [];
  const shares = gpus.map(({ memoryUsed, memoryMax }) => {
    return memoryMax === 0 ? 0 : Math.min(1, memoryUsed / memoryMax);
  });
  // Without a device the node is judged by the rest.
  const devices = shares.reduce((sum, share) => sum + share, 0) / Math.max(1, shares.length);
  const weights = LOAD_WEIGHTS;
  const whole = 1 - (gpus.length === 0 ? weights.devices : 0);
  // Half of this part's weight is reached with as many in flight as the node has of capacity.
  const inFlight = outstanding / (outstanding + 1);
  const sum = weights.cpu * load.cpu + weights.memory * memory + weights.inFlight * inFlight;
  return (sum + (gpus.length === 0 ? 0 : weights.devices * devices)) / whole;
}
