// Where the graphs that the command line trains on come from: WordNet, or the user's own files.
// What is broken in the files is told with its line number.
import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { FlotillaError } from '../core/index.ts';
import { encodeGraphGzip, loadGraphFiles, loadWordNet } from '../training/index.ts';
import { CLI_DEFAULTS, SHOWCASE } from './defaults.ts';
import { formatCount, formatSeconds, plural } from './text.ts';
import type { Clock } from '../core/index.ts';
import type { Graph } from '../training/index.ts';
import type { TrainingUpload } from './fleet-client.ts';
import type { Terminal } from './terminal.ts';

/** The model's name when none is given: the file's or folder's, in characters names may have. */
export function modelNameOf(data: string | undefined): string {
  if (data === undefined) return CLI_DEFAULTS.model;
  const base = path.basename(path.resolve(data)).replace(/(\.[a-z]+)?(\.gz)?$/i, '');
  const name = base.toLowerCase().replace(/[^a-z0-9._-]+/g, '-');
  return name.replace(/^[^a-z0-9]+/, '').slice(0, 63) || 'graph';
}

/** Finds out early what the loader would say late. Errors: `graph_missing`. */
export async function checkDataExists(data: string): Promise<void> {
  try {
    await access(data, constants.R_OK);
  } catch (cause) {
    const message = `${data} cannot be opened as a graph: no such file, or not readable`;
    throw new FlotillaError('graph_missing', message, { details: { source: data }, cause });
  }
}

/** Loads the graph and says so. Errors: those of the loaders in `training/`. */
export async function loadData(
  { terminal, clock }: { terminal: Terminal; clock: Clock },
  data: string | undefined,
): Promise<Graph> {
  const startedMs = clock.now();
  const { graph, broken, brokenCount } =
    data === undefined
      ? { graph: await loadWordNet(), broken: [], brokenCount: 0 }
      : await loadGraphFiles(data);
  const triples = (graph.train.length + graph.valid.length + graph.test.length) / 3;
  const seconds = (clock.now() - startedMs) / 1000;
  terminal.line(
    `read ${data ?? 'WordNet'}: ${plural(graph.entities.length, 'entity', 'entities')}, ` +
      `${plural(graph.relations.length, 'relation')}, ` +
      `${formatCount(triples - graph.mirrored)} triples in ${formatSeconds(seconds)}`,
  );
  for (const { file, line, reason } of broken.slice(0, SHOWCASE.brokenLines)) {
    terminal.line(`  left out ${file}:${line}: ${reason}`);
  }
  const unnamed = brokenCount - Math.min(broken.length, SHOWCASE.brokenLines);
  if (unnamed > 0) terminal.line(`  left out ${plural(unnamed, 'more broken line')}`);
  return graph;
}

/** A graph as the body and query of a training. */
export function uploadOf(
  graph: Graph,
  name: string,
  options: Readonly<Record<string, string | number>>,
): TrainingUpload {
  const query = new URLSearchParams({ name });
  for (const [key, value] of Object.entries(options)) query.set(key, String(value));
  for (const alias of graph.aliases) query.append('alias', alias);
  return { query, body: encodeGraphGzip(graph) };
}
