export { PLACEMENT_ERRORS } from './errors.ts';
export { DeviceRegions } from './device-regions.ts';
export { FleetDevices } from './fleet-devices.ts';
export { NodeDevices } from './node-devices.ts';
export type { DeviceEntity, DeviceRegion } from './device-region.ts';
export type { DeviceInfo, DeviceListing, PlaceOptions, RegionOptions } from './fleet-devices.ts';
