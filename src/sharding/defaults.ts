// Every limit and time of sharding.

export const SHARDING_DEFAULTS = {
  /** Shards of a type: fixed for its life. */
  shards: 256,
  /** An ask or a tell without a `timeoutMs` is given up after this: longer than a failover. */
  askTimeoutMs: 10_000,
  /**
   * How long a node that fell silent keeps its shards, and a coordinator its office; it stops by
   * itself after 0.6 of it.
   */
  sessionTtlMs: 5_000,
  /** A shard that did not leave its owner within this stays there. */
  handoffTimeoutMs: 10_000,
  /** The pause before a shard whose handoff failed is tried again; it doubles each time. */
  retryHandoffMs: 5_000,
  maxRetryHandoffMs: 300_000,
  /** How often the coordinator looks for a better balance, by figures that follow its moves. */
  rebalanceIntervalMs: 2_000,
  /** The share of the shards that may be on the move at once; one at least. */
  rebalanceShare: 0.1,
  /** A write of the coordinator that failed is tried again after this. */
  retryWriteMs: 200,
  /** Releases and registrations are repeated, buffers flushed, idle entities found this often. */
  tickMs: 250,
  /** A message that could not be sent is tried again after this. */
  resendMs: 100,
  /** Messages of one shard that wait for its owner, at the sender's region. */
  shardBuffer: 4_096,
  /** Messages of all shards of one region that wait. */
  regionBuffer: 65_536,
  /** Messages that wait in one entity's mailbox. */
  mailboxCapacity: 1_024,
  /** Messages that are ahead of their owner's view of the table, for each shard. */
  parkedMessages: 4_096,
  /** A durable entity that was not asked for this long leaves memory. */
  passivateAfterMs: 120_000,
  /** Failures within the window after which an entity is no longer restarted. */
  maxRestarts: 10,
  restartWindowMs: 60_000,
  /** The deadline of calls between nodes about shards, and of the journal. */
  callTimeoutMs: 5_000,
  /** A moving shard travels in parts of about this size. */
  stagePartBytes: 1024 * 1024,
  /** Bytes of moving shards of one type that a node takes before they are granted to it. */
  stagedBytes: 1024 * 1024 * 1024,
} as const;

/** Most shards of a type: their table is one value of the store. */
export const MAX_SHARDS = 16_384;

/** Messages of a node to itself that are handled before the event loop gets a turn. */
export const LOCAL_PER_TURN = 256;

/** Those that wait for one. */
export const LOCAL_WAITING = 65_536;

/** The longest that a message may take: one that never ends could hold a place for ever. 1 day */
export const MAX_TIMEOUT_MS = 24 * 60 * 60 * 1000;

/** Names of types, and ids of entities, in characters. */
export const MAX_TYPE_LENGTH = 64;
export const MAX_ID_LENGTH = 1_024;

/** Compares of one write of the coordinator, out of the 128 of a transaction. */
export const MAX_EVIDENCE = 100;

/** What least-load thinks of: shares of the whole. */
export const LOAD_WEIGHTS = { cpu: 0.4, memory: 0.2, devices: 0.2, inFlight: 0.2 } as const;

export const REBALANCE = {
  /** Counts that differ by less than this, or by less than a tenth of the mean, are even. */
  minDifference: 2,
  minShare: 0.1,
  /** Loads (0 to 1) that differ by less than this are even. */
  loadDifference: 0.15,
  /** By load a shard moves at most once in this time: its new node's figures come first. */
  residenceMs: 60_000,
} as const;

/** Of the interval, between rounds that go by owners and counts only. */
export const EXACT_PAUSE_SHARE = 0.25;

export const JOURNAL_DEFAULTS = {
  /** The largest state of a durable entity. */
  maxStateBytes: 16 * 1024 * 1024,
  /** … where the journal is the store: a value of it. */
  maxStoredStateBytes: 1024 * 1024,
  /** What waits is written in batches of about this size, with one flush each. */
  batchBytes: 16 * 1024 * 1024,
  readBytes: 1024 * 1024,
  /** More outdated bytes than this, and than bytes that count, have the file written anew. */
  compactBytes: 64 * 1024 * 1024,
  /** What came while the file was written anew is added in turns; the last one holds up others. */
  compactTurns: 8,
} as const;

/** The strategy of types that devices serve. */
export const BY_DEVICE = 'by-device';

/** So long after its first node such a type gets its first owners: the other nodes come as well. */
export const GATHER_MS = 500;
