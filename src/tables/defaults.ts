// Limits and defaults of tables. A `TableSpec` may override the first group; the rest are bounds
// that keep one message, one slice of work and one file within reason.

/** What `create` assumes where a spec says nothing. */
export const TABLE_DEFAULTS = {
  /** Slices of a table, fixed for its life. More balance better and cost a little memory. */
  shards: 256,
  optimiser: 'adagrad',
  /** Standard deviation of a new row's elements. Row-wise Adagrad wants about 0.1. */
  initDeviation: 1e-3,
  initSeed: 1,
} as const;

export const TABLE_LIMITS = {
  /** Floats a row may have. */
  maxDim: 16_384,
  maxShards: 65_536,
  maxNameCharacters: 128,
  /** Characters of a row's id: all names of one request fit one message head. */
  maxIdCharacters: 1_024,
  /** Results that one `nearest` may ask for. */
  maxNearest: 4_096,
  /** Ids that an error lists. */
  maxIdsInError: 10,
} as const;

export const TABLE_TUNING = {
  /**
   * Rows that a shard's memory grows by. Rows never move, so this is the unit of allocation: larger
   * wastes memory in small shards, smaller makes more pieces to visit.
   */
  chunkRows: 64,
  /** Rows that a scan scores at once, and the floats that they may have together. */
  scanRows: 512,
  scanFloats: 128 * 1024,
  /** Queries of one scan request; bounds the scratch memory at the owner. */
  scanQueries: 256,
  /** How long a scan may keep the event loop before it lets others run. */
  sliceMs: 3,
  /** Ids in one insert, resolve or names request: at 200 floats a new row costs about 6 µs. */
  idsPerRequest: 2_048,
  /** Characters of ids in one request, so that long ids make smaller ones. */
  idCharactersPerRequest: 512 * 1024,
  /** Row bytes of one pull or push request. */
  rowBytesPerRequest: 4 * 1024 * 1024,
  /** Adagrad divides by √state + epsilon. */
  epsilon: 1e-10,
  /** How long an owner may take over one request. */
  requestTimeoutMs: 30_000,
  /** How long an owner may take to write or load its shards. */
  checkpointTimeoutMs: 120_000,
} as const;
