// One shard of a table on the node that owns it: ids, rows and optimiser state. Rows live in chunks
// of the kernels' memory and never move, so that a pointer to a row stays right while a thread
// reads it.
import { TABLE_TUNING } from './defaults.ts';
import { fillInitialRow } from './row-init.ts';
import type { Kernels } from '../devices/index.ts';
import type { TableSpec } from './spec.ts';

const ROWS = TABLE_TUNING.chunkRows;
const FLOAT = Float32Array.BYTES_PER_ELEMENT;

/** Part of a shard's rows that lies in one piece. */
export interface Segment {
  readonly shard: number;
  readonly firstRow: number;
  readonly rows: number;
  readonly pointer: number;
}

export class Shard {
  readonly number: number;
  readonly #kernels: Kernels;
  readonly #spec: Required<TableSpec>;
  readonly #rowBytes: number;
  readonly #stateBytes: number;
  /** Each: `ROWS` rows, then their optimiser state. */
  readonly #chunks: number[] = [];
  readonly #ids: string[] = [];
  readonly #rows = new Map<string, number>();

  constructor(kernels: Kernels, spec: Required<TableSpec>, number: number) {
    this.number = number;
    this.#kernels = kernels;
    this.#spec = spec;
    this.#rowBytes = spec.dim * FLOAT;
    this.#stateBytes = stateFloats(spec) * FLOAT;
  }

  get count(): number {
    return this.#ids.length;
  }

  rowOf(id: string): number | undefined {
    return this.#rows.get(id);
  }

  idOf(row: number): string | undefined {
    return this.#ids[row];
  }

  /** Where a row lies; `row` below `count`. */
  rowPointer(row: number): number {
    return this.#chunks[Math.floor(row / ROWS)]! + (row % ROWS) * this.#rowBytes;
  }

  /** Where a row's optimiser state lies: `dim` floats, or one under row-wise Adagrad. */
  statePointer(row: number): number {
    const chunk = this.#chunks[Math.floor(row / ROWS)]!;
    return chunk + ROWS * this.#rowBytes + (row % ROWS) * this.#stateBytes;
  }

  /** The row of `id`, made with its initial value when there is none. */
  insert(id: string): number {
    const known = this.#rows.get(id);
    if (known !== undefined) return known;
    const row = this.#append(id);
    const values = this.#kernels.floats(this.rowPointer(row), this.#spec.dim);
    fillInitialRow(values, id, this.#spec.init);
    return row;
  }

  /** The rows in pieces that lie in one block each, in row order. */
  *segments(): Generator<Segment> {
    for (const [index, pointer] of this.#chunks.entries()) {
      const firstRow = index * ROWS;
      const rows = Math.min(ROWS, this.count - firstRow);
      if (rows > 0) yield { shard: this.number, firstRow, rows, pointer };
    }
  }

  /** Bytes that `dump` writes for all rows. */
  get dumpBytes(): number {
    return this.count * (this.#rowBytes + this.#stateBytes);
  }

  /** Writes all rows, then all optimiser state, in row order. */
  dump(target: Uint8Array): void {
    let offset = 0;
    for (const { pointer, rows } of this.segments()) {
      target.set(this.#kernels.bytes(pointer, rows * this.#rowBytes), offset);
      offset += rows * this.#rowBytes;
    }
    for (const { firstRow, rows } of this.segments()) {
      const bytes = rows * this.#stateBytes;
      target.set(this.#kernels.bytes(this.statePointer(firstRow), bytes), offset);
      offset += bytes;
    }
  }

  /** Makes the rows of a `dump` by another shard; only into an empty shard. */
  restore(ids: readonly string[], source: Uint8Array): void {
    for (const id of ids) this.#append(id);
    let offset = 0;
    for (const { pointer, rows } of this.segments()) {
      const bytes = rows * this.#rowBytes;
      this.#kernels.bytes(pointer, bytes).set(source.subarray(offset, offset + bytes));
      offset += bytes;
    }
    for (const { firstRow, rows } of this.segments()) {
      const bytes = rows * this.#stateBytes;
      const state = this.#kernels.bytes(this.statePointer(firstRow), bytes);
      state.set(source.subarray(offset, offset + bytes));
      offset += bytes;
    }
  }

  /** Gives the memory back; the shard must not be used again. */
  release(): void {
    for (const pointer of this.#chunks) this.#kernels.free(pointer);
    this.#chunks.length = 0;
    this.#ids.length = 0;
    this.#rows.clear();
  }

  #append(id: string): number {
    const row = this.count;
    if (row === this.#chunks.length * ROWS) {
      const rowBytes = ROWS * this.#rowBytes;
      const stateBytes = ROWS * this.#stateBytes;
      const pointer = this.#kernels.alloc(rowBytes + stateBytes);
      this.#kernels.bytes(pointer + rowBytes, stateBytes).fill(0);
      this.#chunks.push(pointer);
    }
    this.#ids.push(id);
    this.#rows.set(id, row);
    return row;
  }
}

/** Floats of optimiser state that a row has. */
export function stateFloats(spec: Pick<Required<TableSpec>, 'dim' | 'optimiser'>): number {
  return spec.optimiser === 'adagrad' ? spec.dim : 1;
}
