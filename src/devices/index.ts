export { BLOCK_ALIGNMENT_BYTES, DEFAULT_INITIAL_BYTES, MAX_MEMORY_BYTES } from './defaults.ts';
export { DEVICE_ERRORS } from './errors.ts';
export { KernelPool } from './kernel-pool.ts';
export { Kernels } from './kernels.ts';
export type { KernelPoolOptions } from './kernel-pool.ts';
export type { KernelsOptions, Scratch, SgemmFlags } from './kernels.ts';
