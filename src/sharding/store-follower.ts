// Keeps a view in step with the store: lists, watches, and lists again when the watch broke.
import { sleep } from '../core/index.ts';
import { SHARDING_DEFAULTS } from './defaults.ts';
import { PREFIX } from './ownership-view.ts';
import type { Clock, Logger } from '../core/index.ts';
import type { Store, StoreEvent, Watch } from '../store/index.ts';
import type { OwnershipView } from './ownership-view.ts';

export interface StoreFollowerComponents {
  readonly store: Pick<Store, 'list' | 'revision' | 'watch'>;
  readonly view: OwnershipView;
  readonly clock: Clock;
  readonly log: Logger;
  /** The view has changed. */
  readonly onChange: () => void;
}

export class StoreFollower {
  readonly #components: StoreFollowerComponents;
  readonly #stop = new AbortController();
  #watch: Watch | undefined;

  constructor(components: StoreFollowerComponents) {
    this.#components = components;
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stop.abort();
    this.#watch?.close();
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#components;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#follow();
      } catch (error) {
        log.debug({ err: error }, 'shards are not followed');
      }
      await sleep(clock, SHARDING_DEFAULTS.retryWriteMs, signal).catch(() => {});
    }
  }

  /** Until the watch ends. */
  async #follow(): Promise<void> {
    const { store, view, onChange } = this.#components;
    // The listing may be newer than this revision; changes that it holds already do nothing.
    const revision = await store.revision();
    const entries = await store.list(PREFIX);
    if (this.#stop.signal.aborted) return;
    this.#guarded(() => view.reset(entries, revision));
    onChange();
    const watch = await store.watch(PREFIX, revision + 1, (event) => this.#heard(event));
    this.#watch = watch;
    if (this.#stop.signal.aborted) watch.close();
    await watch.ended;
  }

  #heard(event: StoreEvent): void {
    const { view, onChange } = this.#components;
    let changed = false;
    this.#guarded(() => {
      changed = view.apply(event);
    });
    if (changed) onChange();
  }

  /** A record that cannot be read must not end the watch. */
  #guarded(take: () => void): void {
    try {
      take();
    } catch (error) {
      this.#components.log.error({ err: error }, 'a record of shards cannot be read');
    }
  }
}
