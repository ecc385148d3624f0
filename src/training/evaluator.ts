// Filtered link prediction: ranks the true tail and the true head of each triple among all
// entities, where the rows live. Target and candidates are scored by the same kernel, so that equal
// vectors tie.
import { RANK_BATCH_TRIPLES, RANK_REQUESTS } from './defaults.ts';
import { knownAnswers } from './known-answers.ts';
import { RankTally } from './ranking.ts';
import { cancelled } from './worker-group.ts';
import type { RowHandles, Table } from '../tables/index.ts';
import type { RankMetrics } from './events.ts';
import type { Graph, Triples } from './graph.ts';
import type { Answers } from './known-answers.ts';

/** A model's rows, as the graph orders them. */
export interface ModelRows {
  readonly entities: Table;
  readonly relations: Table;
  readonly entityHandles: RowHandles;
  /** The R relations, then their R inverses. */
  readonly relationHandles: RowHandles;
  readonly dim: number;
}

export interface EvaluateControl {
  readonly signal: AbortSignal;
  readonly onFraction?: (fraction: number) => void;
}

/** Ranks triples of a graph with a model. */
export class Evaluator {
  readonly #graph: Graph;
  readonly #rows: ModelRows;

  constructor(graph: Graph, rows: ModelRows) {
    this.#graph = graph;
    this.#rows = rows;
  }

  /** Metrics over both directions of the triples. Raises the signal's reason when it aborts. */
  async evaluate(triples: Triples, control: EvaluateControl): Promise<RankMetrics> {
    const known = knownAnswers(this.#graph, triples);
    const relations = await this.#rows.relations.pull(this.#rows.relationHandles);
    const tally = new RankTally();
    const stride = 3 * RANK_BATCH_TRIPLES;
    let next = 0;
    let done = 0;
    const lane = async () => {
      while (next < triples.length) {
        if (control.signal.aborted) throw cancelled(control.signal);
        const batch = triples.subarray(next, next + stride);
        next += batch.length;
        await this.#rank(batch, { known, relations, tally, signal: control.signal });
        done += batch.length;
        control.onFraction?.(done / triples.length);
      }
    };
    await Promise.all(Array.from({ length: RANK_REQUESTS }, lane));
    return tally.metrics();
  }

  async #rank(
    batch: Triples,
    context: {
      known: Answers;
      relations: Float32Array;
      tally: RankTally;
      signal: AbortSignal;
    },
  ): Promise<void> {
    const { entities, entityHandles } = this.#rows;
    const relationCount = this.#graph.relations.length;
    const triples = batch.length / 3;
    const subjects = new Uint32Array(2 * triples);
    const relations = new Uint32Array(2 * triples);
    for (let i = 0; i < triples; i++) {
      subjects[i] = batch[3 * i]!;
      relations[i] = batch[3 * i + 1]!;
      subjects[triples + i] = batch[3 * i + 2]!;
      relations[triples + i] = batch[3 * i + 1]! + relationCount;
    }
    const rows = await entities.pull(handlesOf(entityHandles, subjects));
    const queries = complexQueries(rows, relations, context.relations);
    const others = Uint32Array.from(subjects, (_, i) => subjects[(i + triples) % subjects.length]!);
    const targets = await entities.score(handlesOf(entityHandles, others), queries);
    const excluded = Array.from(subjects, (subject, i) => {
      const answers = new Set(context.known.of(subject, relations[i]!)).add(others[i]!);
      return handlesOf(entityHandles, Uint32Array.from(answers));
    });
    const { greater, equal } = await entities.rank(
      { queries, targets, excluded },
      { signal: context.signal },
    );
    for (let i = 0; i < subjects.length; i++) {
      context.tally.add(greater[i]!, equal[i]!);
    }
  }
}

/** Row i of the result is subject i ∘ the relation of index `relations[i]`, as ComplEx asks. */
export function complexQueries(
  subjects: Float32Array,
  relations: Uint32Array,
  relationRows: Float32Array,
): Float32Array {
  const dim = subjects.length / relations.length;
  const half = dim / 2;
  const queries = new Float32Array(subjects.length);
  relations.forEach((relation, i) => {
    for (let j = 0; j < half; j++) {
      const re = subjects[i * dim + j]!;
      const im = subjects[i * dim + half + j]!;
      const relationRe = relationRows[relation * dim + j]!;
      const relationIm = relationRows[relation * dim + half + j]!;
      queries[i * dim + j] = re * relationRe - im * relationIm;
      queries[i * dim + half + j] = re * relationIm + im * relationRe;
    }
  });
  return queries;
}

/** Handles of chosen rows. */
export function handlesOf(handles: RowHandles, rows: Uint32Array): RowHandles {
  const chosen = new Uint32Array(2 * rows.length);
  rows.forEach((row, i) => {
    chosen[2 * i] = handles[2 * row]!;
    chosen[2 * i + 1] = handles[2 * row + 1]!;
  });
  return chosen;
}
