// The store of one process in plain maps, for tests of what keeps records and for simulations. It
// passes the common suite; its history is not bounded.
import { FlotillaError, systemClock } from '../../src/core/index.ts';
import { HeldLease, leaseLost } from '../../src/store/held-lease.ts';
import { LeaseTimers } from '../../src/store/lease-timers.ts';
import {
  checkKey,
  checkPrefix,
  checkTransaction,
  checkTtl,
  tooLarge,
} from '../../src/store/rules.ts';
import { Watchers } from '../../src/store/watchers.ts';
import type { Clock } from '../../src/core/index.ts';
import type {
  Compare,
  Entry,
  Lease,
  Store,
  StoreEvent,
  SwapResult,
  Watch,
  Write,
} from '../../src/store/index.ts';

const MAX_LIST_BYTES = 8 * 1024 * 1024;

/** What outlives a closed store: give it to the next one. */
export class MemoryData {
  readonly entries = new Map<string, Entry>();
  readonly epochs = new Map<string, number>();
  readonly history: StoreEvent[] = [];
  readonly keysOfLease = new Map<string, { ttlMs: number; keys: Set<string> }>();
  revision = 0;
  leases = 0;
}

export class MemoryStore implements Store {
  readonly #clock: Clock;
  readonly #data: MemoryData;
  readonly #watchers = new Watchers();
  readonly #timers: LeaseTimers;
  #closed = false;

  constructor(clock: Clock = systemClock, data = new MemoryData()) {
    this.#clock = clock;
    this.#data = data;
    this.#timers = new LeaseTimers(clock, (id) => this.revokeLease(id));
    for (const [id, { ttlMs }] of data.keysOfLease) this.#timers.start(id, ttlMs);
  }

  get entries(): Map<string, Entry> {
    return this.#data.entries;
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#checkOpen();
    checkKey(key);
    return this.#data.entries.get(key);
  }

  async list(prefix: string): Promise<Entry[]> {
    this.#checkOpen();
    checkPrefix(prefix);
    const found = [...this.#data.entries.values()].filter(({ key }) => key.startsWith(prefix));
    const bytes = found.reduce((sum, { value }) => sum + value.byteLength, 0);
    if (bytes > MAX_LIST_BYTES) throw tooLarge('a list', bytes, MAX_LIST_BYTES);
    return found.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  }

  async revision(): Promise<number> {
    this.#checkOpen();
    return this.#data.revision;
  }

  async compareAndSwap(
    compares: readonly Compare[],
    writes: readonly Write[],
  ): Promise<SwapResult> {
    this.#checkOpen();
    checkTransaction(compares, writes);
    const { entries, keysOfLease } = this.#data;
    const holds = compares.every(
      ({ key, revision }) => (entries.get(key)?.revision ?? 0) === revision,
    );
    if (!holds) return { ok: false, revision: this.#data.revision };
    for (const write of writes) {
      const lease = 'put' in write ? write.lease : undefined;
      if (lease !== undefined && !keysOfLease.has(lease)) throw leaseLost(lease);
    }
    return { ok: true, revision: this.#apply(writes) };
  }

  async lease(ttlMs: number): Promise<Lease> {
    const sentAtMs = this.#clock.now();
    const id = this.grantLease(ttlMs);
    const components = {
      clock: this.#clock,
      renew: async () => this.renewLease(id),
      revoke: async () => this.revokeLease(id),
    };
    return new HeldLease(components, { id, ttlMs, sentAtMs });
  }

  grantLease(ttlMs: number): string {
    this.#checkOpen();
    checkTtl(ttlMs);
    const id = `lease-${++this.#data.leases}`;
    this.#data.keysOfLease.set(id, { ttlMs, keys: new Set() });
    this.#timers.start(id, ttlMs);
    return id;
  }

  renewLease(id: string): void {
    this.#checkOpen();
    if (!this.#timers.renew(id)) throw leaseLost(id);
  }

  revokeLease(id: string): void {
    this.#checkOpen();
    const lease = this.#data.keysOfLease.get(id);
    if (lease === undefined) return;
    this.#data.keysOfLease.delete(id);
    this.#timers.end(id);
    this.#apply([...lease.keys].sort().map((key) => ({ delete: key })));
  }

  async watch(
    prefix: string,
    fromRevision: number,
    onEvent: (event: StoreEvent) => void,
  ): Promise<Watch> {
    this.#checkOpen();
    checkPrefix(prefix);
    const events = this.#data.history.filter(({ revision }) => revision >= fromRevision);
    const nextRevision = Math.max(fromRevision, this.#data.revision + 1);
    return this.#watchers.add(prefix, { events, nextRevision }, onEvent);
  }

  async epoch(name: string): Promise<number> {
    this.#checkOpen();
    checkKey(name);
    const epoch = (this.#data.epochs.get(name) ?? 0) + 1;
    this.#data.epochs.set(name, epoch);
    return epoch;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timers.stop();
    this.#watchers.close();
  }

  /** The revision then: who hears of it may write more before this returns. */
  #apply(writes: readonly Write[]): number {
    const { entries, keysOfLease, history } = this.#data;
    const revision = this.#data.revision + 1;
    const events: StoreEvent[] = [];
    for (const write of writes) {
      const key = 'put' in write ? write.put : write.delete;
      if (!('put' in write) && !entries.has(key)) continue;
      for (const { keys } of keysOfLease.values()) keys.delete(key);
      if ('put' in write) {
        const value = new Uint8Array(write.value);
        entries.set(key, { key, value, revision });
        if (write.lease !== undefined) keysOfLease.get(write.lease)!.keys.add(key);
        events.push({ type: 'put', key, value, revision });
      } else {
        entries.delete(key);
        events.push({ type: 'delete', key, revision });
      }
    }
    if (events.length === 0) return this.#data.revision;
    this.#data.revision = revision;
    history.push(...events);
    this.#watchers.emit(events);
    return revision;
  }

  #checkOpen(): void {
    if (this.#closed) throw new FlotillaError('store_unavailable', 'the store is closed');
  }
}
