// Hands committed events to local watchers: each gets every event of its prefix once, in order,
// also when a listener writes to the store or watches while events are being handed out.
import { FlotillaError } from '../core/index.ts';
import type { StoreEvent, Watch } from './store.ts';

/** Events in order, all of revisions before `nextRevision`. */
export interface Past {
  readonly events: readonly StoreEvent[];
  readonly nextRevision: number;
}

class Watcher implements Watch {
  readonly ended: Promise<FlotillaError | undefined>;
  readonly #prefix: string;
  readonly #onEvent: (event: StoreEvent) => void;
  #settle: ((error: FlotillaError | undefined) => void) | undefined;
  /** Events before this revision were replayed, or are too old for this watcher. */
  #nextRevision = 0;

  constructor(prefix: string, onEvent: (event: StoreEvent) => void) {
    this.#prefix = prefix;
    this.#onEvent = onEvent;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  get open(): boolean {
    return this.#settle !== undefined;
  }

  offer(event: StoreEvent): void {
    if (!this.open || event.revision < this.#nextRevision) return;
    if (!event.key.startsWith(this.#prefix)) return;
    try {
      this.#onEvent(event);
    } catch (error) {
      // A listener that throws is a bug of its owner; it must not reach whoever wrote.
      this.end(new FlotillaError('internal', 'the listener of a watch threw', { cause: error }));
    }
  }

  /** Delivers what happened before it was added. */
  replay(past: Past): void {
    for (const event of past.events) this.offer(event);
    this.#nextRevision = past.nextRevision;
  }

  end(error?: FlotillaError): void {
    this.#settle?.(error);
    this.#settle = undefined;
  }

  close(): void {
    this.end();
  }
}

/** The local watchers of one store. */
export class Watchers {
  readonly #watchers = new Set<Watcher>();
  readonly #pending: StoreEvent[] = [];
  #handingOut = false;

  /** Adds a watcher that first sees `past`, then all that is emitted. */
  add(prefix: string, past: Past, onEvent: (event: StoreEvent) => void): Watch {
    const watcher = new Watcher(prefix, onEvent);
    this.#watchers.add(watcher);
    this.#exclusively(() => watcher.replay(past));
    return watcher;
  }

  emit(events: readonly StoreEvent[]): void {
    this.#pending.push(...events);
    this.#exclusively(() => {});
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers.clear();
  }

  /** Runs `work`, then hands out what is pending; inside another run, that one does it. */
  #exclusively(work: () => void): void {
    if (this.#handingOut) {
      work();
      return;
    }
    this.#handingOut = true;
    try {
      work();
      for (let event = this.#pending.shift(); event; event = this.#pending.shift()) {
        for (const watcher of this.#watchers) {
          if (watcher.open) watcher.offer(event);
          else this.#watchers.delete(watcher);
        }
      }
    } finally {
      this.#handingOut = false;
    }
  }
}
