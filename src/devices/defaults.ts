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

/** Calls that may wait for a `KernelPool`; one more is refused with `queue_full`. */
export const MAX_POOL_PENDING = 1024;

/** What buffers of a CPU device may take when nothing else is said. */
export const DEFAULT_CPU_MEMORY_BYTES = 2 ** 30;

/** Address space set aside for the scratch of each thread of a CPU device. */
export const SCRATCH_ALLOWANCE_BYTES = 4 * 2 ** 20;

/** Up to this many floats a kernel runs on the caller's thread: waking another takes longer. */
export const INLINE_FLOATS = 16_384;

/** Multiplications of a product that take about as long as visiting a float. */
export const PRODUCTS_PER_FLOAT = 16;

/** Neighbouring threads start this many floats apart at least: one cache line. */
export const LINE_FLOATS = BLOCK_ALIGNMENT_BYTES / 4;

/** A copy between host and CPU device lets the event loop run after this many bytes. */
export const COPY_SLICE_BYTES = 4 * 2 ** 20;

/** Limits and timings of a device. */
export const DEVICE_DEFAULTS = {
  /** Of the first context. */
  generation: 1,
  /** Commands that may wait, also while the context is rebuilt; one more is refused. */
  queueLimit: 1024,
  /** Host data that waiting commands may hold; more is refused, so that a pause costs no memory. */
  queueBytes: 256 * 2 ** 20,
  /** How long a command may take in all when its caller does not say. */
  commandTimeoutMs: 30_000,
  /** A command that computes for longer is taken for a hang: the context is rebuilt. */
  hangAfterMs: 120_000,
  /** How long opening a context may take: drivers compile shaders then. */
  openTimeoutMs: 30_000,
  /** Pause before a faulted context is opened again; doubled after each failure. */
  rebuildDelayMs: 100,
  /** What the pause grows to. */
  maxRebuildDelayMs: 5_000,
  /** Failures in a row, without one command done between them, after which a device is dead. */
  rebuildAttempts: 8,
} as const;

/** How often the statistics of devices are taken. */
export const SAMPLE_INTERVAL_MS = 250;

/** Age from which statistics say nothing: their device is not eligible. */
export const STALE_AFTER_MS = 1_000;

/** Devices that an error names one by one. */
export const MAX_NAMED_DEVICES = 16;

/** Characters of an address, a description or a capability in a record. */
export const MAX_TEXT_LENGTH = 253;
/** Capabilities of one device. */
export const MAX_CAPABILITIES = 32;
/** Devices of one node's record. */
export const MAX_DEVICES = 64;

/** What buffers of a GPU may take when nothing else is said. */
export const DEFAULT_GPU_MEMORY_BYTES = 2 ** 30;

/** Calls that may be under way at a GPU, so that it does not wait for the host between two. */
export const GPU_STREAMS = 8;

/** A GPU thread that has not ended by then is ended. */
export const GPU_CLOSE_TIMEOUT_MS = 5_000;
