// Turns "batch 17 of epoch 3" into triples, negatives and the distinct rows they need. Everything
// follows from the seed, so any node can compute any batch.
import { createPrng, shuffle } from '../core/index.ts';
import { maxEntities } from './complex.ts';
import type { Kernels } from '../devices/index.ts';
import type { RowHandles } from '../tables/index.ts';
import type { SlotLayout, StepCounts, StepShape } from './complex.ts';
import type { Triples } from './graph.ts';

/** What a planner draws from. */
export interface PlannerSource {
  readonly train: Triples;
  /** All entities, in the order of the graph. */
  readonly entities: HandleRows;
  /** All relation rows: the R relations, then their R inverses. */
  readonly relations: HandleRows;
}

export interface HandleRows {
  readonly handles: RowHandles;
  /** A number per row that tells the nodes apart that own them. */
  readonly owners: Uint32Array;
}

/** A batch in flight: its memory, and the rows it works on. */
export interface Slot {
  readonly layout: SlotLayout;
  readonly subjects: Uint32Array;
  readonly relations: Uint32Array;
  readonly negatives: Uint32Array;
  readonly entityHandles: RowHandles;
  readonly relationHandles: RowHandles;
}

export function createSlot(kernels: Kernels, layout: SlotLayout, shape: StepShape): Slot {
  return {
    layout,
    subjects: kernels.words(layout.subjects, 2 * shape.batch),
    relations: kernels.words(layout.relations, 2 * shape.batch),
    negatives: kernels.words(layout.negatives, shape.negatives),
    entityHandles: new Uint32Array(2 * maxEntities(shape)),
    relationHandles: new Uint32Array(2 * shape.relationRows),
  };
}

/**
 * Numbers distinct items from 0, those of one owner side by side, so that they move in one piece.
 */
class RowNumbering {
  readonly #rowOf: Int32Array;
  readonly #items: Uint32Array;
  readonly #rows: HandleRows;
  /** Where the rows of each owner begin. */
  readonly #starts: Uint32Array;
  readonly #places: Uint32Array;
  #count = 0;

  constructor(rows: HandleRows, capacity: number) {
    this.#rows = rows;
    this.#rowOf = new Int32Array(rows.handles.length / 2).fill(-1);
    this.#items = new Uint32Array(capacity);
    this.#places = new Uint32Array(capacity);
    this.#starts = new Uint32Array(
      rows.owners.reduce((most, owner) => Math.max(most, owner), 0) + 2,
    );
  }

  /** A provisional row, in order of appearance. */
  row(item: number): number {
    const known = this.#rowOf[item]!;
    if (known >= 0) return known;
    this.#items[this.#count] = item;
    this.#rowOf[item] = this.#count;
    return this.#count++;
  }

  /**
   * Sorts the rows by owner, writes their handles, turns provisional rows in `indices` into final
   * ones and forgets the items. Returns how many there were.
   */
  finish(into: RowHandles, ...indices: readonly Uint32Array[]): number {
    const { handles, owners } = this.#rows;
    const count = this.#count;
    this.#starts.fill(0);
    for (let row = 0; row < count; row++) this.#starts[owners[this.#items[row]!]! + 1]!++;
    for (let i = 1; i < this.#starts.length; i++) this.#starts[i]! += this.#starts[i - 1]!;
    for (let row = 0; row < count; row++) {
      const item = this.#items[row]!;
      const place = this.#starts[owners[item]!]!++;
      this.#places[row] = place;
      into[2 * place] = handles[2 * item]!;
      into[2 * place + 1] = handles[2 * item + 1]!;
      this.#rowOf[item] = -1;
    }
    for (const list of indices) {
      for (let i = 0; i < list.length; i++) list[i] = this.#places[list[i]!]!;
    }
    this.#count = 0;
    return count;
  }
}

/** Plans the batches of one training on one node. */
export class BatchPlanner {
  readonly #source: PlannerSource;
  readonly #shape: StepShape;
  readonly #seed: number;
  readonly #entityCount: number;
  readonly #relationCount: number;
  readonly #entities: RowNumbering;
  readonly #relations: RowNumbering;
  #order = new Uint32Array(0);
  #orderOf = -1;

  constructor(source: PlannerSource, shape: StepShape, seed: number) {
    this.#source = source;
    this.#shape = shape;
    this.#seed = seed;
    this.#entityCount = source.entities.handles.length / 2;
    this.#relationCount = source.relations.handles.length / 4;
    this.#entities = new RowNumbering(source.entities, maxEntities(shape));
    this.#relations = new RowNumbering(source.relations, shape.relationRows);
  }

  /** Fills the slot's indices and handles for one batch of an epoch, both counted from 0. */
  plan(slot: Slot, epoch: number, index: number): StepCounts {
    const order = this.#permutation(epoch);
    const first = index * this.#shape.batch;
    const batch = Math.min(this.#shape.batch, order.length - first);
    const { train } = this.#source;
    for (let i = 0; i < batch; i++) {
      const at = 3 * order[first + i]!;
      const relation = train[at + 1]!;
      slot.subjects[i] = this.#entities.row(train[at]!);
      slot.subjects[batch + i] = this.#entities.row(train[at + 2]!);
      slot.relations[i] = this.#relations.row(relation);
      slot.relations[batch + i] = this.#relations.row(relation + this.#relationCount);
    }
    const prng = createPrng(this.#seed ^ Math.imul(epoch + 1, 0x85ebca6b), index + 1);
    for (let j = 0; j < this.#shape.negatives; j++) {
      slot.negatives[j] = this.#entities.row(prng.int(this.#entityCount));
    }
    return {
      batch,
      entities: this.#entities.finish(
        slot.entityHandles,
        slot.subjects.subarray(0, 2 * batch),
        slot.negatives,
      ),
      relations: this.#relations.finish(
        slot.relationHandles,
        slot.relations.subarray(0, 2 * batch),
      ),
    };
  }

  #permutation(epoch: number): Uint32Array {
    if (this.#orderOf === epoch) return this.#order;
    const triples = this.#source.train.length / 3;
    this.#order = Uint32Array.from({ length: triples }, (_, index) => index);
    shuffle(this.#order, createPrng(this.#seed, epoch + 1));
    this.#orderOf = epoch;
    return this.#order;
  }
}
