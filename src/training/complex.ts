// One training step of ComplEx (Trouillon et al., 2016) with the reciprocal relations and the N3
// regulariser of Lacroix et al. (2018): both directions of each triple, sampled softmax over one
// positive and negatives that the batch shares. Computes gradients; where rows live is not its
// business.
//
//   q = h ∘ r,  score(t) = Re⟨q, conj t⟩ = q · t         for (h, r → t) and (t, r⁻¹ → h)
//   loss = 1/2B · Σ over 2B directions [ −log p(positive) + regularisation · (|h|³+|r|³+|t|³) ]
//
// The mean, not the sum, so that a rate means the same at every batch size.
import type { Kernels } from '../devices/index.ts';

/** Sizes of a step; they fix its memory. */
export interface StepShape {
  /** Floats a row: half real, half imaginary. */
  readonly dim: number;
  /** Most triples in a batch, B. */
  readonly batch: number;
  /** Negatives that a batch shares, N. */
  readonly negatives: number;
  /** Most relation rows a batch can touch. */
  readonly relationRows: number;
}

/** Byte offsets of what the caller fills and reads; one per batch in flight. */
export interface SlotLayout {
  /** Pulled entity rows, one per distinct entity of the batch. */
  readonly entityRows: number;
  readonly entityGradients: number;
  readonly relationRows: number;
  readonly relationGradients: number;
  /** u32 per direction: row of the subject; the target of direction i is the subject of i ± B. */
  readonly subjects: number;
  /** u32 per direction: row of the relation. */
  readonly relations: number;
  /** u32 per negative: row of the entity. */
  readonly negatives: number;
}

/** Byte offsets of what only the step touches; one per thread. */
export interface ScratchLayout {
  readonly pointers: number;
  readonly subject: number;
  readonly relation: number;
  readonly query: number;
  readonly negative: number;
  readonly scores: number;
  readonly positives: number;
  readonly subjectGradient: number;
  readonly relationGradient: number;
  readonly queryGradient: number;
  readonly negativeGradient: number;
}

/** How much of the shape a batch uses. */
export interface StepCounts {
  /** Triples. */
  readonly batch: number;
  /** Distinct entities. */
  readonly entities: number;
  /** Distinct relation rows. */
  readonly relations: number;
}

/** Most distinct entities of a batch. */
export function maxEntities({ batch, negatives }: StepShape): number {
  return 2 * batch + negatives;
}

const WORD = 4;

type Sizes<Layout> = Readonly<Record<keyof Layout, number>>;

function slotWords(shape: StepShape): Sizes<SlotLayout> {
  const entities = maxEntities(shape) * shape.dim;
  const relations = shape.relationRows * shape.dim;
  return {
    entityRows: entities,
    entityGradients: entities,
    relationRows: relations,
    relationGradients: relations,
    subjects: 2 * shape.batch,
    relations: 2 * shape.batch,
    negatives: shape.negatives,
  };
}

function scratchWords(shape: StepShape): Sizes<ScratchLayout> {
  const directions = 2 * shape.batch;
  const rows = directions * shape.dim;
  const negatives = shape.negatives * shape.dim;
  return {
    pointers: Math.max(directions, shape.negatives),
    subject: rows,
    relation: rows,
    query: rows,
    negative: negatives,
    scores: directions * shape.negatives,
    positives: directions,
    subjectGradient: rows,
    relationGradient: rows,
    queryGradient: rows,
    negativeGradient: negatives,
  };
}

function allocate<Layout>(kernels: Kernels, words: Sizes<Layout>): Layout {
  const layout: Record<string, number> = {};
  try {
    for (const [name, count] of Object.entries<number>(words)) {
      layout[name] = kernels.alloc(count * WORD);
    }
  } catch (error) {
    for (const pointer of Object.values(layout)) kernels.free(pointer);
    throw error;
  }
  return layout as Layout;
}

/** Allocates a slot. Raises what `alloc` raises, having freed what it got. */
export function allocateSlot(kernels: Kernels, shape: StepShape): SlotLayout {
  return allocate<SlotLayout>(kernels, slotWords(shape));
}

/** Allocates a thread's scratch. Raises what `alloc` raises, having freed what it got. */
export function allocateScratch(kernels: Kernels, shape: StepShape): ScratchLayout {
  return allocate<ScratchLayout>(kernels, scratchWords(shape));
}

export function freeLayout(kernels: Kernels, layout: object): void {
  for (const pointer of Object.values(layout)) kernels.free(pointer as number);
}

/** Computes steps of one shape on one thread. */
export class ComplexStep {
  readonly #kernels: Kernels;
  readonly #shape: StepShape;
  readonly #scratch: ScratchLayout;
  readonly #regularisation: number;
  readonly #pointers: Uint32Array;
  readonly #scores: Float32Array;
  readonly #positives: Float32Array;
  /** First negative of an entity row, and the next of the same row; −1 ends the chain. */
  readonly #firstNegative: Int32Array;
  readonly #nextNegative: Int32Array;

  constructor(
    kernels: Kernels,
    memory: { readonly shape: StepShape; readonly scratch: ScratchLayout },
    regularisation: number,
  ) {
    const { shape, scratch } = memory;
    this.#kernels = kernels;
    this.#shape = shape;
    this.#scratch = scratch;
    this.#regularisation = regularisation;
    this.#pointers = kernels.words(scratch.pointers, Math.max(2 * shape.batch, shape.negatives));
    this.#scores = kernels.floats(scratch.scores, 2 * shape.batch * shape.negatives);
    this.#positives = kernels.floats(scratch.positives, 2 * shape.batch);
    this.#firstNegative = new Int32Array(maxEntities(shape));
    this.#nextNegative = new Int32Array(shape.negatives);
  }

