// The key-value cache of a simulated engine: a fixed number of blocks of prompt, shared by the
// sequences that begin alike, kept after their end until the room is needed. Which blocks a prompt
// has is for its caller to say.

/**
 * The key of a block stands for it and for everything before it, so that equal keys mean equal
 * beginnings. Invariant: private, held and idle blocks together never exceed the capacity.
 */
export class BlockCache {
  readonly capacity: number;
  /** Blocks that sequences compute or decode into; nobody else can use them. */
  #private = 0;
  /** Shared blocks in use, with the number of sequences that use them. */
  readonly #held = new Map<number, number>();
  /** Shared blocks that nobody uses, the next to be evicted first. */
  readonly #idle = new Set<number>();

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Blocks that sequences use, over all: what an engine reports as the use of its cache. */
  get usage(): number {
    return (this.#private + this.#held.size) / this.capacity;
  }

  get cached(): number {
    return this.#held.size + this.#idle.size;
  }

  /** How many of the first `limit` keys are here without a gap. */
  match(keys: readonly number[], limit: number): number {
    const end = Math.min(limit, keys.length);
    let count = 0;
    while (count < end && this.#has(keys[count]!)) count++;
    return count;
  }

  /**
   * Holds the first `matched` keys, which are here, and sets `more` blocks aside. False, with
   * nothing done, when even evicting all that is idle would not make the room.
   */
  acquire(keys: readonly number[], matched: number, more: number): boolean {
    let idleMatched = 0;
    for (let at = 0; at < matched; at++) if (this.#idle.has(keys[at]!)) idleMatched++;
    if (this.#private + this.#held.size + idleMatched + more > this.capacity) return false;
    for (let at = 0; at < matched; at++) this.#hold(keys[at]!);
    this.#private += more;
    this.#evict();
    return true;
  }

  /** A block that was set aside is computed: from now on others find it. */
  publish(key: number): void {
    this.#private--;
    this.#hold(key);
  }

  /** Ends the use of the first `held` keys and of `unused` blocks that were set aside. */
  release(keys: readonly number[], held: number, unused: number): void {
    this.#private -= unused;
    // From the end: a beginning without its end is of use, an end without its beginning is not.
    for (let at = held - 1; at >= 0; at--) {
      const key = keys[at]!;
      const holders = this.#held.get(key)! - 1;
      if (holders > 0) {
        this.#held.set(key, holders);
      } else {
        this.#held.delete(key);
        this.#idle.add(key);
      }
    }
  }

  #has(key: number): boolean {
    return this.#held.has(key) || this.#idle.has(key);
  }

  #hold(key: number): void {
    this.#idle.delete(key);
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
  }

  #evict(): void {
    let over = this.#private + this.#held.size + this.#idle.size - this.capacity;
    for (const key of this.#idle) {
      if (over-- <= 0) return;
      this.#idle.delete(key);
    }
  }
}
