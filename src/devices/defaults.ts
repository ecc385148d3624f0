// Sizes and limits of the devices folder.

/** WebAssembly memory comes in pages of this size. */
export const PAGE_BYTES = 65536;

/**
 * Alignment of every block: one cache line, so that threads that own neighbours do not share one.
 */
export const BLOCK_ALIGNMENT_BYTES = 64;

/** The first block starts here: below it are the constants of the kernels and the null pointer. */
export const FIRST_BLOCK_BYTES = PAGE_BYTES;

/** Memory that a `Kernels` starts with. It grows on demand. */
export const DEFAULT_INITIAL_BYTES = 16 * 2 ** 20;

/**
 * What 32-bit pointers reach. Address space only: pages cost memory when they are first written.
 */
export const MAX_MEMORY_BYTES = 2 ** 32;

/** The memory grows by at least this fraction of its size, so that growing stays rare. */
export const GROWTH_FRACTION = 0.25;

/** Threads of a `KernelPool` when none are asked for. */
export const DEFAULT_POOL_THREADS = 2;

/** Products that may wait for a `KernelPool`; one more is refused with `queue_full`. */
export const MAX_POOL_PENDING = 1024;
