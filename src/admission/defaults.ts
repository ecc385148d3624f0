// Every literal and limit of admission. Times are milliseconds unless the name says otherwise.

export const QUEUE_DEFAULTS = {
  /** Requests that run at once. */
  maxRunning: 1_024,
  /** Requests that wait. */
  maxWaiting: 1_024,
  /** A request waits no longer, whatever its own deadline says. */
  maxWaitMs: 30_000,
  /** By how much a step of priority puts a request before others that came earlier. */
  headStartMs: 2_000,
  /**
   * Tokens that a round gives each client. Smaller is fairer between two moments; a round costs the
   * same.
   */
  quantumTokens: 512,
  /** No request is taken to cost more. */
  maxTokens: 1_000_000_000,
} as const;

export const PRIORITY = {
  /** Priorities 0 to 9; higher goes first. */
  levels: 10,
  default: 5,
} as const;

export const RETRY_AFTER = {
  /** Bounds of what a refused client is told to wait, seconds. */
  minS: 1,
  maxS: 60,
  /** Share of the newest sample in the pace at which requests end. */
  paceAlpha: 0.1,
} as const;

export const RATE_DEFAULTS = {
  /** Clients that are remembered; the least recently seen is forgotten first. */
  maxClients: 65_536,
  /** What rounding may take from a bucket between two looks. */
  slack: 1e-6,
} as const;

export const KEY_LIMITS = {
  /** The first characters of every key, so that one that leaks is recognised as ours. */
  prefix: 'flk_',
  /** Random bytes of a key. */
  secretBytes: 32,
  /** Random bytes of what names a key; it is no secret. */
  idBytes: 6,
  /** Keys of a fleet, revoked ones included: a list of them fits into one answer of the store. */
  maxKeys: 2_000,
  /** One record. */
  maxRecordBytes: 4_096,
  nameCharacters: 64,
  modelCharacters: 256,
  /** The highest limit that a key may have. */
  maxLimit: 1_000_000_000,
} as const;
