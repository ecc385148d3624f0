// The memory of the prefix index: entries found by a 64-bit hash, each with the set of endpoints
// that have seen it lately, in order of use. Columns of one fixed size, taken at the start: the
// index cannot outgrow it, and finding or adding an entry allocates nothing.

/** No entry. */
export const NONE = 0xffffffff;

/** Bytes of the columns that every entry has, and of its share of the buckets. */
const FIXED_BYTES = 7 * 4 + 4;

export class PrefixEntries {
  readonly capacity: number;
  /** 32-bit words of one set of endpoints. */
  readonly words: number;
  readonly #hi: Uint32Array;
  readonly #lo: Uint32Array;
  /** First entry of a bucket, and the next one in it. */
  readonly #heads: Uint32Array;
  readonly #next: Uint32Array;
  /** Order of use: `newer` and `older` neighbours. */
  readonly #newer: Uint32Array;
  readonly #older: Uint32Array;
  /** The period in which an entry was last used; sets are of this period and the one before. */
  readonly #period: Uint32Array;
  readonly #current: Uint32Array;
  readonly #previous: Uint32Array;
  #newest = NONE;
  #oldest = NONE;
  #count = 0;

  constructor(maxBytes: number, maxEndpoints: number) {
    this.words = Math.ceil(maxEndpoints / 32);
    const entryBytes = FIXED_BYTES + 8 * this.words;
    // Buckets are a power of two and at most as many as entries, so that one share of them
    // suffices.
    this.capacity = Math.max(1, Math.floor(maxBytes / entryBytes));
    const column = () => new Uint32Array(this.capacity);
    this.#hi = column();
    this.#lo = column();
    this.#next = column();
    this.#newer = column();
    this.#older = column();
    this.#period = column();
    this.#heads = new Uint32Array(2 ** Math.floor(Math.log2(this.capacity))).fill(NONE);
    this.#current = new Uint32Array(this.capacity * this.words);
    this.#previous = new Uint32Array(this.capacity * this.words);
  }

  get count(): number {
    return this.#count;
  }

  /** Memory of all columns. */
  get bytes(): number {
    return this.capacity * 4 * (6 + 2 * this.words) + 4 * this.#heads.length;
  }

  find(hi: number, lo: number): number {
    let entry = this.#heads[this.#bucketOf(lo)]!;
    while (entry !== NONE && (this.#lo[entry] !== lo || this.#hi[entry] !== hi)) {
      entry = this.#next[entry]!;
    }
    return entry;
  }

  /**
   * Puts `slot` into the set of an entry, which becomes the newest and is made when it is absent.
   */
  touch(hi: number, lo: number, { slot, period }: { slot: number; period: number }): void {
    let entry = this.find(hi, lo);
    if (entry === NONE) entry = this.#add(hi, lo, period);
    else if (entry !== this.#newest) {
      this.#unlink(entry);
      this.#link(entry);
    }
    this.#enterPeriod(entry, period);
    this.#current[entry * this.words + (slot >>> 5)]! |= 1 << (slot & 31);
  }

  /** Copies who has seen an entry in `period` or the one before into `set`; returns how many. */
  holders(entry: number, period: number, set: Uint32Array): number {
    const age = period - this.#period[entry]!;
    const from = entry * this.words;
    let count = 0;
    for (let i = 0; i < this.words; i++) {
      let bits = 0;
      if (age <= 1) bits = this.#current[from + i]!;
      if (age <= 0) bits |= this.#previous[from + i]!;
      set[i] = bits;
      if (bits !== 0) count += bitsOf(bits);
    }
    return count;
  }

  /** Takes `slot` out of every set: its endpoint is gone, or has lost its cache. */
  forget(slot: number): void {
    const keep = ~(1 << (slot & 31));
    for (let i = slot >>> 5; i < this.#current.length; i += this.words) {
      this.#current[i]! &= keep;
      this.#previous[i]! &= keep;
    }
  }

  /** Removes entries whose last use is before the period before `period`, at most `most`. */
  expire(period: number, most: number): void {
    for (let left = most; left > 0 && this.#oldest !== NONE; left--) {
      if (period - this.#period[this.#oldest]! <= 1) return;
      this.#free(this.#remove(this.#oldest));
    }
  }

  /** Entries that were freed, linked through `next`, before those that were never used. */
  #firstFree = NONE;
  #used = 0;

  #add(hi: number, lo: number, period: number): number {
    const entry = this.#take();
    const bucket = this.#bucketOf(lo);
    this.#hi[entry] = hi;
    this.#lo[entry] = lo;
    this.#next[entry] = this.#heads[bucket]!;
    this.#heads[bucket] = entry;
    this.#period[entry] = period;
    this.#current.fill(0, entry * this.words, (entry + 1) * this.words);
    this.#previous.fill(0, entry * this.words, (entry + 1) * this.words);
    this.#link(entry);
    this.#count++;
    return entry;
  }

  /** A free entry, or else the one that was not used for longest. */
  #take(): number {
    const free = this.#firstFree;
    if (free !== NONE) {
      this.#firstFree = this.#next[free]!;
      return free;
    }
    return this.#used < this.capacity ? this.#used++ : this.#remove(this.#oldest);
  }

  #free(entry: number): void {
    this.#next[entry] = this.#firstFree;
    this.#firstFree = entry;
  }

  #remove(entry: number): number {
    this.#unlink(entry);
    const bucket = this.#bucketOf(this.#lo[entry]!);
    let at = this.#heads[bucket]!;
    if (at === entry) this.#heads[bucket] = this.#next[entry]!;
    else {
      while (this.#next[at] !== entry) at = this.#next[at]!;
      this.#next[at] = this.#next[entry]!;
    }
    this.#count--;
    return entry;
  }

  #enterPeriod(entry: number, period: number): void {
    const age = period - this.#period[entry]!;
    if (age <= 0) return;
    const from = entry * this.words;
    const to = from + this.words;
    if (age === 1) this.#previous.set(this.#current.subarray(from, to), from);
    else this.#previous.fill(0, from, to);
    this.#current.fill(0, from, to);
    this.#period[entry] = period;
  }

  #link(entry: number): void {
    this.#newer[entry] = NONE;
    this.#older[entry] = this.#newest;
    if (this.#newest === NONE) this.#oldest = entry;
    else this.#newer[this.#newest] = entry;
    this.#newest = entry;
  }

  #unlink(entry: number): void {
    const newer = this.#newer[entry]!;
    const older = this.#older[entry]!;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer] = older;
    if (older === NONE) this.#oldest = newer;
    else this.#newer[older] = newer;
  }

  #bucketOf(lo: number): number {
    return lo & (this.#heads.length - 1);
  }
}

/** Set bits of a 32-bit word (Warren, Hacker's Delight). */
function bitsOf(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
