// One holder for a key, on any store. The key lies under the holder's lease and the revision at
// which it was put is the term's epoch: the store orders terms, and only ever upwards. That nobody
// acts on an old term is EpochFence's business where effects land; this file makes it rare.
import { z } from 'zod';
import { FlotillaError, hasCode, invalidOption, silentLogger, sleep } from '../core/index.ts';
import {
  CAMPAIGN_RETRY_SHARE,
  LEASE_LOST_SHARE,
  LOOK_SHARE,
  PAUSE_SPREAD,
  RENEW_SHARE,
  TERM_TTL_MS,
} from './defaults.ts';
import { checkKey, checkTtl } from './rules.ts';
import { within } from './within.ts';
import type { Clock, Logger, Prng } from '../core/index.ts';
import type { Entry, Lease, Store, Watch } from './store.ts';

export interface ElectionComponents {
  readonly store: Store;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log?: Logger;
}

export interface ElectionOptions {
  /** What is held. All candidates name the same key, and nobody else writes it. */
  readonly key: string;
  /** Who this candidate is, for `leader()`; two candidates may bear one name. */
  readonly name: string;
  /**
   * How long a holder that fell silent keeps others out. Shorter replaces it sooner and is lost
   * sooner by a slow one: it fences itself after 0.6 of it without a renewal. @default 5 s
   */
  readonly ttlMs?: number;
}

/** A time in which this node is the holder. */
export interface Term {
  /** Larger than that of every earlier term of the key, whoever held it. */
  readonly epoch: number;
}

export interface Leader extends Term {
  readonly name: string;
}

interface Held {
  readonly lease: Lease;
  readonly term: Term;
}

const RECORD = z.object({ name: z.string(), lease: z.string() });

/** A candidate for `key`, from `start` to `stop`. */
export class Election {
  readonly #components: Required<ElectionComponents>;
  readonly #key: string;
  readonly #name: string;
  readonly #ttlMs: number;
  readonly #listeners = new Set<(term: Term | undefined) => void>();
  #held: Held | undefined;
  #stopping: AbortController | undefined;
  #campaign: Promise<void> = Promise.resolve();

  constructor(components: ElectionComponents, options: ElectionOptions) {
    const { key, name, ttlMs = TERM_TTL_MS } = options;
    checkKey(key);
    checkTtl(ttlMs);
    if (name === '') throw invalidOption('name', 'at least one character long', name);
    this.#components = { log: silentLogger, ...components };
    this.#key = key;
    this.#name = name;
    this.#ttlMs = ttlMs;
  }

  /** Campaigns until `stop`, and again after each term that was lost. Idempotent. */
  start(): void {
    if (this.#stopping !== undefined) return;
    const stopping = new AbortController();
    this.#stopping = stopping;
    // After a campaign that is still ending: one candidate, one campaign.
    this.#campaign = this.#campaign.then(() => this.#run(stopping.signal));
  }

  /** Gives up the term and the key; waits for the store's answer no longer than a term lasts. */
  async stop(): Promise<void> {
    this.#stopping?.abort();
    this.#stopping = undefined;
    const held = this.#held;
    this.#lose('stopped');
    if (held !== undefined) await this.#release(held.lease);
    await this.#campaign;
  }

  /**
   * The term, if this node holds it at this moment by its own monotonic clock: until 0.6 × TTL
   * after the last good renewal was sent. Ask right before each effect, and after every wait.
   */
  term(): Term | undefined {
    const held = this.#held;
    if (held === undefined) return undefined;
    return this.#components.clock.now() < held.lease.lostAt() ? held.term : undefined;
  }

  /**
   * Tells each term and, with undefined, its end; after a stall later than `term()` does. Returns
   * what ends the telling.
   */
  onChange(listener: (term: Term | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Who holds the key according to the store. Errors: `store_unavailable`. */
  async leader(): Promise<Leader | undefined> {
    const entry = await this.#components.store.get(this.#key);
    if (entry === undefined) return undefined;
    return { name: readRecord(entry)?.name ?? '', epoch: entry.revision };
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const found = await this.#claim(signal);
        if (signal.aborted) return;
        if (found === undefined) await this.#pause(CAMPAIGN_RETRY_SHARE, signal);
        else if ('lease' in found) await this.#hold(found, signal);
        else await this.#untilVacant(found.revision, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#components.log.debug({ err: error, key: this.#key }, 'a campaign failed');
        await this.#pause(CAMPAIGN_RETRY_SHARE, signal);
      }
    }
  }

  /** The term that was won, or whose entry is in the way, or neither: another was quicker. */
  async #claim(signal: AbortSignal): Promise<Held | Entry | undefined> {
    const { store } = this.#components;
    const standing = await this.#ask(store.get(this.#key));
    if (standing !== undefined || signal.aborted) return standing;
    const lease = await this.#ask(store.lease(this.#ttlMs));
    let won: Held | undefined;
    try {
      won = signal.aborted ? undefined : await this.#put(lease);
    } finally {
      if (won === undefined || signal.aborted) await this.#release(lease);
    }
    return won;
  }

