// What `up` shows of a model that is ready: its figures, neighbours of a few words, some completed
// triples, and lines to try. Which words, is chosen from the graph and kept for the next start.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { writeFileAtomic } from '../identity/index.ts';
import { CLI_DEFAULTS, SHOWCASE, WORDNET_EXAMPLES } from './defaults.ts';
import { describeFigures } from './progress.ts';
import type { Graph } from '../training/index.ts';
import type { ScoredBody } from './commands-client.ts';
import type { FleetClient } from './fleet-client.ts';
import type { Terminal } from './terminal.ts';
import type { MetricFigures } from './text.ts';

/** Words and (head, relation) pairs that a model can be asked about. */
export interface Examples {
  readonly words: readonly string[];
  readonly triples: readonly (readonly [head: string, relation: string])[];
}

/** A model as `GET /v1/models` lists it. */
export interface ModelBody {
  readonly id: string;
  readonly status: string;
  readonly metrics?: MetricFigures | null;
  readonly baseline?: MetricFigures | null;
}

/** The entities with the most triples, and the relation that each is most often the head of. */
export function chooseExamples(graph: Graph): Examples {
  if (graph.name === CLI_DEFAULTS.model && graph.aliases.length > 0) return WORDNET_EXAMPLES;
  const degree = new Uint32Array(graph.entities.length);
  for (let at = 0; at < graph.train.length; at += 3) {
    degree[graph.train[at]!]!++;
    degree[graph.train[at + 2]!]!++;
  }
  const byDegree = [...degree.keys()].sort((a, b) => degree[b]! - degree[a]! || a - b);
  const words = byDegree.slice(0, SHOWCASE.words).map((entity) => graph.entities[entity]!);
  return { words, triples: chooseTriples(graph, byDegree) };
}

/** A different relation each while there are any: the graph's breadth, not its largest relation. */
function chooseTriples(graph: Graph, byDegree: readonly number[]): Examples['triples'] {
  const relationsOf = new Map<number, Set<number>>();
  for (let at = 0; at < graph.train.length; at += 3) {
    const relations = relationsOf.get(graph.train[at]!) ?? new Set();
    relations.add(graph.train[at + 1]!);
    relationsOf.set(graph.train[at]!, relations);
  }
  const used = new Set<number>();
  const chosen: (readonly [string, string])[] = [];
  for (const head of byDegree) {
    if (chosen.length === SHOWCASE.triples) break;
    const relations = [...(relationsOf.get(head) ?? [])];
    const fresh = relations.find((relation) => !used.has(relation));
    const all = used.size >= Math.min(graph.relations.length, SHOWCASE.triples);
    const relation = fresh ?? (all ? relations[0] : undefined);
    if (relation === undefined) continue;
    used.add(relation);
    chosen.push([graph.entities[head]!, graph.relations[relation]!]);
  }
  return chosen;
}

function examplesFile(dataDir: string, model: string): string {
  return path.join(dataDir, 'examples', `${model}.json`);
}

export function saveExamples(dataDir: string, model: string, examples: Examples): void {
  const file = examplesFile(dataDir, model);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileAtomic(file, `${JSON.stringify(examples)}\n`);
}

/** What an earlier start chose; nothing when there was none or the file is damaged. */
export function loadExamples(dataDir: string, model: string): Examples {
  const none: Examples = { words: [], triples: [] };
  const file = examplesFile(dataDir, model);
  if (!existsSync(file)) return none;
  try {
    const { words = [], triples = [] } = JSON.parse(readFileSync(file, 'utf8'));
    return { words, triples };
  } catch {
    return none;
  }
}

/** Asks the fleet about the examples and prints its answers. */
export async function showAnswers(
  out: Terminal,
  client: FleetClient,
  { model, examples }: { readonly model: string; readonly examples: Examples },
): Promise<void> {
  if (examples.words.length > 0) out.line(out.style('bold', '\nneighbours'));
  const width = Math.max(0, ...examples.words.map((word) => word.length));
  for (const word of examples.words) {
    const query = new URLSearchParams({ model, word, k: String(SHOWCASE.neighbors) });
    const body = await client.get<{ neighbors: ScoredBody[] }>(`/v1/neighbors?${query}`);
    const answers = body.neighbors.map(({ id, score }) => `${id} ${score.toFixed(2)}`);
    out.line(fit(`  ${word.padEnd(width)}  `, answers, out));
  }
  if (examples.triples.length > 0) out.line(out.style('bold', '\ncompleted triples'));
  for (const [head, relation] of examples.triples) {
    const request = { model, head, relation, k: SHOWCASE.completions };
    const body = await client.post<{ completions: ScoredBody[] }>('/v1/complete-triple', request);
    const answers = body.completions.map(({ id }) => id);
    out.line(fit(`  ${head} ${relation} → `, answers, out));
  }
}

/** As many answers as fit in the line of a person's terminal, but a few in any case. */
function fit(start: string, answers: readonly string[], out: Terminal): string {
  if (answers.length === 0) return `${start}(no answer)`;
  const kept = [...answers];
  const line = () => `${start}${kept.join(', ')}`;
  while (out.interactive && kept.length > SHOWCASE.minAnswers && line().length > out.columns) {
    kept.pop();
  }
  return line();
}

export function showStoredFigures(out: Terminal, { id, metrics, baseline }: ModelBody): void {
  out.line(`model ${id} is ready; it was trained before`);
  if (!metrics) return;
  for (const line of describeFigures(metrics, baseline ?? undefined)) out.line(line);
}

/** Three requests to copy into another terminal. The model is named where there are several. */
export function curlLines(url: string, examples: Examples, model?: string): string[] {
  const [word = 'WORD', other = word] = examples.words;
  const [head, relation] = examples.triples[0] ?? [word, 'RELATION'];
  const post = (route: string, body: object) =>
    `curl ${url}${route} -d ${quote(JSON.stringify(body))}`;
  const named = model === undefined ? {} : { model };
  return [
    `curl ${quote(`${url}/v1/neighbors?${new URLSearchParams({ ...named, word, k: '5' })}`)}`,
    post('/v1/complete-triple', { ...named, head, relation, k: 5 }),
    post('/v1/embeddings', { ...named, input: [word, other] }),
  ];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
