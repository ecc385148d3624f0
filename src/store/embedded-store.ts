// The store on one node's disk, in SQLite. An operation runs without pause from its checks to the
// handing out of its events, which is what makes transactions atomic and watches gapless.
import { FlotillaError, invalidOption } from '../core/index.ts';
import { StoreDatabase } from './database.ts';
import { HISTORY_BYTES, HISTORY_REVISIONS, MAX_TRANSACTION_BYTES } from './defaults.ts';
import { HeldLease, leaseLost } from './held-lease.ts';
import { History } from './history.ts';
import { LeaseTimers } from './lease-timers.ts';
import { checkKey, checkPrefix, checkRevision, checkTransaction, checkTtl } from './rules.ts';
import { endOfPrefix, tooLarge } from './rules.ts';
import { Watchers } from './watchers.ts';
import type { Clock } from '../core/index.ts';
import type { EntryRow } from './database.ts';
import type { PageLimits } from './history.ts';
import type {
  Compare,
  Entry,
  Lease,
  Store,
  StoreEvent,
  SwapResult,
  Watch,
  Write,
} from './store.ts';
import type { Past } from './watchers.ts';

export interface EmbeddedStoreOptions {
  readonly clock: Clock;
  /** Revisions that a watch can look back. More take disk. @default 10 000 */
  readonly historyRevisions?: number;
  /** Bytes of keys and values that a watch can look back. @default 64 MiB */
  readonly historyBytes?: number;
}

const EMPTY = new Uint8Array(0);
const NO_LIMITS: PageLimits = { events: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };

/**
 * One file, one process. Writes are synced to disk before they are acknowledged, which blocks the
 * event loop for about the time of one `fsync`.
 */
export class EmbeddedStore implements Store {
  readonly clock: Clock;
  readonly #database: StoreDatabase;
  readonly #history: History;
  readonly #watchers = new Watchers();
  readonly #timers: LeaseTimers;
  #closed = false;

  private constructor(file: string, options: EmbeddedStoreOptions) {
    const revisions = options.historyRevisions ?? HISTORY_REVISIONS;
    const bytes = options.historyBytes ?? HISTORY_BYTES;
    for (const [option, value] of Object.entries({
      historyRevisions: revisions,
      historyBytes: bytes,
    })) {
      if (!Number.isSafeInteger(value) || value < 1) {
        throw invalidOption(option, 'a whole number from 1', value);
      }
    }
    this.clock = options.clock;
    this.#database = new StoreDatabase(file);
    this.#history = new History(this.#database, { revisions, bytes });
    this.#timers = new LeaseTimers(options.clock, (id, ttlMs) => this.#expire(id, ttlMs));
    // How long the process was away is unknown: every lease gets its whole TTL again.
    for (const { id, ttlMs } of this.#database.all<{ id: string; ttlMs: number }>('leases')) {
      this.#timers.start(id, ttlMs);
    }
  }

  /**
   * Opens or creates the store in `file`, whose folder exists. Errors: `store_unavailable` (in use,
   * not writable), `store_corrupt`.
   */
  static async open(file: string, options: EmbeddedStoreOptions): Promise<EmbeddedStore> {
    return new EmbeddedStore(file, options);
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#checkOpen();
    checkKey(key);
    const row = this.#database.get<EntryRow>('getEntry', key);
    return row === undefined ? undefined : toEntry(row);
  }

  /** Errors: `value_too_large` when the values have more than 8 MiB together. */
  async list(prefix: string): Promise<Entry[]> {
    this.#checkOpen();
    checkPrefix(prefix);
    const end = endOfPrefix(prefix);
    const rows =
      end === undefined
        ? this.#database.all<EntryRow>('listAll', prefix)
        : this.#database.all<EntryRow>('listUntil', prefix, end);
    const bytes = rows.reduce((sum, row) => sum + (row.value?.byteLength ?? 0), 0);
    if (bytes > MAX_TRANSACTION_BYTES) {
      throw tooLarge(`the list of ${prefix || 'everything'}`, bytes, MAX_TRANSACTION_BYTES);
    }
    return rows.map(toEntry);
  }

  async revision(): Promise<number> {
    this.#checkOpen();
    return this.#history.revision;
  }

