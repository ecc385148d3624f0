// Every literal and limit of the store.

/** The longest key, in UTF-8 bytes. */
export const MAX_KEY_BYTES = 512;

/** The largest value. The store keeps decisions, not data. 1 MiB */
export const MAX_VALUE_BYTES = 1024 * 1024;

/** The most compares and the most writes of one transaction: as etcd has it (`--max-txn-ops`). */
export const MAX_TRANSACTION_PARTS = 128;

/** The most value bytes of one transaction, and of one answer to `list`. 8 MiB */
export const MAX_TRANSACTION_BYTES = 8 * 1024 * 1024;

/** Revisions that a watch can look back. @default 10 000 */
export const HISTORY_REVISIONS = 10_000;

/** Bytes of values and keys that the history may hold. @default 64 MiB */
export const HISTORY_BYTES = 64 * 1024 * 1024;

/** The history is cut back once it is longer than its limit by this share, to cut seldom. */
export const HISTORY_SLACK = 0.1;

/** The shortest lease: below it, one stall of the event loop would end it. */
export const MIN_LEASE_TTL_MS = 100;

/** The longest lease. 1 hour */
export const MAX_LEASE_TTL_MS = 60 * 60 * 1000;

/** A holder gives its lease up for lost after this share of the TTL (DESIGN.md, Store). */
export const LEASE_LOST_SHARE = 0.6;

/**
 * A lease timer later than this was held up by a stall of the process: every lease gets the lost
 * time back, and this much more, in which renewals that wait in sockets are read.
 */
export const STALL_MS = 50;

/** Events in one answer to a watching node, unless a single revision has more. */
export const WATCH_PAGE_EVENTS = 256;

/** Value bytes in one answer to a watching node, unless a single revision has more. 1 MiB */
export const WATCH_PAGE_BYTES = 1024 * 1024;

/** How long the founder holds a watching call that has nothing to tell. */
export const WATCH_WAIT_MS = 20_000;

/** The longest wait that a caller may ask for. */
export const MAX_WATCH_WAIT_MS = 60_000;

/** The deadline of a call to the founder, waiting time excluded. */
export const CALL_TIMEOUT_MS = 10_000;

/** First pause of a watch whose founder cannot be reached; it doubles with each failure. */
export const RETRY_FIRST_MS = 50;

/** The longest pause between two attempts. */
export const RETRY_LAST_MS = 2000;

/** The TTL of an elected term. @default 5 s */
export const TERM_TTL_MS = 5_000;

/** A holder renews each time this share of the TTL has passed: three tries before the fence. */
export const RENEW_SHARE = 0.18;

/** A candidate looks again after this share of the TTL at most, though no watch woke it. */
export const LOOK_SHARE = 1;

/** A candidate whose campaign failed tries again after this share of the TTL at most. */
export const CAMPAIGN_RETRY_SHARE = 0.25;

/** Pauses are drawn between this share of themselves and the whole, so that candidates spread. */
export const PAUSE_SPREAD = 0.5;

/** The deadline of a call to etcd, with all its attempts. @default 5 s */
export const ETCD_CALL_TIMEOUT_MS = 5_000;

/** The largest answer that is taken from etcd: a full list and its keys. 32 MiB */
export const ETCD_MAX_ANSWER_BYTES = 32 * 1024 * 1024;

/** How grpc connects: pings as often as etcd allows by default, pauses that suit a restart. */
export const ETCD_CHANNEL = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.max_receive_message_length': ETCD_MAX_ANSWER_BYTES,
} as const;
