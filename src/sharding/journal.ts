// Where durable entities are kept: what `EntityRuntime` needs of it. A journal is fenced like the
// shards: whoever opens a shard at an epoch shuts out all earlier ones.

export interface ShardKey {
  readonly type: string;
  readonly shard: number;
  /** Errors of every call: `epoch_stale` when a later one has been seen. */
  readonly epoch: number;
}

export interface Journal {
  /** Shuts earlier epochs out. The ids of all entities that are kept. */
  open(key: ShardKey): Promise<readonly string[]>;
  /** The last state that was appended. */
  load(key: ShardKey, id: string): Promise<Uint8Array | undefined>;
  /** Resolves once the state is on disk. An error other than `epoch_stale` leaves it open. */
  append(key: ShardKey, id: string, state: Uint8Array): Promise<void>;
}
