// The store at its end: entries, leases that its own clock counts down, history, watchers. One
// operation is one event, so it is atomic. How requests get here, or do not, is store-client.ts.
import { FlotillaError } from '../../src/core/index.ts';
import type { Compare, Entry, StoreEvent, SwapResult, Write } from '../../src/store/index.ts';
import type { Scheduled, World } from './world.ts';

interface Row extends Entry {
  readonly lease: string | undefined;
}

interface LeaseRow {
  readonly ttlMs: number;
  expiry: Scheduled;
}

/** Revisions that a watch can look back. */
const HISTORY_REVISIONS = 64;

export interface StoreServerOptions {
  /** The store's milliseconds for each true one: a lease ends when its clock says so. */
  readonly rate: number;
  /** The probability that a lease ends after a tenth to a whole of its time: a lie. */
  earlyExpiry: number;
}

export class StoreServer {
  readonly #world: World;
  readonly #options: StoreServerOptions;
  readonly #prng;
  readonly #rows = new Map<string, Row>();
  readonly #leases = new Map<string, LeaseRow>();
  readonly #history: StoreEvent[] = [];
  readonly #watchers = new Set<(event: StoreEvent) => void>();
  readonly #epochs = new Map<string, number>();
  #compacted = 0;
  #grants = 0;
  revision = 0;
  /** Requests that came while it hangs. */
  #hung: { readonly waiting: (() => void)[] } | undefined;

  constructor(world: World, options: StoreServerOptions) {
    this.#world = world;
    this.#options = options;
    this.#prng = world.prng(3);
  }

  /** Runs a request now, or when the store answers again. */
  arrive(request: () => void): void {
    if (this.#hung === undefined) request();
    else this.#hung.waiting.push(request);
  }

  /** Answers nobody for `durationMs`; with `stopsLeases` the leases get that time back. */
  hang(durationMs: number, stopsLeases: boolean): void {
    if (this.#hung !== undefined) return;
    const hung = { waiting: [] as (() => void)[] };
    this.#hung = hung;
    if (stopsLeases) {
      for (const [id, lease] of this.#leases) {
        lease.expiry.live = false;
        lease.expiry = this.#expireAt(id, lease.expiry.at - this.#world.now + durationMs);
      }
    }
    this.#world.at(durationMs, undefined, () => {
      this.#hung = undefined;
      for (const request of hung.waiting) request();
    });
  }

  entry(key: string): Entry | undefined {
    const row = this.#rows.get(key);
    return row && { key, value: row.value, revision: row.revision };
  }

  list(prefix: string): Entry[] {
    const rows = [...this.#rows.values()].filter(({ key }) => key.startsWith(prefix));
    return rows.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  swap(compares: readonly Compare[], writes: readonly Write[]): SwapResult {
    const holds = compares.every(
      ({ key, revision }) => (this.#rows.get(key)?.revision ?? 0) === revision,
    );
    if (!holds) return { ok: false, revision: this.revision };
    for (const write of writes) {
      const lease = 'put' in write ? write.lease : undefined;
      if (lease !== undefined && !this.#leases.has(lease)) throw lost(lease);
    }
    this.#write(writes);
    return { ok: true, revision: this.revision };
  }

  grant(ttlMs: number): string {
    const id = `lease-${++this.#grants}`;
    this.#leases.set(id, { ttlMs, expiry: this.#expireAt(id, this.#lastsMs(ttlMs)) });
    return id;
  }

  renew(id: string): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) throw lost(id);
    lease.expiry.live = false;
    lease.expiry = this.#expireAt(id, this.#lastsMs(lease.ttlMs));
  }

  revoke(id: string): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.expiry.live = false;
    this.#end(id);
  }

  epoch(name: string): number {
    const next = (this.#epochs.get(name) ?? 0) + 1;
    this.#epochs.set(name, next);
    return next;
  }

  /** Tells `watcher` what happened from `fromRevision` on, then what happens. */
  watch(fromRevision: number, watcher: (event: StoreEvent) => void): () => void {
    if (fromRevision <= this.#compacted) {
      throw new FlotillaError('revision_compacted', `${fromRevision} is no more`);
    }
    for (const event of this.#history) if (event.revision >= fromRevision) watcher(event);
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  #lastsMs(ttlMs: number): number {
    const { rate, earlyExpiry } = this.#options;
    const lies = earlyExpiry > 0 && this.#prng.next() < earlyExpiry;
    return (ttlMs / rate) * (lies ? 0.1 + 0.9 * this.#prng.next() : 1);
  }

  #expireAt(id: string, delayMs: number): Scheduled {
    return this.#world.at(delayMs, undefined, () => {
      this.#world.trace.add(this.#world.now, 'store', 'expired', id);
      this.#end(id);
    });
  }

  #end(id: string): void {
    this.#leases.delete(id);
    const keys = [...this.#rows.values()].filter(({ lease }) => lease === id);
    if (keys.length > 0) this.#write(keys.map(({ key }) => ({ delete: key })));
  }

  #write(writes: readonly Write[]): void {
    const revision = ++this.revision;
    for (const write of writes) {
      if ('put' in write) {
        const { put: key, value, lease } = write;
        this.#rows.set(key, { key, value, revision, lease });
        this.#emit({ type: 'put', key, value, revision });
      } else if (this.#rows.delete(write.delete)) {
        this.#emit({ type: 'delete', key: write.delete, revision });
      }
    }
  }

  #emit(event: StoreEvent): void {
    this.#history.push(event);
    while (this.#history[0]!.revision <= this.revision - HISTORY_REVISIONS) {
      this.#compacted = this.#history.shift()!.revision;
    }
    for (const watcher of this.#watchers) watcher(event);
  }
}

function lost(id: string): FlotillaError {
  return new FlotillaError('lease_lost', `the lease ${id} is lost`, { details: { lease: id } });
}
