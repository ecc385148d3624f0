// Defaults of a whole node.

export const NODE_DEFAULTS = {
  /** Only this machine can connect, until the operator names another address. */
  host: '127.0.0.1',
  peerPort: 7400,
  httpPort: 8080,
  /** How long a joining node waits for its certificate. */
  joinTimeoutMs: 10_000,
  /** Shared memory that the kernels may grow to, bytes. */
  kernelMemoryBytes: 2 ** 32,
} as const;