  /**
   * Fills the slot's gradients from its rows and indices; returns the mean loss of a direction,
   * without the regulariser.
   */
  run(slot: SlotLayout, counts: StepCounts): number {
    const { dim, negatives } = this.#shape;
    const k = this.#kernels;
    const s = this.#scratch;
    const n = 2 * counts.batch;
    const subjects = k.words(slot.subjects, n);
    const relations = k.words(slot.relations, n);
    const negativeRows = k.words(slot.negatives, negatives);
    this.#gather(slot.entityRows, subjects, s.subject);
    this.#gather(slot.relationRows, relations, s.relation);
    this.#gather(slot.entityRows, negativeRows, s.negative);
    k.complexMultiply(n, dim, s.subject, s.relation, s.query);
    const loss = this.#score(subjects, negativeRows, counts);
    this.#differentiate(n);
    k.floats(slot.entityGradients, counts.entities * dim).fill(0);
    k.floats(slot.relationGradients, counts.relations * dim).fill(0);
    this.#scatter(s.subjectGradient, subjects, slot.entityGradients);
    this.#scatter(s.relationGradient, relations, slot.relationGradients);
    this.#scatter(s.negativeGradient, negativeRows, slot.entityGradients);
    return loss / n;
  }

  /** Scores every query against its target and all negatives, and turns scores into gradients. */
  #score(subjects: Uint32Array, negativeRows: Uint32Array, counts: StepCounts): number {
    const { dim, negatives } = this.#shape;
    const k = this.#kernels;
    const s = this.#scratch;
    const n = subjects.length;
    const transB = { transB: true };
    k.sgemm(transB, n, negatives, dim, s.query, dim, s.negative, dim, s.scores, negatives);
    for (let i = 0; i < n; i++) {
      const target = targetOf(i, counts.batch);
      this.#positives[i] = k.dot(dim, s.query + i * dim * WORD, s.subject + target * dim * WORD);
    }
    this.#maskTargets(subjects, negativeRows, counts);
    return k.softmaxCrossEntropy(n, negatives, s.scores, negatives, s.positives, 1 / n);
  }

  /** A negative that equals the target is no negative: its score becomes −∞. */
  #maskTargets(subjects: Uint32Array, negativeRows: Uint32Array, counts: StepCounts): void {
    const { negatives } = this.#shape;
    const first = this.#firstNegative;
    const next = this.#nextNegative;
    first.fill(-1, 0, counts.entities);
    for (let j = 0; j < negatives; j++) {
      const row = negativeRows[j]!;
      next[j] = first[row]!;
      first[row] = j;
    }
    for (let i = 0; i < subjects.length; i++) {
      const target = subjects[targetOf(i, counts.batch)]!;
      for (let j = first[target]!; j >= 0; j = next[j]!) {
        this.#scores[i * negatives + j] = Number.NEGATIVE_INFINITY;
      }
    }
  }

  /** Gradients of the gathered rows. `scores` and `positives` hold d loss / d score by now. */
  #differentiate(n: number): void {
    const { dim, negatives } = this.#shape;
    const k = this.#kernels;
    const s = this.#scratch;
    k.sgemm({}, n, dim, negatives, s.scores, negatives, s.negative, dim, s.queryGradient, dim);
    const transA = { transA: true };
    k.sgemm(transA, negatives, dim, n, s.scores, negatives, s.query, dim, s.negativeGradient, dim);
    for (let i = 0; i < n; i++) {
      const target = s.subject + targetOf(i, n / 2) * dim * WORD;
      k.axpy(dim, this.#positives[i]!, target, s.queryGradient + i * dim * WORD);
    }
    k.complexMultiplyConj(n, dim, s.queryGradient, s.relation, s.subjectGradient);
    k.complexMultiplyConj(n, dim, s.queryGradient, s.subject, s.relationGradient);
    for (let i = 0; i < n; i++) {
      const target = s.subjectGradient + targetOf(i, n / 2) * dim * WORD;
      k.axpy(dim, this.#positives[i]!, s.query + i * dim * WORD, target);
    }
    if (this.#regularisation === 0) return;
    const scale = this.#regularisation / n;
    // Each gathered entity is the subject of one direction and the target of the other.
    k.n3(n, dim, s.subject, s.subjectGradient, 2 * scale);
    k.n3(n, dim, s.relation, s.relationGradient, scale);
  }

  #gather(from: number, rows: Uint32Array, into: number): void {
    this.#point(from, rows);
    this.#kernels.gather(rows.length, this.#shape.dim, this.#scratch.pointers, into);
  }

  #scatter(from: number, rows: Uint32Array, onto: number): void {
    this.#point(onto, rows);
    this.#kernels.scatterAdd(rows.length, this.#shape.dim, from, this.#scratch.pointers);
  }

  #point(base: number, rows: Uint32Array): void {
    const stride = this.#shape.dim * WORD;
    for (let i = 0; i < rows.length; i++) this.#pointers[i] = base + rows[i]! * stride;
  }
}

/** The direction whose subject is this one's target: the first B go forth, the others back. */
function targetOf(direction: number, batch: number): number {
  return direction < batch ? direction + batch : direction - batch;
}
