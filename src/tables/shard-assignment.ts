// Which ids a shard manager put where, and what moves when the number of shards changes. Plain
// values that survive a trip through JSON.
import { z } from 'zod';

import { FlotillaError, invalidOption } from '../core/index.ts';
import { TABLE_LIMITS } from './defaults.ts';

/** One bucket of ids a shard, each in input order. */
export class ShardAssignment {
  readonly numShards: number;
  readonly buckets: readonly (readonly string[])[];
  /** Ids over all buckets; an id that was given twice counts twice. */
  readonly total: number;
  #index: Map<string, number> | undefined;

  constructor(buckets: readonly (readonly string[])[]) {
    if (buckets.length === 0) throw invalidOption('buckets', 'a list of at least one bucket', '[]');
    this.numShards = buckets.length;
    this.buckets = buckets;
    this.total = buckets.reduce((sum, bucket) => sum + bucket.length, 0);
  }

  /** The shard of `id`, in constant time; undefined when it was not assigned. */
  shardOf(id: string): number | undefined {
    this.#index ??= indexOf(this.buckets);
    return this.#index.get(id);
  }

  toJSON(): { numShards: number; buckets: readonly (readonly string[])[] } {
    return { numShards: this.numShards, buckets: this.buckets };
  }

  /** Reads what `JSON.stringify` wrote. Raises `assignment_invalid`. */
  static fromJSON(text: string): ShardAssignment {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new FlotillaError('assignment_invalid', 'the shard assignment is not JSON', { cause });
    }
    const parsed = assignmentSchema.safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const where = issue?.path.join('.') || 'its top level';
      throw assignmentInvalid(`${where}: ${issue?.message ?? 'wrong shape'}`);
    }
    const { numShards, buckets } = parsed.data;
    if (buckets.length !== numShards) {
      throw assignmentInvalid(`${buckets.length} buckets for ${numShards} shards`);
    }
    const homes = new Map<string, number>();
    for (const [shard, bucket] of buckets.entries()) {
      for (const id of bucket) {
        const home = homes.get(id) ?? shard;
        if (home !== shard) throw assignmentInvalid(`"${id}" is in shards ${home} and ${shard}`);
        homes.set(id, shard);
      }
    }
    return new ShardAssignment(buckets);
  }
}

const assignmentSchema = z.object({
  numShards: z.int().min(1).max(TABLE_LIMITS.maxShards),
  buckets: z.array(z.array(z.string())),
});

function assignmentInvalid(what: string): FlotillaError {
  return new FlotillaError('assignment_invalid', `the shard assignment is wrong: ${what}`);
}

function indexOf(buckets: readonly (readonly string[])[]): Map<string, number> {
  const index = new Map<string, number>();
  for (const [shard, bucket] of buckets.entries()) for (const id of bucket) index.set(id, shard);
  return index;
}

/** One id that changes its shard. */
export interface Movement {
  readonly id: string;
  readonly from: number;
  readonly to: number;
}

/** How many ids go from one shard to another. */
export interface MovementCount {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** What a reshard moves, id by id and in sums. */
export class MovementPlan implements Iterable<Movement> {
  readonly movements: readonly Movement[];
  /** Ids that were looked at, moved or not. */
  readonly total: number;

  constructor(movements: readonly Movement[], total: number) {
    this.movements = movements;
    this.total = total;
  }

  get moved(): number {
    return this.movements.length;
  }

  /** The moved part of all ids, 0 to 1. */
  get share(): number {
    return this.total === 0 ? 0 : this.moved / this.total;
  }

  /** Sums by pair of shards, in order of `from`, then `to`. */
  counts(): MovementCount[] {
    const sums = new Map<string, { from: number; to: number; count: number }>();
    for (const { from, to } of this.movements) {
      const key = `${from} ${to}`;
      const sum = sums.get(key);
      if (sum === undefined) sums.set(key, { from, to, count: 1 });
      else sum.count++;
    }
    return [...sums.values()].sort((a, b) => a.from - b.from || a.to - b.to);
  }

  [Symbol.iterator](): Iterator<Movement> {
    return this.movements[Symbol.iterator]();
  }
}
