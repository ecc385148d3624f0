// Splits triples so that no pair of entities is in two splits and no entity is only evaluated: the
// rule hashes the unordered pair, so it is the same on every machine. Symmetric relations keep one
// orientation and are mirrored in training only, so a mirror never leaks a test triple.
import { hash } from 'node:crypto';
import { SPLIT } from './defaults.ts';
import { TripleList } from './graph.ts';
import type { Triples } from './graph.ts';

export interface SplitTriples {
  readonly train: Triples;
  readonly valid: Triples;
  readonly test: Triples;
  readonly mirrored: number;
}

export interface Unsplit {
  readonly triples: Triples;
  /** Names whose pairs are hashed; indexed like the triples. */
  readonly nodes: readonly string[];
  /** Relations that hold both ways; their triples must be in one orientation. */
  readonly symmetric: ReadonlySet<number>;
}

const TRAIN = 0;
const VALID = 1;
const TEST = 2;

/** A pair of entities as one exact number, whatever its order. `entities` < 2^26. */
function pairKey(a: number, b: number, entities: number): number {
  return a < b ? a * entities + b : b * entities + a;
}

/** Distinct unordered pairs and how many of them each entity is in. Loops are no pairs. */
function countPairs(triples: Triples, entities: number) {
  const pairs = new Set<number>();
  const degree = new Uint32Array(entities);
  for (let i = 0; i < triples.length; i += 3) {
    const head = triples[i]!;
    const tail = triples[i + 2]!;
    if (head === tail) continue;
    const key = pairKey(head, tail, entities);
    if (pairs.has(key)) continue;
    pairs.add(key);
    degree[head]!++;
    degree[tail]!++;
  }
  return { pairs, degree };
}

/** Keeps the triples whose entities each are in two or more pairs, repeatedly until all are. */
export function twoCore(triples: Triples, entities: number): Triples {
  let current = triples;
  for (;;) {
    const { degree } = countPairs(current, entities);
    const kept = new TripleList();
    for (let i = 0; i < current.length; i += 3) {
      const head = current[i]!;
      const tail = current[i + 2]!;
      if (degree[head]! >= 2 && degree[tail]! >= 2) kept.add(head, current[i + 1]!, tail);
    }
    if (kept.count * 3 === current.length) return current;
    current = kept.toArray();
  }
}

/** Decides the split of every pair: by hash, and to train where an end would run out of pairs. */
function assignPairs(unsplit: Unsplit): Map<number, number> {
  const { nodes, triples } = unsplit;
  const { pairs, degree } = countPairs(triples, nodes.length);
  const held: { draw: number; text: string; key: number; a: number; b: number }[] = [];
  const limit = SPLIT.validBelow * 2 ** 32;
  for (const key of pairs) {
    const a = Math.floor(key / nodes.length);
    const b = key % nodes.length;
    const nameA = nodes[a]!;
    const nameB = nodes[b]!;
    const text = nameA < nameB ? `${nameA}\t${nameB}` : `${nameB}\t${nameA}`;
    const draw = Number.parseInt(hash('sha256', text, 'hex').slice(0, 8), 16);
    if (draw < limit) held.push({ draw, text, key, a, b });
  }
  held.sort((x, y) => x.draw - y.draw || (x.text < y.text ? -1 : 1));
  const assigned = new Map<number, number>();
  for (const { draw, key, a, b } of held) {
    if (degree[a]! < 2 || degree[b]! < 2) continue;
    degree[a]!--;
    degree[b]!--;
    assigned.set(key, draw < SPLIT.testBelow * 2 ** 32 ? TEST : VALID);
  }
  return assigned;
}

/** Splits by unordered pair and mirrors symmetric triples at the end of train. */
export function splitByPairs(unsplit: Unsplit): SplitTriples {
  const { triples, nodes, symmetric } = unsplit;
  const assigned = assignPairs(unsplit);
  const lists = [new TripleList(), new TripleList(), new TripleList()] as const;
  const mirrors = new TripleList();
  for (let i = 0; i < triples.length; i += 3) {
    const head = triples[i]!;
    const relation = triples[i + 1]!;
    const tail = triples[i + 2]!;
    const split = assigned.get(pairKey(head, tail, nodes.length)) ?? TRAIN;
    lists[split as 0 | 1 | 2].add(head, relation, tail);
    if (split === TRAIN && symmetric.has(relation) && head !== tail) {
      mirrors.add(tail, relation, head);
    }
  }
  const originals = lists[TRAIN].toArray();
  const mirrored = mirrors.toArray();
  const train = new Uint32Array(originals.length + mirrored.length);
  train.set(originals);
  train.set(mirrored, originals.length);
  return {
    train,
    valid: lists[VALID].toArray(),
    test: lists[TEST].toArray(),
    mirrored: mirrors.count,
  };
}

/** One number per (head, tail) of a relation; exact while entities < 2^26. */
function directedKeys(triples: Triples, entities: number, relations: number): Set<number>[] {
  const keys = Array.from({ length: relations }, () => new Set<number>());
  for (let i = 0; i < triples.length; i += 3) {
    keys[triples[i + 1]!]!.add(triples[i]! * entities + triples[i + 2]!);
  }
  return keys;
}

/** Relations of which more than half the unordered pairs occur both ways. */
export function findSymmetric(triples: Triples, entities: number, relations: number): number[] {
  const symmetric: number[] = [];
  directedKeys(triples, entities, relations).forEach((keys, relation) => {
    let single = 0;
    let both = 0;
    for (const key of keys) {
      const head = Math.floor(key / entities);
      const tail = key % entities;
      if (head === tail) continue;
      if (!keys.has(tail * entities + head)) single++;
      else if (head < tail) both++;
    }
    if (both > single) symmetric.push(relation);
  });
  return symmetric;
}

/** Drops repeated triples, and turns those of symmetric relations into one orientation. */
export function canonical(
  triples: Triples,
  entities: number,
  symmetric: ReadonlySet<number>,
): Triples {
  const seen = new Map<number, Set<number>>();
  const kept = new TripleList();
  for (let i = 0; i < triples.length; i += 3) {
    let head = triples[i]!;
    const relation = triples[i + 1]!;
    let tail = triples[i + 2]!;
    if (symmetric.has(relation) && head > tail) [head, tail] = [tail, head];
    let keys = seen.get(relation);
    if (keys === undefined) {
      keys = new Set();
      seen.set(relation, keys);
    }
    const key = head * entities + tail;
    if (keys.has(key)) continue;
    keys.add(key);
    kept.add(head, relation, tail);
  }
  return kept.toArray();
}
