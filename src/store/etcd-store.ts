// The store in etcd, which every node reaches by itself. Entries lie under `<prefix>entry/` and the
// counters of epochs under `<prefix>epoch/`; a revision is etcd's own, so it also counts what else
// is written there. Leases are etcd's; when a holder must stop is HeldLease's rule, as everywhere.
import { CompareResult, CompareTarget } from 'etcd3';
import { FlotillaError, hasCode } from '../core/index.ts';
import { MAX_TRANSACTION_BYTES } from './defaults.ts';
import { EtcdClient } from './etcd-client.ts';
import { EtcdWatch } from './etcd-watch.ts';
import { HeldLease, leaseLost } from './held-lease.ts';
import {
  checkKey,
  checkPrefix,
  checkRevision,
  checkTransaction,
  checkTtl,
  endOfPrefix,
  tooLarge,
} from './rules.ts';
import type { Etcd3, IEvent, IKeyValue, IRequestOp } from 'etcd3';
import type { Clock } from '../core/index.ts';
import type { EtcdOptions } from './etcd-client.ts';
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

/** A lease of etcd: a number of 63 bits, as text. */
const LEASE_ID = /^\d{1,19}$/;

export class EtcdStore implements Store {
  readonly #clock: Clock;
  readonly #client: EtcdClient;
  readonly #watches = new Set<Watch>();

  private constructor(clock: Clock, options: EtcdOptions) {
    this.#clock = clock;
    this.#client = new EtcdClient(clock, options);
  }

  /** Resolves when etcd answers. Errors: `store_unavailable`, `invalid_option`. */
  static async open(clock: Clock, options: EtcdOptions): Promise<EtcdStore> {
    const store = new EtcdStore(clock, options);
    try {
      await store.revision();
    } catch (error) {
      await store.close();
      throw error;
    }
    return store;
  }

