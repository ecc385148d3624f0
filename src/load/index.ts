export { OverloadFilter } from './balancer.ts';
export { BALANCER_NAMES, createBalancer, weightedPick } from './balancers.ts';
export { LOAD_DEFAULTS, MAX_BATCH } from './defaults.ts';
export { LOAD_ERRORS, loadInvalid } from './errors.ts';
export { alphaOfHalfLife, Ewma, smooth } from './ewma.ts';
export { LoadStore } from './load-store.ts';
export { readNodeLoad, usageOf } from './node-load.ts';
export { engineScrape } from './probe/engine-scrape.ts';
export { EngineGauges, parseExposition } from './probe/engine-gauges.ts';
export { nvidiaGpus } from './probe/gpus.ts';
export { MachineProbe } from './probe/machine-probe.ts';
export { StaticProbe } from './probe/probe.ts';
export { RoutingView } from './routing-view.ts';
export {
  compositeSelector,
  cpuSelector,
  createSelector,
  gpuMemorySelector,
  heapSelector,
  inFlightSelector,
  kvCacheSelector,
  memorySelector,
  mixSelector,
  queueSelector,
  SELECTOR_NAMES,
} from './selectors.ts';
export type { Balancer, Candidates } from './balancer.ts';
export type { BalancerComponents, BalancerName } from './balancers.ts';
export type { HalfLives } from './ewma.ts';
export type { KnownLoad, LoadStoreOptions, PublishOutcome } from './load-store.ts';
export type { EngineLoad, GpuLoad, NodeLoad } from './node-load.ts';
export type { MachineProbeComponents, MachineProbeOptions } from './probe/machine-probe.ts';
export type { Measurement, Probe } from './probe/probe.ts';
export type { Dispatch, RoutingViewOptions, Settlement } from './routing-view.ts';
export type { Selector, SelectorName } from './selectors.ts';
