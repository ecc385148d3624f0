// What both contestants share: names, keys, and how lookups are timed and shares are counted.
import { createPrng } from '../../src/core/index.ts';
import { median } from '../harness.ts';

export type RingWorkload = Readonly<{
  nodes: number;
  virtualNodes: number;
  keyLength: number;
  /** Distinct keys: far more than the peer's cache holds. Each round looks every one of them up. */
  keys: number;
  /** Rounds are run untimed for at least this long: a fixed number favours the slower side. */
  warmUpMs: number;
  lookupRounds: number;
  /** Sets of node names over which shares are counted: a share depends on what nodes are called. */
  fleets: number;
  seed: number;
}>;

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** Names of the nodes of one of the fleets; those of the first are what people call nodes. */
export function nodeNames({ nodes }: RingWorkload, fleet = 0): string[] {
  const prefix = fleet === 0 ? '' : `fleet-${fleet}-`;
  return Array.from({ length: nodes }, (_, index) => `${prefix}node-${index}`);
}

/** Random keys, the same for every contestant; flat strings, as they come from a request. */
export function makeKeys({ keys, keyLength, seed }: RingWorkload): string[] {
  const prng = createPrng(seed);
  const bytes = Buffer.alloc(keyLength);
  return Array.from({ length: keys }, () => {
    for (let i = 0; i < keyLength; i++) bytes[i] = ALPHABET.charCodeAt(prng.int(ALPHABET.length));
    return bytes.toString('latin1');
  });
}

/** Lookups per second, of the clock and of the processor's time. */
export interface Rates {
  readonly lookupsPerSecond: number;
  readonly lookupsPerCpuSecond: number;
}

/**
 * Medians of `lookupRounds` rounds over all keys, once warm. The processor's time is that of all
 * threads of the process: it is what a lookup costs, also while others use the machine.
 */
export function measureRates(
  { lookupRounds, warmUpMs }: RingWorkload,
  keys: readonly string[],
  lookup: (key: string) => string | undefined,
): Rates {
  const wall: number[] = [];
  const cpu: number[] = [];
  let characters = 0;
  const warmAtMs = performance.now() + warmUpMs;
  while (wall.length < lookupRounds) {
    const startedMs = performance.now();
    const used = process.cpuUsage();
    for (const key of keys) characters += lookup(key)?.length ?? 0;
    const { user, system } = process.cpuUsage(used);
    if (startedMs < warmAtMs) continue;
    wall.push((keys.length * 1000) / (performance.now() - startedMs));
    cpu.push((keys.length * 1_000_000) / (user + system));
  }
  // Keeps the compiler from dropping the loop.
  if (characters === 0) throw new Error('no key found a node');
  return { lookupsPerSecond: median(wall), lookupsPerCpuSecond: median(cpu) };
}

/** How a ring shares keys out, and what happens when a node is added, each over all fleets. */
export interface Shares {
  /** The largest node's share / mean share, by fleet. */
  readonly largest: number[];
  /** The part of the keys that changed owner when a node was added / its ideal share, by fleet. */
  readonly moved: number[];
  readonly addNodeMs: number[];
}

/** What `measureShares` needs of a ring. */
export interface RingUnderTest {
  ownerOf(key: string): string;
  add(node: string): void;
}

/** Counts shares before and after adding a node, on one ring per fleet. */
export function measureShares(
  workload: RingWorkload,
  keys: readonly string[],
  build: (names: string[]) => RingUnderTest,
): Shares {
  const shares: Shares = { largest: [], moved: [], addNodeMs: [] };
  for (let fleet = 0; fleet < workload.fleets; fleet++) {
    const ring = build(nodeNames(workload, fleet));
    const counts = new Map<string, number>();
    const before = keys.map((key) => ring.ownerOf(key));
    for (const owner of before) counts.set(owner, (counts.get(owner) ?? 0) + 1);
    const started = performance.now();
    ring.add(`fleet-${fleet}-newcomer`);
    shares.addNodeMs.push(performance.now() - started);
    const moved = keys.filter((key, index) => ring.ownerOf(key) !== before[index]).length;
    shares.largest.push((Math.max(...counts.values()) * workload.nodes) / keys.length);
    shares.moved.push((moved * (workload.nodes + 1)) / keys.length);
  }
  return shares;
}

/** The figures that both contestants report. */
export function figuresOf(rates: Rates, shares: Shares): Record<string, number> {
  return {
    ...rates,
    largestShare: shares.largest[0] ?? Number.NaN,
    largestShareMedian: median(shares.largest),
    largestShareBest: Math.min(...shares.largest),
    largestShareWorst: Math.max(...shares.largest),
    movedShare: median(shares.moved),
    movedShareWorst: Math.max(...shares.moved),
    addNodeMs: median(shares.addNodeMs),
  };
}
