// Which answers of a query are known to be true, so that an evaluation does not count them against
// its target (Bordes et al., 2013: the filtered setting). Both directions are queries: relation r
// from head to tail, and r + R from tail to head.
import type { Graph, Triples } from './graph.ts';

/** A query as one exact number: subject and directed relation. */
function queryKey(subject: number, relation: number, directions: number): number {
  return subject * directions + relation;
}

/** Answers of chosen queries. */
export class Answers {
  readonly #directions: number;
  readonly #lists = new Map<number, number[]>();

  /** Prepares the queries of `asked`, both directions of each triple. */
  constructor(asked: Triples, relations: number) {
    this.#directions = 2 * relations;
    for (let i = 0; i < asked.length; i += 3) {
      const relation = asked[i + 1]!;
      this.#lists.set(queryKey(asked[i]!, relation, this.#directions), []);
      this.#lists.set(queryKey(asked[i + 2]!, relation + relations, this.#directions), []);
    }
  }

  /** Files the triples as answers of the queries that were asked. */
  learn(triples: Triples): this {
    const relations = this.#directions / 2;
    for (let i = 0; i < triples.length; i += 3) {
      const head = triples[i]!;
      const relation = triples[i + 1]!;
      const tail = triples[i + 2]!;
      this.#lists.get(queryKey(head, relation, this.#directions))?.push(tail);
      this.#lists.get(queryKey(tail, relation + relations, this.#directions))?.push(head);
    }
    return this;
  }

  /** Answers of a query, maybe repeated. Relations from R on go from tail to head. */
  of(subject: number, relation: number): readonly number[] {
    return this.#lists.get(queryKey(subject, relation, this.#directions)) ?? [];
  }
}

/** Every answer that train, valid or test gives to the queries of `asked`. */
export function knownAnswers(graph: Graph, asked: Triples): Answers {
  return new Answers(asked, graph.relations.length)
    .learn(graph.train)
    .learn(graph.valid)
    .learn(graph.test);
}
