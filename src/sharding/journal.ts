// Where durable entities are kept: what `EntityRuntime` needs of it. A journal is fenced like the
// shards: whoever opens a shard at an epoch shuts out all earlier ones.
import { MAX_SHARDS } from './defaults.ts';
import { isTypeName } from './define-entity.ts';
import { invalidMessage } from './messages.ts';

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
  /**
   * Resolves once the state is on disk. `state_too_large` and `epoch_stale` say that it never will
   * be; any other error leaves it open.
   */
  append(key: ShardKey, id: string, state: Uint8Array): Promise<void>;
}

/** Errors: `shard_message_invalid`. */
export function checkShardKey({ type, shard, epoch }: ShardKey): void {
  const isShard = Number.isInteger(shard) && shard >= 0 && shard < MAX_SHARDS;
  if (isShard && Number.isSafeInteger(epoch) && epoch >= 0 && isTypeName(type)) return;
  throw invalidMessage('a shard of a journal');
}
