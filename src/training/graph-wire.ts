// A graph as lines of text, for HTTP: `split<TAB>head<TAB>relation<TAB>tail`, where split is train,
// valid, test, or mirror for a training triple that mirrors a symmetric one. Tabs, line breaks and
// backslashes in names are written \t, \n, \r and \\.
import { createGzip } from 'node:zlib';
import { Readable } from 'node:stream';
import { FlotillaError } from '../core/index.ts';
import { GRAPH_LIMITS } from './defaults.ts';
import { checkTrainable, createVocabulary, TripleList } from './graph.ts';
import { splitLines } from './text-lines.ts';
import type { Graph, Triples } from './graph.ts';

const ESCAPES: Readonly<Record<string, string>> = {
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
  '\\': '\\\\',
};
const UNESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', '\\': '\\' };

function escapeName(name: string): string {
  return /[\t\n\r\\]/.test(name) ? name.replace(/[\t\n\r\\]/g, (c) => ESCAPES[c]!) : name;
}

function unescapeName(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\([tnr\\])/g, (_, c: string) => UNESCAPES[c]!);
}

/** The lines of a graph in pieces of about 64 KiB of text, each piece whole lines. */
export function* encodeGraph(graph: Graph): Generator<string> {
  const entities = graph.entities.map(escapeName);
  const relations = graph.relations.map(escapeName);
  const originals = graph.train.length - graph.mirrored * 3;
  const parts: readonly [string, Triples][] = [
    ['train', graph.train.subarray(0, originals)],
    ['mirror', graph.train.subarray(originals)],
    ['valid', graph.valid],
    ['test', graph.test],
  ];
  let piece = '';
  for (const [split, triples] of parts) {
    for (let i = 0; i < triples.length; i += 3) {
      const head = entities[triples[i]!];
      piece += `${split}\t${head}\t${relations[triples[i + 1]!]}\t${entities[triples[i + 2]!]}\n`;
      if (piece.length < PIECE_CHARACTERS) continue;
      yield piece;
      piece = '';
    }
  }
  if (piece !== '') yield piece;
}

const PIECE_CHARACTERS = 65_536;

/** The lines of a graph as a gzip stream, ready to be a request's body. */
export function encodeGraphGzip(graph: Graph): Readable {
  const gzip = createGzip({ level: 1 });
  const source = Readable.from(encodeGraph(graph), { objectMode: false });
  source.on('error', (error) => gzip.destroy(error));
  return source.pipe(gzip);
}

export interface DecodeOptions {
  /** What the graph is called; the model takes its name. */
  readonly name: string;
  /** Patterns that turn a word into an entity name. @default none */
  readonly aliases?: readonly string[];
  /** Limits on what is accepted. @default GRAPH_LIMITS */
  readonly maxTriples?: number;
}

/**
 * Reads what `encodeGraph` wrote; memory is taken as lines arrive. Raises `graph_broken` at the
 * first broken line (a program wrote them, so one is too many), `graph_too_large`, `graph_empty`,
 * `graph_too_small`.
 */
export async function decodeGraph(
  source: AsyncIterable<Uint8Array | string>,
  options: DecodeOptions,
): Promise<Graph> {
  const { entities, relations } = createVocabulary();
  const maxTriples = options.maxTriples ?? GRAPH_LIMITS.maxTriples;
  const lists = {
    train: new TripleList(),
    mirror: new TripleList(),
    valid: new TripleList(),
    test: new TripleList(),
  };
  const mirroredRelations = new Set<number>();
  let number = 0;
  for await (const { text } of splitLines(source, GRAPH_LIMITS.maxLineBytes)) {
    number++;
    if (text === '') continue;
    const [split, head, relation, tail, more] = text?.split('\t') ?? [];
    const list = Object.hasOwn(lists, split ?? '') ? lists[split as keyof typeof lists] : undefined;
    if (list === undefined || !head || !relation || !tail || more !== undefined) {
      throw brokenLine(number);
    }
    if (number > maxTriples) throw tooManyTriples(maxTriples);
    const h = entities.intern(unescapeName(head));
    const r = relations.intern(unescapeName(relation));
    list.add(h, r, entities.intern(unescapeName(tail)));
    if (split === 'mirror') mirroredRelations.add(r);
  }
  const train = new Uint32Array((lists.train.count + lists.mirror.count) * 3);
  train.set(lists.train.toArray());
  train.set(lists.mirror.toArray(), lists.train.count * 3);
  return checkTrainable({
    name: options.name,
    entities: entities.list,
    relations: relations.list,
    train,
    valid: lists.valid.toArray(),
    test: lists.test.toArray(),
    symmetric: [...mirroredRelations],
    mirrored: lists.mirror.count,
    aliases: options.aliases ?? [],
  });
}

function brokenLine(number: number): FlotillaError {
  return new FlotillaError(
    'graph_broken',
    `line ${number} is not train, valid or test, then head, relation and tail, separated by tabs`,
    { details: { count: 1, lines: [String(number)] } },
  );
}

function tooManyTriples(limit: number): FlotillaError {
  return new FlotillaError('graph_too_large', `the graph has more than ${limit} triples`, {
    details: { limit, kind: 'triples' },
  });
}
