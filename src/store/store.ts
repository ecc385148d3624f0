// The store's interface: where decisions about ownership are kept. Every implementation passes the
// suite in test/store/conformance.ts; what the keys mean belongs to the folders that use them.
import type { FlotillaError } from '../core/index.ts';

/** A value and the revision at which it was last put. Revisions start at 1 and only grow. */
export interface Entry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
}

/** Holds while `key` was last put at `revision`; revision 0 means that it is absent. */
export interface Compare {
  readonly key: string;
  readonly revision: number;
}

/** A put without `lease` takes the key out of the lease that it was in. */
export type Write =
  | { readonly put: string; readonly value: Uint8Array; readonly lease?: string }
  | { readonly delete: string };

/** `revision`: the new one, or the current one when nothing was written. */
export interface SwapResult {
  readonly ok: boolean;
  readonly revision: number;
}

/** One change. A transaction's changes share a revision. `value` is shared: do not modify it. */
export interface StoreEvent {
  readonly type: 'put' | 'delete';
  readonly key: string;
  /** Only with a put. */
  readonly value?: Uint8Array;
  readonly revision: number;
}

export interface Watch {
  /**
   * Settles when no more events come: with undefined after `close`, with the error that broke the
   * watch otherwise (`revision_compacted`: events were missed, list again). It never rejects.
   */
  readonly ended: Promise<FlotillaError | undefined>;
  close(): void;
}

/**
 * Keeps the keys that were put under it. Without `keepAlive` for `ttlMs` the store deletes them.
 * The holder must stop earlier: at `lostAt()`. A lease that is lost stays lost.
 */
export interface Lease {
  readonly id: string;
  readonly ttlMs: number;
  /** Renews. Errors: `lease_lost`, `store_unavailable` (the lease may still be alive). */
  keepAlive(): Promise<void>;
  /** Ends the lease and deletes its keys. Idempotent. */
  revoke(): Promise<void>;
  /** When the holder must take it for lost, on `now`: last good renewal's sending + 0.6 × TTL. */
  lostAt(): number;
}

/**
 * Keys are text of 1 to 512 UTF-8 bytes without control characters, ordered by their bytes. All
 * methods reject with `store_unavailable` when the store cannot be reached or is closed.
 */
export interface Store {
  get(key: string): Promise<Entry | undefined>;
  /** The entries whose key starts with `prefix`, in the order of keys; all for the empty prefix. */
  list(prefix: string): Promise<Entry[]>;
  /** The current revision: `watch(prefix, await revision() + 1)` sees everything from here on. */
  revision(): Promise<number>;
  /**
   * When all compares hold, all writes happen at one new revision; otherwise none does. A key is
   * written at most once. Errors: `lease_lost` for a put under a lease that is gone,
   * `value_too_large`, `key_invalid`.
   */
  compareAndSwap(compares: readonly Compare[], writes: readonly Write[]): Promise<SwapResult>;
  /** A new lease of `ttlMs` (100 ms to 1 h). */
  lease(ttlMs: number): Promise<Lease>;
  /**
   * Calls `onEvent` for every change under `prefix` at `fromRevision` or later, past ones included,
   * in order and none missed. Errors: `revision_compacted`.
   */
  watch(prefix: string, fromRevision: number, onEvent: (event: StoreEvent) => void): Promise<Watch>;
  /** A number larger than any that was given for `name` before. The first is 1. */
  epoch(name: string): Promise<number>;
  /** Ends watches; leases end by their TTL. Idempotent. */
  close(): Promise<void>;
}

/** The part of a store that keeps records: enough for who neither leases nor watches. */
export type RecordStore = Pick<Store, 'get' | 'list' | 'compareAndSwap' | 'epoch'>;
