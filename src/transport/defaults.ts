// Limits and times of connections between nodes.

const KIB = 1024;

export const TRANSPORT_DEFAULTS = {
  /** A TCP connect and TLS handshake that takes longer is given up. */
  connectTimeoutMs: 10_000,
  /** TCP keep-alive probes start after this silence. */
  keepAliveMs: 5_000,
  /** Queued bytes get this long to leave on a graceful close. */
  closeTimeoutMs: 5_000,
  /** Streams that a peer may have open towards this node: 512 for channels, 96 for other lanes. */
  maxInboundStreams: 608,
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

/** Writes a pipe has at once: one going, one behind. Bounds what a small message waits for. */
export const MAX_PENDING_WRITES = 2;

/**
 * Frames with flags (openings, ends, credits, refusals) that may wait for an end that reads
 * nothing. They wait for nobody's credit, so a link with more of them ends.
 */
export const MAX_WAITING_SIGNAL_BYTES = 4 * KIB * KIB;

/** First buffer of a stream's queue; the next ones are pages. */
export const FIRST_QUEUE_BYTES = 4 * KIB;

/** Buffer that a dialled socket reads into. */
export const READ_BUFFER_BYTES = 64 * KIB;

/** Longest preamble of a stream, and longest reason of a close, in bytes. */
export const MAX_PREAMBLE_BYTES = 512;

/** The join exchange: its largest message and how long a joiner may take. */
export const JOIN_MESSAGE_BYTES = 64 * KIB;
export const JOIN_TIMEOUT_MS = 10_000;

/** The simulated network unless told otherwise. */
export const MEMORY_DEFAULTS = {
  delayMs: 1,
  jitterMs: 0,
  loss: 0,
  duplication: 0,
  reordering: 0,
  /** How late a reordered packet may be. */
  reorderMs: 10,
  cut: false,
  independentStreams: false,
  /** A packet that nothing acknowledged is sent again after this, then after twice as long, … */
  retransmitMs: 200,
  maxRetransmitMs: 2_000,
  /** A link whose packet was not acknowledged for this long is broken. */
  linkTimeoutMs: 15_000,
} as const;

/** Bytes that a simulated link takes without an acknowledgement, as a socket's buffer does. */
export const MEMORY_SEND_BUFFER_BYTES = 1024 * KIB;

/** The first port that the simulated network gives out. */
export const MEMORY_FIRST_PORT = 7400;

/** The version of the QUIC binding that this code was written against. */
export const QUIC_BINDING_VERSION = '2.1.1';

export const QUIC_DEFAULTS = {
  /** Silence after which a connection counts as broken. */
  maxIdleTimeoutMs: 10_000,
  /** A connection that is silent this long sends a packet of its own. */
  keepAliveIntervalMs: 3_000,
  /**
   * Bytes of one stream on their way. Below the window of a connection's sender (10 MB in quinn),
   * so that one large stream never takes all of it.
   */
  maxStreamBytes: 4 * KIB * KIB,
  /** Bytes of all streams of a connection on their way. */
  maxConnectionBytes: 32 * KIB * KIB,
  /** Kernel buffers of the UDP socket, as far as the system allows. */
  socketBufferBytes: 4 * KIB * KIB,
} as const;

/** Bytes of one read from a QUIC stream: 4 KiB cost five sixths of the rate, more gains none. */
export const QUIC_READ_BYTES = 64 * KIB;

/** Bytes of one write to a QUIC stream: what a reset waits for. */
export const QUIC_WRITE_BYTES = 256 * KIB;

/** Bytes of a QUIC stream that may wait before its writer is told so. */
export const QUIC_QUEUE_BYTES = PAGE_BYTES;

/** QUIC handshakes that a listener serves side by side: one that stalls holds no other up. */
export const QUIC_ACCEPTS = 64;

/** Largest record of a QUIC connection's first stream. */
export const QUIC_RECORD_BYTES = 64 * KIB;

/** Ports that are tried when the system is to choose one that is free for UDP and for TCP. */
export const QUIC_PORT_TRIES = 16;

/** Streams beyond those of lanes: the first one, and room to notice one too many. */
export const QUIC_SPARE_STREAMS = 8;

/** What a bulk socket is for, negotiated in the TLS handshake (ALPN). */
export const BULK_PROTOCOL = 'flotilla-bulk/1';

/** A stream whose write is longer than this moves to the bulk socket for good. */
export const BULK_MIN_BYTES = 64 * KIB;

/**
 * Largest frame on a bulk socket: what streams there take turns with. A little over a power of two,
 * so that a message of one, with its prefix, takes no frame more.
 */
export const BULK_FRAGMENT_BYTES = 516 * KIB;

/** Longest write to a bulk socket: what is encrypted at once should stay in a core's cache. */
export const BULK_WRITE_BYTES = BULK_FRAGMENT_BYTES / 2;

/** A fragment's header and the short chunks behind it are copied into one write of so much. */
export const BULK_GATHER_BYTES = 16 * KIB;

/** Buffer that a bulk socket reads into: Node decrypts one TLS record at a time. */
export const BULK_READ_BYTES = 16 * KIB;

/** Bytes of a bulk socket that are read before messages and timers have their turn. */
export const BULK_TURN_BYTES = 128 * KIB;

/** Random bytes that tie a bulk socket to its link. */
export const BULK_TOKEN_BYTES = 16;

/** How long the other socket of a link outlives one that went without a word. */
export const BULK_GRACE_MS = 500;
