// Keeps somebody informed of all that lies under a prefix: lists it, watches it from there on, and
// lists it again when the watch broke. What is made of it is the listener's.
import { sleep } from '../core/index.ts';
import type { Clock } from '../core/index.ts';
import type { Entry, Store, StoreEvent, Watch } from './store.ts';

export interface FollowerListener {
  /**
   * All that there is, read at `revision` or later: what is not in it is gone. Changes that it has
   * in it already are heard again. What throws is tried again like a store that is away.
   */
  listed(entries: readonly Entry[], revision: number): void;
  /** One change. What throws ends the watch. */
  heard(event: StoreEvent): void;
  /** The store is away; `again` when it was before, too. It goes on by itself. */
  failed(error: unknown, again: boolean): void;
}

export interface PrefixFollowerComponents {
  readonly store: Pick<Store, 'list' | 'revision' | 'watch'>;
  readonly clock: Clock;
  readonly listener: FollowerListener;
}

export interface PrefixFollowerOptions {
  readonly prefix: string;
  /** The pause after a failure. */
  readonly retryMs: number;
  /** It doubles with each failure in a row, up to this. @default retryMs */
  readonly maxRetryMs?: number;
}

export class PrefixFollower {
  readonly #components: PrefixFollowerComponents;
  readonly #options: PrefixFollowerOptions;
  readonly #stopping = new AbortController();
  #watch: Watch | undefined;
  #failures = 0;

  constructor(components: PrefixFollowerComponents, options: PrefixFollowerOptions) {
    this.#components = components;
    this.#options = options;
  }

  /** Follows until `stop`. Once. */
  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopping.abort();
    this.#watch?.close();
  }

  async #run(): Promise<void> {
    const { clock, listener } = this.#components;
    const { retryMs, maxRetryMs = retryMs } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const error = await this.#follow();
        if (error !== undefined) throw error;
      } catch (error) {
        if (!signal.aborted) listener.failed(error, this.#failures > 0);
      }
      const pauseMs = Math.min(maxRetryMs, retryMs * 2 ** Math.min(this.#failures, MAX_DOUBLINGS));
      this.#failures++;
      await sleep(clock, pauseMs, signal).catch(() => {});
    }
  }

  /** Until the watch ends; the error that broke it. */
  async #follow(): Promise<unknown> {
    const { store, listener } = this.#components;
    const { prefix } = this.#options;
    const { signal } = this.#stopping;
    const revision = await store.revision();
    const entries = await store.list(prefix);
    if (signal.aborted) return undefined;
    listener.listed(entries, revision);
    const watch = await store.watch(prefix, revision + 1, (event) => listener.heard(event));
    this.#watch = watch;
    this.#failures = 0;
    if (signal.aborted) watch.close();
    return watch.ended;
  }
}

const MAX_DOUBLINGS = 30;
