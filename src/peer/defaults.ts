// Limits and times of the messages between nodes.
import { TRANSPORT_DEFAULTS } from '../transport/index.ts';
import { WIRE_DEFAULTS } from '../wire/index.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

export const PEER_DEFAULTS = {
  /** A call without a `timeoutMs` of its own is given up after this. */
  callTimeoutMs: 30_000,
  /** Largest message sent or accepted, head and bytes together; the lower of two peers' counts. */
  maxMessageBytes: WIRE_DEFAULTS.maxMessageBytes,
  /** Memory that unfinished messages of one peer may hold. */
  maxPartialBytes: WIRE_DEFAULTS.maxPartialBytes,
  /** Calls towards one peer that wait for their answer. */
  maxPendingCalls: 65_536,
  /** Handlers of one peer's calls that run at once; more calls are answered with `lane_full`. */
  maxInboundCalls: 65_536,
  /** Bytes of their requests: above it, no further call of the peer begins before one ends. */
  maxInboundBytes: 256 * MIB,
  /** Bytes of a lane that wait for the connection; a lane over it takes no further message. */
  maxQueuedBytes: 256 * MIB,
  /** Messages of a control kind, or of a channel, that wait. */
  laneCapacity: 256,
  /** Bytes of a control kind that wait. */
  maxControlBytes: 1 * MIB,
  /** Bytes of relayed messages that wait for one connection. */
  maxRelayBytes: 64 * MIB,
  /** Links that a relayed message may take on its way; a node on the way may allow fewer. */
  relayHops: 8,
  /** Hello and Welcome have to arrive within this. */
  handshakeTimeoutMs: 10_000,
  /** On `stop`, what was queued gets this long to leave. */
  closeTimeoutMs: 5_000,
  /** Pause after a failed dial, doubled with each further one up to the longest, times 0.5 to 1. */
  redialMs: 50,
  maxRedialMs: 1_000,
} as const;

/** Least limit on messages that a node may name: an error without details always fits. */
export const MIN_MESSAGE_BYTES = 512;

/** Protocol versions that this node speaks. */
export const PROTOCOL_VERSIONS = { min: 1, max: 1 } as const;

/** Credit that a channel begins with: messages and bytes that its sender may have outstanding. */
export const CHANNEL_CREDIT = { messages: 256, bytes: 64 * MIB } as const;

/** A receiver grants credit again when it has taken this share of the first credit. */
export const CREDIT_SHARE = 1 / 4;

/** Streams of one channel and direction at once: two while a removed channel is made anew. */
export const MAX_CHANNEL_STREAMS = 2;

/** Senders, and receivers, that may wait on one channel; one more is told `lane_full`. */
export const MAX_CHANNEL_WAITERS = 1024;

/** Streams of a connection that channels leave to the other lanes, so that control never waits. */
const RESERVED_STREAMS = 96;

/** Channels that may send on one connection; one more is told `lane_full`. */
export const MAX_SENDING_CHANNELS = TRANSPORT_DEFAULTS.maxInboundStreams - RESERVED_STREAMS;

/** What a peer may send on channels that this end has not asked for yet; more is refused. */
export const UNCLAIMED_LIMITS = { channels: 4096, bytes: 256 * MIB } as const;

/** Removed channels that a peer remembers, so that what arrives late does not bring them back. */
export const MAX_REMOVED_CHANNELS = 4096;

/** Answers with more bytes than this take a stream of their own, so that small ones pass them. */
export const BULK_ANSWER_BYTES = 64 * KIB;

/** Procedures that one connection can name, and the longest name in UTF-8 bytes. */
export const MAX_PROCEDURES = 4096;
export const MAX_NAME_BYTES = 255;

/** Most links that `relayHops` may allow. */
export const MAX_RELAY_HOPS = 255;

/** Ranks of a topology. */
export const MAX_TOPOLOGY_SIZE = 65_536;

/** Control kinds that one connection can use. */
export const MAX_CONTROL_KINDS = 64;

/** Longest error message that crosses a connection, in characters. */
export const MAX_ERROR_MESSAGE_LENGTH = 4096;

/** Entries of an error's details that cross a connection. */
export const MAX_ERROR_DETAILS = 32;
