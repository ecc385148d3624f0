// What sharding counts of itself at one node, for metrics; who owns what is `describe`'s.
import type { ShardPhase } from './hosted-shard.ts';
import type { Region } from './region.ts';
import type { ShardHost } from './shard-host.ts';

/** Of one type at one node. Totals count since its start. */
export interface TypeMetrics {
  readonly type: string;
  /** Shards that this node has, by how far they are. */
  readonly shards: Readonly<Partial<Record<ShardPhase, number>>>;
  /** In memory. */
  readonly entities: number;
  /** Messages of this node that wait for their shard's owner. */
  readonly waiting: number;
  /** Messages whose handler ended here: with an answer, or with an error. */
  readonly answered: number;
  readonly failed: number;
  /** Messages of this node that were not taken, since too many wait. */
  readonly overflows: number;
  /** Shards that this node handed to others. */
  readonly handedOver: number;
}

export interface ShardingMetrics {
  readonly coordinates: boolean;
  readonly lostTells: number;
  readonly types: readonly TypeMetrics[];
}

export function metricsOf(type: string, region: Region, host: ShardHost): TypeMetrics {
  const shards: Partial<Record<ShardPhase, number>> = {};
  for (const { phase } of host.shards.values()) shards[phase] = (shards[phase] ?? 0) + 1;
  const { active: entities, answered, failures: failed } = host.entities;
  const { waiting, overflows } = region;
  return {
    ...{ type, shards, entities, waiting },
    ...{ answered, failed, overflows, handedOver: host.handedOver },
  };
}