  async #put(lease: Lease): Promise<Held | undefined> {
    const { store } = this.#components;
    const key = this.#key;
    const value = Buffer.from(JSON.stringify({ name: this.#name, lease: lease.id }));
    try {
      const claim = store.compareAndSwap(
        [{ key, revision: 0 }],
        [{ put: key, value, lease: lease.id }],
      );
      const { ok, revision } = await this.#ask(claim);
      return ok ? { lease, term: { epoch: revision } } : undefined;
    } catch (error) {
      if (!hasCode(error, 'store_unavailable')) throw error;
    }
    // It may have happened. The record has the lease's id, which no other claim ever has.
    const entry = await this.#ask(store.get(key));
    if (entry === undefined || readRecord(entry)?.lease !== lease.id) return undefined;
    return { lease, term: { epoch: entry.revision } };
  }

  /** Renews until the term is lost or given up. */
  async #hold(held: Held, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#components;
    const { lease, term } = held;
    if (clock.now() >= lease.lostAt()) return;
    this.#held = held;
    log.info({ key: this.#key, epoch: term.epoch }, 'elected');
    this.#tell(term);
    const everyMs = RENEW_SHARE * this.#ttlMs;
    while (this.#held === held && !signal.aborted) {
      const leftMs = lease.lostAt() - clock.now();
      if (leftMs <= 0) {
        this.#lose('not renewed in time');
        // The store may think otherwise; the sooner it learns, the sooner there is a holder.
        void this.#release(lease);
        return;
      }
      await sleep(clock, Math.min(everyMs, leftMs), signal);
      // Not awaited: one answer that hangs must not cost the tries that are left.
      if (this.#held === held) void this.#renew(held);
    }
  }

  async #renew(held: Held): Promise<void> {
    try {
      await held.lease.keepAlive();
      // The lease may live on without its key, when somebody deleted or replaced it.
      const entry = await this.#components.store.get(this.#key);
      if (entry?.revision === held.term.epoch) return;
    } catch (error) {
      if (!hasCode(error, 'lease_lost')) return;
    }
    if (this.#held !== held) return;
    this.#lose('taken away');
    void this.#release(held.lease);
  }

  /** Until the entry of `revision` is gone, or it is time to look anyway. */
  async #untilVacant(revision: number, signal: AbortSignal): Promise<void> {
    const waiting = new AbortController();
    const key = this.#key;
    const watching = this.#components.store.watch(key, revision + 1, (event) => {
      if (event.key === key && event.type === 'delete') waiting.abort();
    });
    // Whatever becomes of the watch, it only ever shortens the wait: its failure is taken here and
    // now, since nobody else waits for it before the pause is over.
    watching.catch(() => {});
    const close = (watch: Watch) => watch.close();
    try {
      await this.#pause(LOOK_SHARE, AbortSignal.any([signal, waiting.signal]));
    } finally {
      watching.then(close, () => {});
    }
  }

  /** Bounds a wait by the longest time that a claim could be worth something. */
  #ask<T>(answer: Promise<T>): Promise<T> {
    return within(this.#components.clock, LEASE_LOST_SHARE * this.#ttlMs, answer);
  }

  /** Tells the store; when it cannot be told, the lease ends by itself. */
  async #release(lease: Lease): Promise<void> {
    await this.#ask(lease.revoke()).catch(() => {});
  }

  async #pause(share: number, signal: AbortSignal): Promise<void> {
    const { clock, prng } = this.#components;
    const spread = PAUSE_SPREAD + (1 - PAUSE_SPREAD) * prng.next();
    await sleep(clock, share * spread * this.#ttlMs, signal).catch(() => {});
  }

  #lose(reason: string): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    const { log } = this.#components;
    log.info({ key: this.#key, epoch: held.term.epoch, reason }, 'term ended');
    this.#tell(undefined);
  }

  #tell(term: Term | undefined): void {
    for (const listener of this.#listeners) {
      try {
        listener(term);
      } catch (error) {
        const cause = new FlotillaError('internal', 'an election listener threw', { cause: error });
        this.#components.log.error({ err: cause }, 'an election listener threw');
      }
    }
  }
}

function readRecord(entry: Entry): z.output<typeof RECORD> | undefined {
  try {
    return RECORD.parse(JSON.parse(Buffer.from(entry.value).toString()));
  } catch {
    return undefined;
  }
}
