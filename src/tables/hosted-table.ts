// The shards of one table that this node owns, and what is done to their rows in one go: insert,
// find, pull, push. Everything here is synchronous, so a push is applied wholly or not at all.
import { FlotillaError } from '../core/index.ts';
import { shardOf } from '../hash/index.ts';
import { TABLE_LIMITS, TABLE_TUNING } from './defaults.ts';
import { rowOutOfRange, tableUnknown } from './errors.ts';
import { Shard } from './shard.ts';
import type { Kernels } from '../devices/index.ts';
import type { Scratch } from './scratch.ts';
import type { TableRecord } from './spec.ts';

/** In replies about ids: the table has no such row. */
export const NO_ROW = 0xffffffff;

const FLOAT = Float32Array.BYTES_PER_ELEMENT;
const WORD = Uint32Array.BYTES_PER_ELEMENT;

export class HostedTable {
  readonly record: TableRecord;
  readonly node: string;
  readonly kernels: Kernels;
  readonly #scratch: Scratch;
  readonly #shards: (Shard | undefined)[];
  #closed = false;

  constructor(
    components: { kernels: Kernels; scratch: Scratch },
    record: TableRecord,
    node: string,
  ) {
    this.record = record;
    this.node = node;
    this.kernels = components.kernels;
    this.#scratch = components.scratch;
    this.#shards = new Array<Shard | undefined>(record.spec.shards).fill(undefined);
  }

  /** Numbers of the shards that the record gives this node. */
  ownedShards(): number[] {
    const owned: number[] = [];
    for (const [shard, owner] of this.record.placement.entries()) {
      if (owner === this.node) owned.push(shard);
    }
    return owned;
  }

  /** Adds an empty shard that this node owns. */
  addShard(shard: number): Shard {
    const added = new Shard(this.kernels, this.record.spec, shard);
    this.#shards[shard] = added;
    return added;
  }

  /** The shards that stand, in order of their numbers. */
  *shards(): Generator<Shard> {
    for (const shard of this.#shards) if (shard !== undefined) yield shard;
  }

  get rows(): number {
    let rows = 0;
    for (const shard of this.shards()) rows += shard.count;
    return rows;
  }

  /** Makes missing rows. The row in its shard for each id. */
  insert(ids: readonly string[]): Uint32Array<ArrayBuffer> {
    const { shards } = this.record.spec;
    for (const id of ids) {
      if (id.length > 0 && id.length <= TABLE_LIMITS.maxIdCharacters) continue;
      throw new FlotillaError(
        'row_id_invalid',
        `an id has ${id.length} characters, but must have 1 to ${TABLE_LIMITS.maxIdCharacters}`,
      );
    }
    const homes = ids.map((id) => this.shard(shardOf(id, shards)));
    return Uint32Array.from(ids, (id, index) => homes[index]!.insert(id));
  }

  /** The row in its shard for each id, or `NO_ROW`. */
  find(ids: readonly string[]): Uint32Array<ArrayBuffer> {
    const { shards } = this.record.spec;
    return Uint32Array.from(ids, (id) => this.shard(shardOf(id, shards)).rowOf(id) ?? NO_ROW);
  }

  names(handles: Uint32Array): string[] {
    const names: string[] = [];
    for (let i = 0; i < handles.length; i += 2) {
      const [shard, row] = [handles[i]!, handles[i + 1]!];
      const name = this.shard(shard).idOf(row);
      if (name === undefined) throw rowOutOfRange(this.record.name, shard, row);
      names.push(name);
    }
    return names;
  }

  /** Writes the rows of `handles` to `into`, one after the other. */
  pull(handles: Uint32Array, into: Float32Array): void {
    const { dim } = this.record.spec;
    const rows = handles.length / 2;
    const direct = into.buffer === this.kernels.memory.buffer && into.byteOffset % FLOAT === 0;
    const pointerBytes = aligned(rows * WORD);
    const sources = this.#scratch.reserve(pointerBytes + (direct ? 0 : rows * dim * FLOAT));
    this.locate(handles, this.kernels.words(sources, rows));
    const target = direct ? into.byteOffset : sources + pointerBytes;
    this.kernels.gather(rows, dim, sources, target);
    if (!direct) into.set(this.kernels.floats(target, rows * dim));
  }

  /** Applies gradients, which the caller found finite, in order; a repeated row steps again. */
  push(handles: Uint32Array, gradients: Float32Array, rate: number): void {
    const { dim, optimiser } = this.record.spec;
    const rows = handles.length / 2;
    const direct = gradients.buffer === this.kernels.memory.buffer;
    const pointerBytes = aligned(rows * WORD);
    const gradientBytes = direct ? 0 : rows * dim * FLOAT;
    const params = this.#scratch.reserve(2 * pointerBytes + gradientBytes);
    const state = params + pointerBytes;
    this.locate(handles, this.kernels.words(params, rows), this.kernels.words(state, rows));
    const source = direct ? gradients.byteOffset : state + pointerBytes;
    if (!direct) this.kernels.floats(source, rows * dim).set(gradients);
    const { epsilon } = TABLE_TUNING;
    if (optimiser === 'adagrad') {
      this.kernels.adagrad(rows, dim, params, state, source, rate, epsilon);
    } else {
      this.kernels.adagradRowWise(rows, dim, params, state, source, rate, epsilon);
    }
  }

  /** Pointers of the rows of `handles`, and of their optimiser state. Checks every handle. */
  locate(handles: Uint32Array, pointers: Uint32Array, states?: Uint32Array): void {
    for (let i = 0; i < pointers.length; i++) {
      const number = handles[2 * i]!;
      const row = handles[2 * i + 1]!;
      const shard = this.#shards[number] ?? this.shard(number);
      if (row >= shard.count) throw rowOutOfRange(this.record.name, number, row);
      pointers[i] = shard.rowPointer(row);
      if (states !== undefined) states[i] = shard.statePointer(row);
    }
  }

  /** The shard, or the reason why it cannot be served from here. */
  shard(number: number): Shard {
    const shard = this.#shards[number];
    if (shard !== undefined) return shard;
    this.assertOpen();
    const { name, placement } = this.record;
    const owner = placement[number];
    if (owner === undefined) throw rowOutOfRange(name, number, 0);
    const details = { table: name, shard: number, node: this.node };
    if (owner !== this.node) {
      throw new FlotillaError(
        'shard_not_owned',
        `${this.node} does not own shard ${number} of table ${name}; ${owner} does`,
        { details },
      );
    }
    throw new FlotillaError(
      'shard_not_loaded',
      `${this.node} owns shard ${number} of table ${name}, but has no checkpoint to load it from`,
      { details },
    );
  }

  /** Throws when the table was dropped while its caller waited: its memory is no longer its own. */
  assertOpen(): void {
    if (this.#closed) throw tableUnknown(this.record.name);
  }

  close(): void {
    this.#closed = true;
    for (const shard of this.shards()) shard.release();
    this.#shards.fill(undefined);
  }
}

/** True when no element is NaN or infinite. Four sums side by side, as one would wait on itself. */
export function allFinite(values: Float32Array): boolean {
  const even = values.length - (values.length % 4);
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < even; i += 4) {
    a += values[i]! * 0;
    b += values[i + 1]! * 0;
    c += values[i + 2]! * 0;
    d += values[i + 3]! * 0;
  }
  for (let i = even; i < values.length; i++) a += values[i]! * 0;
  return a + b + c + d === 0;
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}
