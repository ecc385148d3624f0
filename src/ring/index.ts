export { HashRing } from './hash-ring.ts';
export { loadCap } from './load-cap.ts';
export type { RingOptions } from './hash-ring.ts';
