// Defaults of a whole node.

export const NODE_DEFAULTS = {
  /** Only this machine can connect, until the operator names another address. */
  host: '127.0.0.1',
  peerPort: 7400,
  httpPort: 8080,
  /** How long a joining node waits for its certificate. */
  joinTimeoutMs: 10_000,
  /** Digits of the CA's fingerprint in the prefix of a fleet's keys in etcd. */
  etcdPrefixDigits: 16,
  /** How long another node may take to drain or to begin to leave. */
  memberTimeoutMs: 10_000,
  /** How long a leaving node's entities may take to move to others. */
  drainTimeoutMs: 30_000,
  /** Addresses of members that are kept for the next start. */
  knownMembers: 16,
  /** They are written this long after a change, so that many changes are written once. */
  knownMembersMs: 1_000,
  /** Shared memory that the kernels may grow to, bytes. */
  kernelMemoryBytes: 2 ** 32,
  /** Most threads of one CPU device. */
  maxDeviceThreads: 256,
} as const;

/** Renewal of certificates. */
export const RENEWAL_DEFAULTS = {
  /** The share of its validity after which a certificate is renewed; the rest is for trying. */
  renewAt: 2 / 3,
  /** How much earlier at most, as a share of that. */
  spread: 0.1,
  retryMs: 5_000,
  maxRetryMs: 600_000,
  /** The wall clock is looked at this often, since it may jump. */
  maxWaitMs: 3_600_000,
  callTimeoutMs: 10_000,
} as const;

/** Spreading the word of revoked keys. */
export const REVOCATION_DEFAULTS = {
  /** How often the holder of the CA looks for keys that the command line revoked. */
  pollMs: 1_000,
  callTimeoutMs: 10_000,
  /** How long a connection of a revoked key may take to hear why it ends. */
  closeTimeoutMs: 1_000,
} as const;

/** API keys of the fleet. */
export const API_KEY_DEFAULTS = {
  /** Of their records in the store. */
  prefix: 'api-keys/',
  /** After a store that could not be read; it doubles with each failure. */
  retryMs: 100,
  /** So late at most it is noticed that the store is back. */
  maxRetryMs: 800,
  /** Others may write the same record in between. */
  revokeTries: 8,
} as const;
