export { TABLE_DEFAULTS, TABLE_LIMITS, TABLE_TUNING } from './defaults.ts';
export { TABLE_ERRORS } from './errors.ts';
export { movementPlan, placeShards } from './placement.ts';
export { MovementPlan, ShardAssignment } from './shard-assignment.ts';
export { ShardManager } from './shard-manager.ts';
export { TableService } from './table-service.ts';
export type { PlacementRequest, ShardMovement } from './placement.ts';
export type { Metric } from './scan.ts';
export type { Movement, MovementCount } from './shard-assignment.ts';
export type { ShardingStrategy } from './shard-manager.ts';
export type { Optimiser, RowInit, TableSpec } from './spec.ts';
export type { TableInfo, TableServiceComponents, TableServiceOptions } from './table-service.ts';
export type {
  CallLimits,
  PushOptions,
  RankRequest,
  Ranks,
  RowHandle,
  RowHandles,
  Table,
} from './table.ts';
export type { RankedRow } from './top-rows.ts';
