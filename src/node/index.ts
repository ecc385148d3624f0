export { defineConfig, layoutOf, parseConfig, parseConfigFile } from './config.ts';
export { NODE_DEFAULTS } from './defaults.ts';
export { NODE_ERRORS } from './errors.ts';
export { Fleet } from './fleet.ts';
export { FlotillaError, hasCode } from '../core/index.ts';
export { defineEntity } from '../sharding/index.ts';
export type { NodeInfo, RouteExplanation } from '../cluster/index.ts';
export type {
  EntityContext,
  EntityDefinition,
  EntityReference,
  EntityType,
  ShardInfo,
} from '../sharding/index.ts';
export type { Table, TableSpec } from '../tables/index.ts';
export type { Graph, TrainEvent, TrainOptionsInput, TrainResult } from '../training/index.ts';
export { decodeGraph, loadGraphFiles, loadWordNet } from '../training/index.ts';
export type {
  DeviceBuffer,
  DeviceCommands,
  DeviceStats,
  DType,
  Launch,
  PlacementHints,
} from '../devices/index.ts';
export type {
  DeviceEntity,
  DeviceInfo,
  DeviceListing,
  DeviceRegion,
  FleetDevices,
  PlaceOptions,
  RegionOptions,
} from '../placement/index.ts';
export type { NodeEnd } from './start-node.ts';
export type { FlotillaConfig, NodeConfig, NodeConfigInput } from './config.ts';
