// The store seen from another node: every call goes to the founder. The rules are checked here too,
// so that a bad key fails before it travels; decisions are made there.
import { FlotillaError, hasCode, messageOf, systemClock } from '../core/index.ts';
import { CALL_TIMEOUT_MS } from './defaults.ts';
import { STORE_ERRORS } from './errors.ts';
import { HeldLease } from './held-lease.ts';
import {
  LEASE_ID,
  NUMBER,
  packTransaction,
  PROCEDURES,
  read,
  readEntries,
  readPage,
  SWAPPED,
} from './messages.ts';
import { RemoteWatch } from './remote-watch.ts';
import { checkKey, checkPrefix, checkRevision, checkTransaction, checkTtl } from './rules.ts';
import type { Clock } from '../core/index.ts';
import type { CallOptions, Payload, RpcHost } from '../peer/index.ts';
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

export interface RemoteStoreOptions {
  /** Counts leases and pauses. @default the system's clock */
  readonly clock?: Clock;
  /** The deadline of a call. Lower notices a dead founder sooner. @default 10 s */
  readonly callTimeoutMs?: number;
}

/** Codes that say the same on both sides of the connection. */
const OWN_CODES = [...Object.keys(STORE_ERRORS), 'invalid_option'];

/** Failures that come before the founder has seen the request. */
const NOT_SENT = ['peer_unreachable', 'unknown_procedure', 'lane_full', 'identity_refused'];

/** Calls the store that `serveStore` offers on the node `founder`. */
export class RemoteStore implements Store {
  readonly #host: RpcHost;
  readonly #founder: string;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #closed = new AbortController();
  readonly #watches = new Set<Watch>();

  constructor(host: RpcHost, founder: string, options: RemoteStoreOptions = {}) {
    this.#host = host;
    this.#founder = founder;
    this.#clock = options.clock ?? systemClock;
    this.#timeoutMs = options.callTimeoutMs ?? CALL_TIMEOUT_MS;
  }

  async get(key: string): Promise<Entry | undefined> {
    checkKey(key);
    return readEntries(await this.#call(PROCEDURES.get, { body: { key } }))[0];
  }

  async list(prefix: string): Promise<Entry[]> {
    checkPrefix(prefix);
    return readEntries(await this.#call(PROCEDURES.list, { body: { prefix } }));
  }

  async revision(): Promise<number> {
    return read(NUMBER, await this.#call(PROCEDURES.revision, { body: {} })).value;
  }

  /**
   * As `Store` says. `store_unavailable` with `details.outcome` 'unknown' means that the founder
   * may have written before the connection was lost: read before trying again.
   */
  async compareAndSwap(
    compares: readonly Compare[],
    writes: readonly Write[],
  ): Promise<SwapResult> {
    checkTransaction(compares, writes);
    const request = packTransaction(compares, writes);
    return read(SWAPPED, await this.#call(PROCEDURES.compareAndSwap, request));
  }

  async lease(ttlMs: number): Promise<Lease> {
    checkTtl(ttlMs);
    const sentAtMs = this.#clock.now();
    const { id } = read(LEASE_ID, await this.#call(PROCEDURES.lease, { body: { ttlMs } }));
    const send = async (procedure: string) => {
      await this.#call(procedure, { body: { id } });
    };
    const components = {
      clock: this.#clock,
      renew: () => send(PROCEDURES.keepAlive),
      revoke: () => send(PROCEDURES.revoke),
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
    const poll = async (from: number, waitMs: number, signal: AbortSignal) => {
      const body = { prefix, fromRevision: from, waitMs };
      const timeoutMs = this.#timeoutMs + waitMs;
      return readPage(await this.#call(PROCEDURES.watch, { body }, { timeoutMs, signal }));
    };
    const first = await poll(fromRevision, 0, this.#closed.signal);
    this.#checkOpen();
    const watch = new RemoteWatch({ clock: this.#clock, poll, onEvent }, first);
    this.#watches.add(watch);
    void watch.ended.then(() => this.#watches.delete(watch));
    return watch;
  }

  async epoch(name: string): Promise<number> {
    checkKey(name);
    return read(NUMBER, await this.#call(PROCEDURES.epoch, { body: { name } })).value;
  }

  async close(): Promise<void> {
    this.#closed.abort();
    for (const watch of this.#watches) watch.close();
  }

  async #call(procedure: string, request: Payload, options: CallOptions = {}): Promise<Payload> {
    this.#checkOpen();
    const { timeoutMs = this.#timeoutMs, signal = this.#closed.signal } = options;
    try {
      return await this.#host.call(this.#founder, procedure, request, { timeoutMs, signal });
    } catch (error) {
      throw hasCode(error, ...OWN_CODES) ? error : this.#unavailable(error);
    }
  }

  #checkOpen(): void {
    if (!this.#closed.signal.aborted) return;
    throw new FlotillaError('store_unavailable', 'the store is closed');
  }

  #unavailable(cause: unknown): FlotillaError {
    const founder = this.#founder;
    const outcome = hasCode(cause, ...NOT_SENT) ? 'not_done' : 'unknown';
    return new FlotillaError(
      'store_unavailable',
      `the store on ${founder} cannot be reached: ${messageOf(cause)}`,
      { details: { founder, outcome }, cause },
    );
  }
}
