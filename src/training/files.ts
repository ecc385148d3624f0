// Loads a graph from a file, or from a directory with train, valid and test files: TSV, CSV or
// N-Triples, each also as gzip. Broken lines are counted and named; too many of them are an error.
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { FlotillaError, messageOf } from '../core/index.ts';
import { GRAPH_LIMITS } from './defaults.ts';
import { checkTrainable, createVocabulary, TripleList } from './graph.ts';
import { formatOfLine, formatOfName, isHeader, LINE_PARSERS } from './line-formats.ts';
import { canonical, findSymmetric, splitByPairs } from './split.ts';
import { splitLines } from './text-lines.ts';
import type { Graph, SplitName } from './graph.ts';
import type { LineParser } from './line-formats.ts';

/** A line that holds no triple, with its number from 1. */
export interface BrokenLine {
  readonly file: string;
  readonly line: number;
  readonly reason: string;
}

/** A graph and what was wrong in its files. */
export interface LoadedGraph {
  readonly graph: Graph;
  /** The first broken lines, at most 20. */
  readonly broken: readonly BrokenLine[];
  readonly brokenCount: number;
}

const SPLIT_FILE = /^(train|valid|test)\.(tsv|txt|csv|nt|ntriples)(\.gz)?$/i;
const GZIP_MAGIC = [0x1f, 0x8b] as const;

/**
 * Loads the graph at `source`. A directory keeps the splits of its files, also triples whose
 * entities train never shows; a single file is split without leaks by unordered pair. Raises
 * `graph_missing`, `graph_unreadable`, `graph_broken`, `graph_empty`, `graph_too_small`,
 * `graph_too_large`.
 */
export async function loadGraphFiles(source: string): Promise<LoadedGraph> {
  const reader = new GraphReader();
  const graph = (await isDirectory(source))
    ? await loadDirectory(source, reader)
    : await loadSingle(source, reader);
  return {
    graph: checkTrainable(graph),
    broken: reader.broken,
    brokenCount: reader.brokenCount,
  };
}

function missing(source: string, cause?: unknown): FlotillaError {
  return new FlotillaError('graph_missing', `${source} cannot be opened as a graph`, {
    details: { source },
    cause,
  });
}

async function isDirectory(source: string): Promise<boolean> {
  try {
    return (await stat(source)).isDirectory();
  } catch (cause) {
    throw missing(source, cause);
  }
}

function graphName(source: string): string {
  const base = path.basename(path.resolve(source)).replace(/(\.[a-z]+)?(\.gz)?$/i, '');
  return base.toLowerCase().replace(/[^a-z0-9._-]+/g, '-') || 'graph';
}

async function loadSingle(source: string, reader: GraphReader): Promise<Graph> {
  const list = new TripleList();
  await reader.read(source, list);
  const entities = reader.entities.list;
  const relations = reader.relations.list;
  const triples = list.toArray();
  const symmetric = findSymmetric(triples, entities.length, relations.length);
  const once = new Set(symmetric);
  const split = splitByPairs({
    triples: canonical(triples, entities.length, once),
    nodes: entities,
    symmetric: once,
  });
  return { name: graphName(source), entities, relations, ...split, symmetric, aliases: [] };
}

async function loadDirectory(source: string, reader: GraphReader): Promise<Graph> {
  const files = new Map<string, string>();
  for (const name of (await readdir(source)).sort()) {
    const split = SPLIT_FILE.exec(name)?.[1]?.toLowerCase();
    if (split !== undefined && !files.has(split)) files.set(split, path.join(source, name));
  }
  if (!files.has('train')) {
    throw new FlotillaError(
      'graph_missing',
      `${source} has no train file (train.tsv, .txt, .csv or .nt, also .gz)`,
      { details: { source } },
    );
  }
  const lists = { train: new TripleList(), valid: new TripleList(), test: new TripleList() };
  for (const split of ['train', 'valid', 'test'] as const satisfies SplitName[]) {
    const file = files.get(split);
    if (file !== undefined) await reader.read(file, lists[split]);
  }
  const entities = reader.entities.list;
  const relations = reader.relations.list;
  const train = canonical(lists.train.toArray(), entities.length, new Set());
  return {
    name: graphName(source),
    entities,
    relations,
    train,
    valid: lists.valid.toArray(),
    test: lists.test.toArray(),
    symmetric: findSymmetric(train, entities.length, relations.length),
    mirrored: 0,
    aliases: [],
  };
}

