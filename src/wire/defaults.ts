// Every limit of the byte formats. What a peer claims is compared with these before memory is
// taken.

const KIB = 1024;
const MIB = 1024 * KIB;

export const WIRE_DEFAULTS = {
  /** Largest message, head and bytes together, that is sent or accepted. */
  maxMessageBytes: 256 * MIB,
  /** Largest head of a framed message: its fixed fields and its MessagePack body. */
  maxHeadBytes: 16 * MIB,
  /** Memory that unfinished messages of one peer may hold together. */
  maxPartialBytes: 512 * MIB,
} as const;

/** Largest payload of one multiplexer frame; larger writes are cut into fragments of this size. */
export const MAX_FRAGMENT_BYTES = 64 * KIB;

/** Largest payload of a frame with flags: a preamble, a credit, a reason. */
export const MAX_SIGNAL_BYTES = 1 * KIB;

/** Least memory taken for a message that is not whole yet. */
export const FIRST_PARTIAL_BYTES = 64 * KIB;

/** Memory for an unfinished message is at most this many times what has arrived of it. */
export const PARTIAL_GROWTH = 16;

/** Bytes of a message up to this size share memory of Node's pool; larger ones get their own. */
export const POOLED_BYTES = 4 * KIB;

/** Deepest nesting of a body. */
export const MAX_BODY_DEPTH = 32;

/** Size classes of the buffer pool. */
export const POOL_CLASSES_BYTES: readonly number[] = [64 * KIB, 8 * MIB, 64 * MIB, 256 * MIB];

/** Memory of idle buffers that the pool keeps per size class. */
export const POOL_IDLE_BYTES = 4 * MIB;

/** A buffer more than this many times its class is dropped rather than kept. */
export const POOL_OVERSIZE_FACTOR = 4;

/** Received messages from this size on lie in memory that can be given back for later ones. */
export const RECYCLED_MIN_BYTES = 16 * KIB;

/** Memory that was given back and waits for a message, in the whole process. */
export const IDLE_MEMORY_BYTES = 64 * MIB;
