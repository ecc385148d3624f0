export { builtInStrategy, leastLoad, leastShards, loadScore, pinned } from './allocation.ts';
export { SHARDING_DEFAULTS } from './defaults.ts';
export { defineEntity, isEntityType } from './define-entity.ts';
export { EntityReference } from './entity-reference.ts';
export { SHARDING_ERRORS } from './errors.ts';
export { FileJournal } from './file-journal.ts';
export { Extractor, shardName } from './extractor.ts';
export { RemoteJournal, serveJournal } from './journal-service.ts';
export { Sharding } from './sharding.ts';
export { StoreJournal } from './store-journal.ts';
export type {
  AllocationChoice,
  AllocationStrategy,
  AllocationView,
  Candidate,
  Move,
} from './allocation.ts';
export type {
  AnyEntityType,
  EntityContext,
  EntityDefinition,
  EntityHandler,
  EntityHandlers,
  EntityOptions,
  EntityType,
  MessageTo,
  ReplyOf,
} from './define-entity.ts';
export type { AskOptions } from './entity-reference.ts';
export type { Envelope } from './extractor.ts';
export type { Journal, ShardKey } from './journal.ts';
export type { ShardingMetrics, TypeMetrics } from './metrics.ts';
export type { ShardInfo } from './shard-listing.ts';
export type { ShardingComponents, ShardingOptions } from './sharding.ts';
