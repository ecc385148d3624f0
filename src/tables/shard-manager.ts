// Decides which shard an id belongs to, and what moves when the number of shards changes. It knows
// nothing of nodes: which node owns a shard is `placement.ts`'s business.
import { invalidOption } from '../core/index.ts';
import { shardOf } from '../hash/index.ts';
import { TABLE_LIMITS } from './defaults.ts';
import { MovementPlan, ShardAssignment } from './shard-assignment.ts';
import type { Movement } from './shard-assignment.ts';

/**
 * `entity-hash`: jump(xxh64(id), shards), the same in every process and language, without memory.
 * `round-robin`: in turn, in the order ids are first partitioned; equal buckets, but every process
 * has to be told the same ids in the same order.
 */
export type ShardingStrategy = 'entity-hash' | 'round-robin';

/** Maps ids to shards 0 to `numShards` − 1. Zero shards means one. */
export class ShardManager {
  readonly numShards: number;
  readonly strategy: ShardingStrategy;
  readonly #assigned = new Map<string, number>();
  #next = 0;

  constructor(shards: number, strategy: ShardingStrategy = 'entity-hash') {
    if (!Number.isInteger(shards) || shards < 0 || shards > TABLE_LIMITS.maxShards) {
      throw invalidOption('shards', `an integer from 0 to ${TABLE_LIMITS.maxShards}`, shards);
    }
    this.numShards = Math.max(1, shards);
    this.strategy = strategy;
  }

  /** The shard of `id`. Round-robin answers with the hash for ids that it has not partitioned. */
  shardFor(id: string): number {
    return this.#assigned.get(id) ?? shardOf(id, this.numShards);
  }

  /** Sorts `ids` into buckets. Round-robin goes on where the last call ended. */
  partition(ids: Iterable<string>): ShardAssignment {
    const buckets = this.#emptyBuckets();
    for (const id of ids) {
      const shard = this.strategy === 'round-robin' ? this.#inTurn(id) : this.shardFor(id);
      buckets[shard]!.push(id);
    }
    return new ShardAssignment(buckets);
  }

  /**
   * Sorts the ids of `prior`, which has another number of shards, into this manager's shards.
   * From N to N + 1 shards about one id in N + 1 moves, which is the least that keeps them even.
   * Under round-robin an id stays in its shard unless that is gone or above its even share.
   */
  reshard(prior: ShardAssignment): { assignment: ShardAssignment; plan: MovementPlan } {
    if (this.strategy === 'round-robin') this.#adopt(prior);
    const buckets = this.#emptyBuckets();
    const movements: Movement[] = [];
    for (const [from, bucket] of prior.buckets.entries()) {
      for (const id of bucket) {
        const to = this.shardFor(id);
        buckets[to]!.push(id);
        if (to !== from) movements.push({ id, from, to });
      }
    }
    const plan = new MovementPlan(movements, prior.total);
    return { assignment: new ShardAssignment(buckets), plan };
  }

  #emptyBuckets(): string[][] {
    return Array.from({ length: this.numShards }, () => []);
  }

  #inTurn(id: string): number {
    const known = this.#assigned.get(id);
    if (known !== undefined) return known;
    const shard = this.#next;
    this.#next = (this.#next + 1) % this.numShards;
    this.#assigned.set(id, shard);
    return shard;
  }

  /** Takes over a round-robin assignment of another shard count, moving as little as it can. */
  #adopt(prior: ShardAssignment): void {
    const sizes = new Array<number>(this.numShards).fill(0);
    for (const shard of this.#assigned.values()) sizes[shard]!++;
    const fresh = new Map<string, number>();
    for (const [shard, bucket] of prior.buckets.entries()) {
      for (const id of bucket) if (!this.#assigned.has(id)) fresh.set(id, shard);
    }
    const ids = this.#assigned.size + fresh.size;
    const floor = Math.floor(ids / this.numShards);
    let extras = (ids % this.numShards) - sizes.filter((size) => size > floor).length;
    const take = (id: string, shard: number) => {
      const size = sizes[shard]!;
      if (size > floor || (size === floor && extras <= 0)) return false;
      if (size === floor) extras--;
      sizes[shard] = size + 1;
      this.#assigned.set(id, shard);
      return true;
    };
    for (const [id, shard] of fresh) {
      if (shard < this.numShards && take(id, shard)) fresh.delete(id);
    }
    let open = 0;
    for (const id of fresh.keys()) {
      while (open < this.numShards && !take(id, open)) open++;
      if (open === this.numShards) this.#assigned.set(id, this.numShards - 1);
    }
  }
}
