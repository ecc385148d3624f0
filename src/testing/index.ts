export { SimulatedClock } from './simulated-clock.ts';
export { SimulatedFleet } from './simulated-fleet.ts';
export { MemoryNetwork } from '../transport/index.ts';
export type { SimulatedFleetOptions } from './simulated-fleet.ts';
export type {
  CrashOptions,
  MemoryConditions,
  MemoryCounters,
  MemoryEvent,
  MemoryNetworkComponents,
  MemoryNetworkOptions,
  MemoryStep,
} from '../transport/index.ts';
