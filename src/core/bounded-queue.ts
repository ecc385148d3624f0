// A queue with a limit and waiting takers. Overflow is a typed error for the sender to handle, and
// closing wakes every taker: nobody waits on something that cannot come.
import { FlotillaError } from './errors.ts';

interface Taker<T> {
  resolve(item: T): void;
  reject(error: unknown): void;
}

/** First in, first out, at most `capacity` items. */
export class BoundedQueue<T> {
  readonly capacity: number;
  #items: (T | undefined)[] = [];
  #head = 0;
  readonly #takers = new Set<Taker<T>>();
  #closed: unknown;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Items that wait to be taken. */
  get size(): number {
    return this.#items.length - this.#head;
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Adds an item, or hands it to the longest-waiting taker. False when full or closed. */
  offer(item: T): boolean {
    if (this.#closed !== undefined) return false;
    const taker: Taker<T> | undefined = this.#takers.values().next().value;
    if (taker !== undefined) {
      this.#takers.delete(taker);
      taker.resolve(item);
      return true;
    }
    if (this.size >= this.capacity) return false;
    this.#items.push(item);
    return true;
  }

  /** The oldest item, which stays. */
  peek(): T | undefined {
    return this.#items[this.#head];
  }

  /** Takes the oldest item without waiting. */
  poll(): T | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /**
   * Takes the oldest item, waiting for one. Items that were queued before `close` can still be
   * taken. Rejects with the reason of `close`, or with the signal's reason.
   */
  take(signal?: AbortSignal): Promise<T> {
    const item = this.poll();
    if (item !== undefined) return Promise.resolve(item);
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise<T>((resolve, reject) => {
      const onAbort = () => {
        this.#takers.delete(taker);
        reject(signal?.reason);
      };
      const settled = () => signal?.removeEventListener('abort', onAbort);
      const taker: Taker<T> = {
        resolve: (value) => {
          settled();
          resolve(value);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#takers.add(taker);
    });
  }

  /** Refuses further items and wakes every taker with `reason`. */
  close(reason: unknown = new FlotillaError('queue_closed', 'the queue was closed')): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    for (const taker of this.#takers) taker.reject(reason);
    this.#takers.clear();
  }
}
