// A knowledge graph as arrays of indices, with its splits, and the builder that interns names.
// Where triples come from is the loaders' business.
import { FlotillaError } from '../core/index.ts';
import { GRAPH_LIMITS } from './defaults.ts';

/** Triples of one split, flat: head, relation, tail, head, … as indices into the graph's names. */
export type Triples = Uint32Array;

/** A graph that can be trained on. */
export interface Graph {
  readonly name: string;
  /** Entity names, unique; a triple's head and tail are indices into this list. */
  readonly entities: readonly string[];
  /** Relation names, unique. */
  readonly relations: readonly string[];
  /** Triples to learn from. The last `mirrored` of them mirror symmetric ones. */
  readonly train: Triples;
  readonly valid: Triples;
  readonly test: Triples;
  /** Relations that hold both ways: stored once, and mirrored in `train` only. */
  readonly symmetric: readonly number[];
  /** How many of the training triples are mirrors of others. */
  readonly mirrored: number;
  /** Patterns that turn a word into an entity name, tried in order: `{}.n.01`. */
  readonly aliases: readonly string[];
}

/** The splits of a graph. */
export type SplitName = 'train' | 'valid' | 'test';

/** How many triples a flat list holds. */
export function tripleCount(triples: Triples): number {
  return triples.length / 3;
}

/** A growing list of triples without a boxed number per index. */
export class TripleList {
  #words = new Uint32Array(3 * 1024);
  #length = 0;

  /** Triples so far. */
  get count(): number {
    return this.#length / 3;
  }

  add(head: number, relation: number, tail: number): void {
    if (this.#length === this.#words.length) {
      const grown = new Uint32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[this.#length++] = head;
    this.#words[this.#length++] = relation;
    this.#words[this.#length++] = tail;
  }

  /** A copy of the triples, exactly as long as needed. */
  toArray(): Triples {
    return this.#words.slice(0, this.#length);
  }
}

/** Gives names indices in order of appearance. Raises `graph_too_large` beyond `limit`. */
export class Names {
  readonly list: string[] = [];
  readonly #index = new Map<string, number>();
  readonly #kind: string;
  readonly #limit: number;

  constructor(kind: string, limit: number) {
    this.#kind = kind;
    this.#limit = limit;
  }

  intern(name: string): number {
    const known = this.#index.get(name);
    if (known !== undefined) return known;
    const index = this.list.length;
    if (index >= this.#limit) {
      throw new FlotillaError(
        'graph_too_large',
        `the graph has more than ${this.#limit} ${this.#kind}`,
        { details: { limit: this.#limit, kind: this.#kind } },
      );
    }
    this.list.push(name);
    this.#index.set(name, index);
    return index;
  }
}

/** Interns entities and relations within the limits of a graph. */
export function createVocabulary(): { entities: Names; relations: Names } {
  return {
    entities: new Names('entities', GRAPH_LIMITS.maxEntities),
    relations: new Names('relations', GRAPH_LIMITS.maxRelations),
  };
}

/** Refuses a graph that nothing can be learnt from: `graph_empty` or `graph_too_small`. */
export function checkTrainable(graph: Graph): Graph {
  const triples = tripleCount(graph.train) - graph.mirrored;
  if (triples === 0) {
    throw new FlotillaError('graph_empty', `${graph.name} holds no triples to train on`);
  }
  if (triples < 2 || graph.entities.length < 2) {
    throw new FlotillaError(
      'graph_too_small',
      `${graph.name} holds ${triples} training triple${triples === 1 ? '' : 's'} over ` +
        `${graph.entities.length} entities; at least two of each are needed`,
      { details: { triples, entities: graph.entities.length } },
    );
  }
  return graph;
}
