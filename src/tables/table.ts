// What a table offers, wherever its rows live. `ShardedTable` is what does it.
import type { Metric } from './scan.ts';
import type { TableSpec } from './spec.ts';
import type { RankedRow } from './top-rows.ts';

/**
 * Two words an id: its shard, and its row in the shard. Stable while the row exists, also over a
 * checkpoint and when its shard moves.
 */
export type RowHandles = Uint32Array;

/** One entry of `RowHandles`. */
export type RowHandle = readonly [shard: number, row: number];

export interface CallLimits {
  readonly signal?: AbortSignal;
  /** For each request to an owner. @default 30 000 (120 000 for a checkpoint) */
  readonly timeoutMs?: number;
}

export interface PushOptions extends CallLimits {
  /** Learning rate of this push: at least 0. */
  readonly rate: number;
}

export interface RankRequest {
  /** B × dim floats. */
  readonly queries: Float32Array;
  /** B scores to compare with, from `score`. NaN is beaten by every row. */
  readonly targets: Float32Array;
  /** Per query the rows that do not count: known answers, and the target itself. */
  readonly excluded: readonly RowHandles[];
}

export interface Ranks {
  /** Per query: rows that score above its target. */
  readonly greater: Uint32Array;
  /** Per query: rows that score exactly like its target. */
  readonly equal: Uint32Array;
}

/**
 * A sharded float32 matrix with string ids. Every method may raise `owner_unreachable` (details:
 * table, shard, node), `table_stale` and `shard_not_loaded`; those that take handles also
 * `row_out_of_range`, and those that take ids of existing rows `row_unknown`.
 */
export interface Table {
  readonly name: string;
  readonly spec: Required<TableSpec>;
  /** Tells tables apart that had the same name one after the other. */
  readonly generation: number;
  /** Nodes that own shards, by name. `ownersOf` answers with indexes of this list. */
  readonly owners: readonly string[];

  /** Handles of all ids; rows that do not exist are made, see `RowInit`. */
  insert(ids: readonly string[], limits?: CallLimits): Promise<RowHandles>;
  /** Handles of existing rows. `row_unknown` has the first ten unknown ids in its details. */
  resolve(ids: readonly string[], limits?: CallLimits): Promise<RowHandles>;
  /** Like `resolve`, with undefined for unknown ids. */
  lookup(ids: readonly string[], limits?: CallLimits): Promise<(RowHandle | undefined)[]>;
  /** Ids of rows. */
  names(handles: RowHandles, limits?: CallLimits): Promise<string[]>;

  /**
   * Rows one after the other, in the order asked. Written to `into` (at least rows × dim floats,
   * possibly on shared memory) when it is given. Sort rows by owner, and each owner's reply is
   * copied in one go. When it fails, `into` may be partly written.
   */
  pull(
    rows: readonly string[] | RowHandles,
    into?: Float32Array,
    limits?: CallLimits,
  ): Promise<Float32Array>;
  /**
   * Lets the optimiser step each row by its gradient where the row lives. A row that comes twice is
   * stepped twice, in order. Each owner applies its part wholly or not at all; when one of several
   * fails, the others may have applied theirs. Raises `gradient_width`, `gradient_not_finite`.
   */
  push(
    rows: readonly string[] | RowHandles,
    gradients: Float32Array,
    options: PushOptions,
  ): Promise<void>;

  /** Compares queries with every row, where the rows live, bitwise as `score` computes them. */
  rank(request: RankRequest, limits?: CallLimits): Promise<Ranks>;
  /** out[i] = queries[i] · row of handle i. */
  score(rows: RowHandles, queries: Float32Array, limits?: CallLimits): Promise<Float32Array>;
  /** The `k` rows that score highest, best first, equal ones by id. */
  nearest(
    query: Float32Array,
    request: { k: number; metric: Metric; exclude?: RowHandles },
    limits?: CallLimits,
  ): Promise<RankedRow[]>;

  /** The node that owns the row of `id`, whether the row exists or not. */
  ownerOf(id: string): string;
  /** Index in `owners` of each handle's owner. */
  ownersOf(handles: RowHandles, into?: Uint32Array): Uint32Array;
  /** Every owner writes its shards to its disk: atomic per node, checksummed. The rows written. */
  checkpoint(limits?: CallLimits): Promise<number>;
  /** Rows of the whole table. */
  count(limits?: CallLimits): Promise<number>;
}
