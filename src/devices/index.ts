export {
  bytesOf,
  bytesPerElement,
  DTYPES,
  hostArrayOf,
  isDType,
  readDeviceBuffer,
} from './buffer.ts';
export { CpuBackend } from './cpu-backend.ts';
export {
  BLOCK_ALIGNMENT_BYTES,
  DEFAULT_INITIAL_BYTES,
  DEVICE_DEFAULTS,
  MAX_DEVICES,
  MAX_MEMORY_BYTES,
  MAX_TEXT_LENGTH,
  SAMPLE_INTERVAL_MS,
  STALE_AFTER_MS,
} from './defaults.ts';
export { Device } from './device.ts';
export { deviceHandlers } from './device-handlers.ts';
export { DEVICE_ERRORS } from './errors.ts';
export { KernelPool } from './kernel-pool.ts';
export { Kernels } from './kernels.ts';
export { LocalDevices } from './local-devices.ts';
export {
  deviceOfShard,
  Placement,
  PLACEMENT_POLICIES,
  servesShards,
  shardWeight,
} from './placement.ts';
export { readDeviceSamples, readDeviceStats, utilizationOf } from './stats.ts';
export { WebGpuBackend } from './webgpu-backend.ts';
export type { BackendKind, DeviceBackend, DeviceContext } from './backend.ts';
export type { DeviceBuffer, DType, HostArrays } from './buffer.ts';
export type { CpuBackendOptions } from './cpu-backend.ts';
export type {
  AllocateMessage,
  CopyInMessage,
  CopyOutMessage,
  ShardContext,
} from './device-handlers.ts';
export type { CommandOptions } from './device-command.ts';
export type { CopyOptions, DeviceCommands } from './device-commands.ts';
export type { DeviceComponents, DeviceOptions } from './device.ts';
export type { KernelPoolOptions } from './kernel-pool.ts';
export type { KernelsOptions, Scratch, SgemmFlags } from './kernels.ts';
export type { Bound, BoundLaunch, KernelArguments, KernelName, Launch } from './launch.ts';
export type {
  LocalDevicesComponents,
  LocalDevicesOptions,
  UnavailableDevice,
} from './local-devices.ts';
export type { PlacementHints, PlacementOptions, PlacementPolicy } from './placement.ts';
export type { DeviceLoad, DeviceSample, DeviceStats } from './stats.ts';
export type { DeviceState } from './supervisor.ts';
export type { WebGpuBackendOptions } from './webgpu-backend.ts';
