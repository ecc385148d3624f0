// Limits and times of HTTP connections.

const KIB = 1024;

export const HTTP_SERVER_DEFAULTS = {
  /** Request line and header fields together; a longer head is answered with 431. */
  maxHeadBytes: 16 * KIB,
  /** Header fields of a request; more are answered with 431. */
  maxHeaders: 100,
  /** A head has to be whole this long after its first byte. */
  headTimeoutMs: 10_000,
  /** A connection without a request is closed after this. */
  idleTimeoutMs: 60_000,
  /** A body of which no byte comes, or an answer of which no byte leaves, for so long is cut. */
  bodyTimeoutMs: 30_000,
  /** Connections beyond this number are closed as they come. */
  maxConnections: 10_000,
} as const;

export const HTTP_CLIENT_DEFAULTS = {
  /** Connections without a request that are kept for each origin: those of a rush, too. */
  maxIdlePerOrigin: 1_024,
  /** A TCP connect and TLS handshake that takes longer is given up. */
  connectTimeoutMs: 3_000,
  /** The head of the answer has to be whole this long after the request was handed over. */
  headTimeoutMs: 300_000,
  /** An answer of which no byte comes for so long is given up. */
  bodyTimeoutMs: 120_000,
  /** A connection without a request is closed after this; an origin may ask for less. */
  idleTimeoutMs: 30_000,
  /** Status line and header fields of an answer. */
  maxHeadBytes: 64 * KIB,
  /** Header fields of an answer. */
  maxHeaders: 200,
} as const;

/** Timeouts are kept by one sweep over all connections, never rarer or more often than this. */
export const MAX_SWEEP_INTERVAL_MS = 1_000;
export const MIN_SWEEP_INTERVAL_MS = 10;

/** A timeout is swept for this many times while it runs, so it is late by at most a quarter. */
export const SWEEPS_PER_TIMEOUT = 4;

/** Digits of a chunk size: 4 GiB less one byte. */
export const MAX_CHUNK_SIZE_DIGITS = 8;

/** Bytes of all chunk extensions of one body. */
export const MAX_CHUNK_EXTENSION_BYTES = 4 * KIB;

/** Bytes of the trailer section of one body. */
export const MAX_TRAILER_BYTES = 8 * KIB;

/** Digits of a content length: what a number holds exactly. */
export const MAX_LENGTH_DIGITS = 15;

/** Pipelined bytes that are read while an answer is under way; reading stops above it. */
export const MAX_PIPELINED_BYTES = 64 * KIB;

/** A body that nobody wanted is read to its end when no more than this is missing. */
export const MAX_DISCARDED_BYTES = 64 * KIB;

/** Pieces of a gathered body below this are joined as they come. */
export const SHORT_PIECE_BYTES = 4 * KIB;

/** They are joined in slabs that grow with the body up to this size. */
export const BODY_SLAB_BYTES = 64 * KIB;

/** How long a connection is still read after its last answer, so that the answer is not lost. */
export const LINGER_MS = 1_000;

/** Unsent bytes above which a writer is asked to wait. */
export const HIGH_WATER_BYTES = 64 * KIB;

/** Parts of a write up to this size are joined by copying; longer ones go by reference. */
export const COPY_LIMIT_BYTES = 16 * KIB;

/** Joined writes are laid out in slabs of this size. */
export const SLAB_BYTES = 256 * KIB;

/**
 * Connections that may wait to be accepted, as far as the system allows. One is accepted a turn:
 * in a rush a short queue overflows, and who is dropped there tries again a second later.
 */
export const LISTEN_BACKLOG = 4_096;

/** Informational answers (1xx) before the final one. */
export const MAX_INFORMATIONAL = 8;

/** A connection that its origin closes after N seconds is used until this long before. */
export const KEEP_ALIVE_MARGIN_MS = 1_000;

/** First buffer of a head that comes in pieces; it doubles up to the limit. */
export const FIRST_HEAD_BYTES = 1 * KIB;

/** The buffer into which all connections of a client read. */
export const READ_BYTES = 64 * KIB;
