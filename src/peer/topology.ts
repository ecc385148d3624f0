// Who holds a link to whom in a fleet that does not link everybody, and the way from rank to rank
// over those links. Pure; links themselves are `PeerHost`'s, and passing on is `Relay`'s.
import { invalidOption } from '../core/index.ts';
import { MAX_TOPOLOGY_SIZE } from './defaults.ts';
import type { RelayRoute } from './relay.ts';

/** A connected graph of the ranks 0 to size − 1. Its links go both ways. */
export interface Topology {
  readonly size: number;
  /** Links on the longest of all shortest paths. */
  readonly diameter: number;
  /** The ranks that `rank` shares a link with, in a fixed order. */
  neighbours(rank: number): readonly number[];
  /** Links on a shortest path. */
  distance(from: number, to: number): number;
  /** The first rank after `from` on a shortest path; undefined when there is nowhere to go. */
  nextHop(from: number, to: number): number | undefined;
  /** The neighbour nearest to `to` that is not the next hop; undefined with a single neighbour. */
  alternateHop(from: number, to: number): number | undefined;
}

/** What tells topologies apart; the rest follows from it. */
type Shape = Pick<Topology, 'size' | 'diameter' | 'neighbours' | 'distance'>;

/** Everybody shares a link with everybody. */
export function fullMesh(size: number): Topology {
  checkSize(size);
  return topologyOf({
    size,
    diameter: size === 1 ? 0 : 1,
    neighbours: (rank) => range(size).filter((other) => other !== rank),
    distance: (from, to) => (from === to ? 0 : 1),
  });
}

/**
 * Each rank has `degree` links: a ring with chords, the same around every rank (a circulant graph).
 * The chords' lengths are powers of size^(1/(degree/2)), which keeps paths short.
 * Errors: `invalid_option` unless 2 ≤ degree < size, or when degree and size are both odd.
 */
export function kRegular(size: number, degree: number): Topology {
  checkSize(size);
  if (!Number.isInteger(degree) || degree < 2 || degree >= size) {
    throw invalidOption('degree', `an integer from 2 to ${size - 1} (size − 1)`, degree);
  }
  if (degree % 2 === 1 && size % 2 === 1) {
    throw invalidOption('degree', `even, since the size ${size} is odd`, degree);
  }
  const steps = stepsOf(size, degree);
  const distances = distancesFromZero(size, steps);
  return topologyOf({
    size,
    diameter: distances.reduce((longest, distance) => Math.max(longest, distance)),
    neighbours: (rank) => steps.map((step) => (rank + step) % size),
    // What holds around rank 0 holds around every rank.
    distance: (from, to) => distances[(to - from + size) % size]!,
  });
}

/**
 * Ranks share a link when they differ in one binary digit. Any size will do: where one between two
 * powers of two lacks ranks, a path still exists that clears digits before it sets any.
 */
export function hypercube(size: number): Topology {
  checkSize(size);
  const digits = Math.ceil(Math.log2(size));
  const neighbours = (rank: number) =>
    range(digits)
      .map((digit) => rank ^ (1 << digit))
      .filter((other) => other < size);
  return topologyOf({
    size,
    // The highest rank and its complement differ in every digit, and both exist.
    diameter: digits,
    neighbours,
    distance: (from, to) => onesOf(from ^ to),
  });
}

/**
 * The way of the node `self` to the others, for `PeerHost.routeRelays`. `names[rank]` is the node
 * of a rank. Errors: `invalid_option` unless there is a name for each rank, `self` among them.
 */
export function relayRoute(topology: Topology, names: readonly string[], self: string): RelayRoute {
  const ranks = new Map(names.map((name, rank) => [name, rank]));
  if (ranks.size !== topology.size || names.length !== topology.size) {
    throw invalidOption('names', `${topology.size} different names`, names.length);
  }
  const from = ranks.get(self);
  if (from === undefined) throw invalidOption('self', 'one of the names', self);
  const nameOf = (rank: number | undefined) => (rank === undefined ? undefined : names[rank]);
  return (target) => {
    const to = ranks.get(target);
    const next = to === undefined ? undefined : nameOf(topology.nextHop(from, to));
    if (to === undefined || next === undefined) return undefined;
    return { next, alternate: nameOf(topology.alternateHop(from, to)) };
  };
}

function topologyOf(shape: Shape): Topology {
  const nearest = (from: number, to: number, except: number | undefined) => {
    let best: number | undefined;
    for (const rank of shape.neighbours(from)) {
      if (rank === except) continue;
      if (best === undefined || shape.distance(rank, to) < shape.distance(best, to)) best = rank;
    }
    return best;
  };
  const nextHop = (from: number, to: number) =>
    from === to ? undefined : nearest(from, to, undefined);
  const alternateHop = (from: number, to: number) =>
    from === to ? undefined : nearest(from, to, nextHop(from, to));
  return { ...shape, nextHop, alternateHop };
}

/** The lengths of the links around a rank, one per direction: `degree` of them, all different. */
function stepsOf(size: number, degree: number): number[] {
  const chords = Math.floor(degree / 2);
  const longest = Math.ceil(size / 2) - 1;
  const lengths: number[] = [];
  for (let chord = 0; chord < chords; chord++) {
    const wanted = Math.round(size ** (chord / chords));
    // Each longer than the one before, and short enough that all the later ones fit.
    const least = (lengths.at(-1) ?? 0) + 1;
    lengths.push(Math.min(Math.max(wanted, least), longest - (chords - 1 - chord)));
  }
  const steps = lengths.flatMap((length) => [length, size - length]);
  return degree % 2 === 1 ? [...steps, size / 2] : steps;
}

/** Breadth first from rank 0. */
function distancesFromZero(size: number, steps: readonly number[]): Uint32Array {
  const distances = new Uint32Array(size);
  const queue = [0];
  for (let at = 0; at < queue.length; at++) {
    const rank = queue[at]!;
    for (const step of steps) {
      const other = (rank + step) % size;
      if (other === 0 || distances[other] !== 0) continue;
      distances[other] = distances[rank]! + 1;
      queue.push(other);
    }
  }
  return distances;
}

function onesOf(value: number): number {
  let ones = 0;
  for (let rest = value; rest !== 0; rest &= rest - 1) ones++;
  return ones;
}

function range(size: number): number[] {
  return Array.from({ length: size }, (_, index) => index);
}

function checkSize(size: number): void {
  if (Number.isInteger(size) && size >= 1 && size <= MAX_TOPOLOGY_SIZE) return;
  throw invalidOption('size', `an integer from 1 to ${MAX_TOPOLOGY_SIZE}`, size);
}
