export { SimulatedClock } from './simulated-clock.ts';
export { MemoryNetwork } from '../transport/index.ts';
export type { MemoryNetworkOptions } from '../transport/index.ts';