  async compareAndSwap(
    compares: readonly Compare[],
    writes: readonly Write[],
  ): Promise<SwapResult> {
    this.#checkOpen();
    checkTransaction(compares, writes);
    const holds = compares.every(({ key, revision }) => this.#revisionOf(key) === revision);
    if (!holds) return { ok: false, revision: this.#history.revision };
    for (const write of writes) {
      const lease = 'put' in write ? write.lease : undefined;
      if (lease !== undefined && !this.#timers.has(lease)) throw leaseLost(lease);
    }
    return { ok: true, revision: this.#commit(() => this.#apply(writes)) };
  }

  async lease(ttlMs: number): Promise<Lease> {
    const sentAtMs = this.clock.now();
    const id = this.grantLease(ttlMs);
    const components = {
      clock: this.clock,
      renew: async () => this.renewLease(id),
      revoke: async () => this.revokeLease(id),
    };
    return new HeldLease(components, { id, ttlMs, sentAtMs });
  }

  /** The store's end of `lease`: for callers that hold it somewhere else. */
  grantLease(ttlMs: number): string {
    this.#checkOpen();
    checkTtl(ttlMs);
    const id = this.#database.transaction(() => {
      const { value } = this.#database.get<{ value: number }>('nextEpoch', 'store:lease')!;
      const name = `lease-${value}`;
      this.#database.run('addLease', name, ttlMs);
      return name;
    });
    this.#timers.start(id, ttlMs);
    return id;
  }

  /** Errors: `lease_lost`. */
  renewLease(id: string): void {
    this.#checkOpen();
    if (!this.#timers.renew(id)) throw leaseLost(id);
  }

  revokeLease(id: string): void {
    this.#checkOpen();
    if (!this.#timers.has(id)) return;
    this.#endLease(id);
    this.#timers.end(id);
  }

  async watch(
    prefix: string,
    fromRevision: number,
    onEvent: (event: StoreEvent) => void,
  ): Promise<Watch> {
    return this.#watchers.add(prefix, this.changes(prefix, fromRevision), onEvent);
  }

  /**
   * The changes under `prefix` from `fromRevision` on, cut after a whole revision once a limit is
   * reached; `nextRevision` is where to go on. Errors: `revision_compacted`.
   */
  changes(prefix: string, fromRevision: number, limits = NO_LIMITS): Past {
    this.#checkOpen();
    checkPrefix(prefix);
    checkRevision('fromRevision', fromRevision);
    return this.#history.read(prefix, fromRevision, limits);
  }

  async epoch(name: string): Promise<number> {
    this.#checkOpen();
    checkKey(name);
    // The prefix keeps names from outside apart from the store's own counters.
    return this.#database.get<{ value: number }>('nextEpoch', `epoch:${name}`)!.value;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#timers.stop();
    this.#watchers.close();
    this.#database.close();
  }

  #revisionOf(key: string): number {
    return this.#database.get<{ revision: number }>('revisionOf', key)?.revision ?? 0;
  }

  /** The events of `writes` at the next revision; deleting what is absent is none. */
  #apply(writes: readonly Write[]): StoreEvent[] {
    const revision = this.#history.revision + 1;
    const events: StoreEvent[] = [];
    for (const write of writes) {
      if ('put' in write) {
        const key = write.put;
        const value = new Uint8Array(write.value);
        const stored = value.byteLength === 0 ? null : value;
        this.#database.run('putEntry', key, stored, revision, write.lease ?? null);
        events.push({ type: 'put', key, value, revision });
      } else if (this.#revisionOf(write.delete) !== 0) {
        this.#database.run('deleteEntry', write.delete);
        events.push({ type: 'delete', key: write.delete, revision });
      }
    }
    return events;
  }

  /**
   * Runs `work` in a transaction, records its events, and hands them out once they are on disk. The
   * revision then: whoever hears of it may have written more before this returns.
   */
  #commit(work: () => StoreEvent[]): number {
    let events: StoreEvent[] = [];
    try {
      this.#database.transaction(() => {
        events = work();
        this.#history.append(events);
      });
    } catch (error) {
      this.#history.reload();
      throw error;
    }
    const { revision } = this.#history;
    this.#watchers.emit(events);
    return revision;
  }

  #endLease(id: string): void {
    this.#commit(() => {
      const keys = this.#database.all<{ key: string }>('keysOfLease', id);
      this.#database.run('dropLease', id);
      return this.#apply(keys.map(({ key }) => ({ delete: key })));
    });
  }

  #expire(id: string, ttlMs: number): void {
    try {
      this.#endLease(id);
    } catch {
      // The disk refused: the keys are still there, so the lease is, and its end is tried again.
      this.#timers.start(id, ttlMs);
    }
  }

  #checkOpen(): void {
    if (!this.#closed) return;
    throw new FlotillaError('store_unavailable', 'the store is closed');
  }
}

function toEntry(row: EntryRow): Entry {
  return { key: row.key, value: row.value ?? EMPTY, revision: row.revision };
}
