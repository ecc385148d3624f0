// A watch over the network: asks for page after page, and goes on from its revision when the
// founder was away. How a page travels belongs to remote-store.ts.
import { FlotillaError, hasCode, messageOf, sleep } from '../core/index.ts';
import { RETRY_FIRST_MS, RETRY_LAST_MS, WATCH_WAIT_MS } from './defaults.ts';
import type { Clock } from '../core/index.ts';
import type { StoreEvent, Watch } from './store.ts';
import type { Past } from './watchers.ts';

export interface RemoteWatchComponents {
  readonly clock: Clock;
  /** The changes from a revision on, waiting up to `waitMs` for the first. */
  readonly poll: (fromRevision: number, waitMs: number, signal: AbortSignal) => Promise<Past>;
  readonly onEvent: (event: StoreEvent) => void;
}

export class RemoteWatch implements Watch {
  readonly ended: Promise<FlotillaError | undefined>;
  readonly #components: RemoteWatchComponents;
  readonly #stop = new AbortController();
  readonly #end: (error: FlotillaError | undefined) => void;

  /** Hands out `first` before it returns, then follows. */
  constructor(components: RemoteWatchComponents, first: Past) {
    const { promise, resolve } = Promise.withResolvers<FlotillaError | undefined>();
    this.ended = promise;
    this.#end = resolve;
    this.#components = components;
    void this.#follow(first);
  }

  close(): void {
    this.#end(undefined);
    this.#stop.abort();
  }

  async #follow(first: Past): Promise<void> {
    try {
      let page = first;
      for (;;) {
        for (const event of page.events) {
          if (this.#stop.signal.aborted) return;
          this.#components.onEvent(event);
        }
        page = await this.#next(page.nextRevision);
      }
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      const known = error instanceof FlotillaError ? error : undefined;
      this.#end(
        known ??
          new FlotillaError('internal', `a watch failed: ${messageOf(error)}`, { cause: error }),
      );
      this.#stop.abort();
    }
  }

  async #next(fromRevision: number): Promise<Past> {
    const { clock, poll } = this.#components;
    const { signal } = this.#stop;
    for (let pauseMs = RETRY_FIRST_MS; ; pauseMs = Math.min(2 * pauseMs, RETRY_LAST_MS)) {
      signal.throwIfAborted();
      try {
        return await poll(fromRevision, WATCH_WAIT_MS, signal);
      } catch (error) {
        if (!hasCode(error, 'store_unavailable')) throw error;
      }
      await sleep(clock, pauseMs, signal);
    }
  }
}