  async get(key: string): Promise<Entry | undefined> {
    checkKey(key);
    const request = { key: this.#entryKey(key) };
    const { kvs } = await this.#client.repeat(({ kv }, options) => kv.range(request, options));
    return kvs[0] && this.#toEntry(kvs[0]);
  }

  /** Errors: `value_too_large` when the values have more than 8 MiB together. */
  async list(prefix: string): Promise<Entry[]> {
    checkPrefix(prefix);
    const { kvs } = await this.#client.repeat(({ kv }, options) =>
      kv.range(this.#rangeOf(prefix), options),
    );
    const bytes = kvs.reduce((sum, { value }) => sum + value.byteLength, 0);
    if (bytes > MAX_TRANSACTION_BYTES) {
      throw tooLarge(`the list of ${prefix || 'everything'}`, bytes, MAX_TRANSACTION_BYTES);
    }
    return kvs.map((each) => this.#toEntry(each));
  }

  async revision(): Promise<number> {
    const request = { key: this.#key('entry/'), count_only: true };
    const { header } = await this.#client.repeat(({ kv }, options) => kv.range(request, options));
    return Number(header.revision);
  }

  /**
   * As `Store` says. `store_unavailable` with `details.outcome` 'unknown' means that etcd may have
   * written, or may still write: read before trying again.
   */
  async compareAndSwap(
    compares: readonly Compare[],
    writes: readonly Write[],
  ): Promise<SwapResult> {
    checkTransaction(compares, writes);
    const request = {
      compare: compares.map(({ key, revision }) => ({
        key: this.#entryKey(key),
        target: CompareTarget.Mod,
        result: CompareResult.Equal,
        mod_revision: revision,
      })),
      success: writes.map((write) => this.#operationOf(write)),
    };
    // Without an operation etcd would answer from one member's memory, which may lag behind.
    const read = { request_range: { key: this.#key('entry/'), count_only: true } };
    if (writes.length === 0) request.success.push(read);
    const { succeeded, header } = await this.#client.once(({ kv }, options) =>
      kv.txn(request, options),
    );
    return { ok: succeeded, revision: Number(header.revision) };
  }

  async lease(ttlMs: number): Promise<Lease> {
    checkTtl(ttlMs);
    const sentAtMs = this.#clock.now();
    // In whole seconds, and never less than asked: etcd may keep it longer than its holder does.
    const TTL = Math.ceil(ttlMs / 1000);
    const { ID: id } = await this.#client.repeat(({ leaseClient }, options) =>
      leaseClient.leaseGrant({ TTL, ID: 0 }, options),
    );
    const components = {
      clock: this.#clock,
      renew: () => this.#renew(id),
      revoke: () => this.#revoke(id),
    };
    return new HeldLease(components, { id, ttlMs, sentAtMs });
  }

  async watch(
    prefix: string,
    fromRevision: number,
    onEvent: (event: StoreEvent) => void,
  ): Promise<Watch> {
    checkPrefix(prefix);
    checkRevision('fromRevision', fromRevision);
    this.#client.checkOpen();
    const toEvent = (event: IEvent) => this.#toEvent(event);
    const components = { client: this.#client, clock: this.#clock, onEvent, toEvent };
    const range = this.#rangeOf(prefix);
    const watch = await EtcdWatch.open(components, { range, fromRevision });
    this.#watches.add(watch);
    void watch.ended.then(() => this.#watches.delete(watch));
    if (this.#client.closed) watch.close();
    this.#client.checkOpen();
    return watch;
  }

  /** The version of a key that every call puts: it grows with each, whoever leads etcd. */
  async epoch(name: string): Promise<number> {
    checkKey(name);
    const request = { key: this.#key(`epoch/${name}`), value: Buffer.alloc(0), prev_kv: true };
    const { prev_kv } = await this.#client.repeat(({ kv }, options) => kv.put(request, options));
    return Number(prev_kv?.version ?? 0) + 1;
  }

  async close(): Promise<void> {
    for (const watch of this.#watches) watch.close();
    this.#client.close();
  }

  async #renew(id: string): Promise<void> {
    const ttl = await this.#client.repeat((member, options) => renewOnce(member, id, options));
    if (!(Number(ttl) > 0)) throw leaseLost(id);
  }

  async #revoke(id: string): Promise<void> {
    try {
      await this.#client.repeat(({ leaseClient }, options) =>
        leaseClient.leaseRevoke({ ID: id }, options),
      );
    } catch (error) {
      if (!hasCode(error, 'lease_lost')) throw error;
    }
  }

  #key(rest: string): Buffer {
    return Buffer.from(this.#client.prefix + rest);
  }

  #entryKey(key: string): Buffer {
    return this.#key(`entry/${key}`);
  }

  #rangeOf(prefix: string): { key: Buffer; range_end: Buffer } {
    // The prefix of all entries ends with a slash, so something follows it.
    const end = endOfPrefix(`${this.#client.prefix}entry/${prefix}`)!;
    return { key: this.#entryKey(prefix), range_end: Buffer.from(end) };
  }

  #operationOf(write: Write): IRequestOp {
    if ('delete' in write) return { request_delete_range: { key: this.#entryKey(write.delete) } };
    const { put, value, lease } = write;
    if (lease !== undefined && !LEASE_ID.test(lease)) throw leaseLost(lease);
    // A copy: the request is encoded later, and the bytes are the caller's.
    const request = { key: this.#entryKey(put), value: Buffer.from(value) };
    return { request_put: { ...request, ...(lease !== undefined && { lease }) } };
  }

  #ownKey(kv: IKeyValue): string {
    return kv.key.toString().slice(this.#client.prefix.length + 'entry/'.length);
  }

  #toEntry(kv: IKeyValue): Entry {
    const value = new Uint8Array(kv.value);
    return { key: this.#ownKey(kv), value, revision: Number(kv.mod_revision) };
  }

  #toEvent({ type, kv }: IEvent): StoreEvent {
    // The library's types say 'Put', etcd's messages say 'PUT'.
    if (type.toUpperCase() === 'PUT') return { type: 'put', ...this.#toEntry(kv) };
    return { type: 'delete', key: this.#ownKey(kv), revision: Number(kv.mod_revision) };
  }
}

/** One renewal on a stream of its own; what is left of the lease in seconds. */
async function renewOnce(
  { leaseClient }: Etcd3,
  id: string,
  options: { deadline: number },
): Promise<string> {
  const stream = await leaseClient.leaseKeepAlive(options);
  return new Promise((resolve, reject) => {
    stream.on('data', ({ TTL }) => {
      resolve(TTL);
      stream.end();
    });
    stream.on('error', reject);
    stream.on('end', () =>
      reject(new FlotillaError('store_unavailable', 'etcd ended a renewal without an answer')),
    );
    stream.write({ ID: id });
  });
}
