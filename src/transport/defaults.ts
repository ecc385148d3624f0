// Limits and times of connections between nodes.

const KIB = 1024;

export const TRANSPORT_DEFAULTS = {
  /** A TCP connect and TLS handshake that takes longer is given up. */
  connectTimeoutMs: 10_000,
  /** TCP keep-alive probes start after this silence. */
  keepAliveMs: 5_000,
  /** Queued bytes get this long to leave on a graceful close. */
  closeTimeoutMs: 5_000,
  /** Streams that a peer may have open towards this node. */
  maxInboundStreams: 512,
} as const;

/** What a connection is for, negotiated in the TLS handshake (ALPN). */
export const PEER_PROTOCOL = 'flotilla/1';
export const JOIN_PROTOCOL = 'flotilla-join/1';

/** Frames of a tick are copied into pages of this size, each written once. */
export const PAGE_BYTES = 64 * KIB;

/**
 * Chunks up to this size go straight into the page when nothing of their stream waits; longer ones
 * wait by reference and are cut into fragments, in turns with the other streams.
 */
export const COPY_LIMIT_BYTES = 16 * KIB;

/** Writes that a pipe has at once: one going, one behind it. Bounds what a small message waits for. */
export const MAX_PENDING_WRITES = 2;

/** First buffer of a stream's queue; the next ones are pages. */
export const FIRST_QUEUE_BYTES = 4 * KIB;

/** Buffer that a dialled socket reads into. */
export const READ_BUFFER_BYTES = 64 * KIB;

/** Longest preamble of a stream, and longest reason of a close, in bytes. */
export const MAX_PREAMBLE_BYTES = 512;

/** The join exchange: its largest message and how long a joiner may take. */
export const JOIN_MESSAGE_BYTES = 64 * KIB;
export const JOIN_TIMEOUT_MS = 10_000;

/** Delay of the simulated network unless told otherwise. */
export const MEMORY_DELAY_MS = 1;
