// Which endpoints have lately been sent which beginnings of prompts, and so are likely to have them
// in their caches. A guess by what was sent, kept small: an entry for each mark of a prompt, the
// oldest dropped first, none believed for longer than its time. What to do about a match is the
// policy's business.
import { invalidOption } from '../core/index.ts';
import { INDEX_DEFAULTS } from './defaults.ts';
import { NONE, PrefixEntries } from './prefix-entries.ts';
import { blocksAt, MAX_MARKS } from './prompt-key.ts';
import type { PromptKey } from './prompt-key.ts';

export interface PrefixIndexOptions {
  /** @default 32 MiB */
  readonly maxBytes?: number;
  /** @default 300000 */
  readonly ttlMs?: number;
  /** @default 48 */
  readonly maxProbes?: number;
  /** Slots are below this. @default 256 */
  readonly maxEndpoints: number;
}

/**
 * Invariant: who holds a mark holds all marks before it. Sending a prompt uses all of its marks at
 * once, the deepest first, so a mark is never older than those behind it, by time and by order:
 * both ageing and eviction take prompts apart from their ends. So sets of holders only shrink along
 * a prompt, and two of one size are equal: a match is found by bisection.
 */
export class PrefixIndex {
  readonly #entries: PrefixEntries;
  readonly #periodMs: number;
  readonly #maxProbes: number;
  /** Who holds the mark that was looked at last, and who has had its depth told. */
  readonly #set: Uint32Array;
  readonly #told: Uint32Array;
  #key: PromptKey | undefined;
  #period = 0;
  #probes = 0;

  constructor(options: PrefixIndexOptions) {
    const { maxBytes, ttlMs, maxProbes, maxEndpoints } = { ...INDEX_DEFAULTS, ...options };
    for (const [name, value] of Object.entries({ maxBytes, ttlMs, maxProbes, maxEndpoints })) {
      if (!(value >= 1 && Number.isFinite(value))) throw invalidOption(name, 'at least 1', value);
    }
    this.#entries = new PrefixEntries(maxBytes, maxEndpoints);
    this.#periodMs = ttlMs / 2;
    this.#maxProbes = maxProbes;
    this.#set = new Uint32Array(this.#entries.words);
    this.#told = new Uint32Array(this.#entries.words);
  }

  /** Marks that are remembered. */
  get entryCount(): number {
    return this.#entries.count;
  }

  /** Memory, taken at the start; never more than `maxBytes` and one entry. */
  get bytes(): number {
    return this.#entries.bytes;
  }

  /** The prompt is sent to `slot`, which will have it in its cache. */
  insert(slot: number, key: PromptKey, nowMs: number): void {
    const at = { slot, period: this.#periodOf(nowMs) };
    const { hashes } = key;
    const marks = Math.min(MAX_MARKS, hashes.length >>> 1);
    this.#entries.expire(at.period, 2 * marks);
    for (let mark = marks - 1; mark >= 0; mark--) {
      this.#entries.touch(hashes[2 * mark]!, hashes[2 * mark + 1]!, at);
    }
  }

  /** The endpoint is gone, or has lost its cache. */
  forget(slot: number): void {
    this.#entries.forget(slot);
  }

  /**
   * Writes for every slot how many blocks of the prompt it has seen, 0 for most; returns the most.
   * The deepest holders are found first; when the look-ups are used up, others count as having
   * none.
   */
  match(key: PromptKey, depths: Uint16Array, nowMs: number): number {
    depths.fill(0);
    this.#key = key;
    this.#period = this.#periodOf(nowMs);
    this.#probes = this.#maxProbes;
    this.#told.fill(0);
    let deepest = 0;
    let holders = 0;
    let mark = (key.hashes.length >>> 1) - 1;
    while (mark >= 0) {
      mark = this.#lastWithMore(holders, mark);
      if (mark < 0) break;
      holders = this.#holdersAt(mark);
      const blocks = blocksAt(mark);
      if (deepest === 0) deepest = blocks;
      this.#tell(depths, blocks);
      mark--;
    }
    this.#key = undefined;
    return deepest;
  }

  /**
   * The last mark up to `from` that more than `holders` hold; −1 when there is none or look-ups are
   * used up. Goes back in growing steps first: most prompts continue one that was seen.
   */
  #lastWithMore(holders: number, from: number): number {
    let tooDeep = from + 1;
    let step = 1;
    let found = -1;
    for (let at = from; found < 0; at -= step, step *= 2) {
      if (tooDeep === 0 || this.#probes <= 0) return -1;
      const mark = Math.max(0, at);
      if (this.#holdersAt(mark) > holders) found = mark;
      else tooDeep = mark;
    }
    while (tooDeep - found > 1 && this.#probes > 0) {
      const middle = (found + tooDeep) >>> 1;
      if (this.#holdersAt(middle) > holders) found = middle;
      else tooDeep = middle;
    }
    return found;
  }

  /** How many hold `mark`; who, goes into `#set`. */
  #holdersAt(mark: number): number {
    this.#probes--;
    const { hashes } = this.#key!;
    const entry = this.#entries.find(hashes[2 * mark]!, hashes[2 * mark + 1]!);
    return entry === NONE ? 0 : this.#entries.holders(entry, this.#period, this.#set);
  }

  /** Writes `blocks` for those in `#set` that have no depth yet. */
  #tell(depths: Uint16Array, blocks: number): void {
    for (let word = 0; word < this.#set.length; word++) {
      let fresh = this.#set[word]! & ~this.#told[word]!;
      this.#told[word]! |= fresh;
      while (fresh !== 0) {
        const bit = 31 - Math.clz32(fresh);
        depths[32 * word + bit] = blocks;
        fresh ^= 1 << bit;
      }
    }
  }

  #periodOf(nowMs: number): number {
    return Math.max(0, Math.floor(nowMs / this.#periodMs));
  }
}