/** Reads files into one vocabulary and keeps account of broken lines. */
class GraphReader {
  readonly entities = createVocabulary().entities;
  readonly relations = createVocabulary().relations;
  readonly broken: BrokenLine[] = [];
  brokenCount = 0;

  async read(file: string, list: TripleList): Promise<void> {
    let parse: LineParser | undefined;
    let number = 0;
    let triples = 0;
    let broken = 0;
    for await (const { text } of openLines(file)) {
      number++;
      if (text?.trim() === '') continue;
      parse ??= chooseParser(file, text);
      if (parse === undefined) continue;
      const parsed = text === undefined ? LINE_TOO_LONG : parse(text);
      if (parsed === undefined) continue;
      if (typeof parsed === 'string') {
        broken++;
        this.#report({ file, line: number, reason: parsed });
      } else if (number > 1 || !isHeader(parsed)) {
        triples++;
        this.#add(parsed, list);
      }
    }
    const lines = triples + broken;
    if (broken > lines * GRAPH_LIMITS.maxBrokenShare) this.#refuse(file, broken, lines);
  }

  #add([head, relation, tail]: readonly [string, string, string], list: TripleList): void {
    if (list.count >= GRAPH_LIMITS.maxTriples) {
      throw new FlotillaError(
        'graph_too_large',
        `the graph has more than ${GRAPH_LIMITS.maxTriples} triples`,
        { details: { limit: GRAPH_LIMITS.maxTriples, kind: 'triples' } },
      );
    }
    const h = this.entities.intern(head);
    const r = this.relations.intern(relation);
    list.add(h, r, this.entities.intern(tail));
  }

  #report(line: BrokenLine): void {
    this.brokenCount++;
    if (this.broken.length < GRAPH_LIMITS.maxReportedLines) this.broken.push(line);
  }

  #refuse(file: string, count: number, lines: number): never {
    const named = this.broken.filter((line) => line.file === file);
    const [first] = named;
    throw new FlotillaError(
      'graph_broken',
      `${count} of ${lines} lines of ${file} are broken, first line ${first?.line}: ` +
        `${first?.reason}`,
      { details: { file, count, lines: named.map(({ line }) => String(line)) } },
    );
  }
}

const LINE_TOO_LONG = `the line is longer than ${GRAPH_LIMITS.maxLineBytes} bytes`;

/** By name, else by the first line that is no comment: undefined until it comes. */
function chooseParser(file: string, line = ''): LineParser | undefined {
  const format = formatOfName(file) ?? (line.startsWith('#') ? undefined : formatOfLine(line));
  return format && LINE_PARSERS[format];
}

/** The lines of a file, gunzipped when its first two bytes say so, whatever its name. */
async function* openLines(file: string): AsyncGenerator<{ text: string | undefined }> {
  const raw = createReadStream(file, { highWaterMark: 256 * 1024 });
  try {
    const head = await firstBytes(file);
    if (!GZIP_MAGIC.every((byte, index) => head[index] === byte)) {
      yield* splitLines(raw, GRAPH_LIMITS.maxLineBytes);
      return;
    }
    const gunzip = createGunzip({ chunkSize: 256 * 1024 });
    const piped = pipeline(raw, gunzip);
    piped.catch(() => undefined);
    yield* splitLines(gunzip, GRAPH_LIMITS.maxLineBytes);
  } catch (cause) {
    if (cause instanceof FlotillaError) throw cause;
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      throw missing(file, cause);
    }
    throw new FlotillaError('graph_unreadable', `${file} cannot be read: ${messageOf(cause)}`, {
      details: { file },
      cause,
    });
  } finally {
    raw.destroy();
  }
}

async function firstBytes(file: string): Promise<Uint8Array> {
  const stream = createReadStream(file, { start: 0, end: GZIP_MAGIC.length - 1 });
  for await (const chunk of stream) return chunk as Uint8Array;
  return new Uint8Array();
}
