// First-fit allocation of blocks in one growing address space. It owns which bytes are taken, on
// one thread; what the bytes hold, and who else reads them, is its user's business.
import { assert, FlotillaError } from '../core/index.ts';
import { BLOCK_ALIGNMENT_BYTES, GROWTH_FRACTION } from './defaults.ts';

/** The space that blocks are cut from. */
export interface ArenaSpace {
  /** Size now. */
  readonly bytes: number;
  /** Size that it can grow to. */
  readonly maxBytes: number;
  /** Grows to at least `bytes`; false when that much cannot be had. */
  grow(bytes: number): boolean;
}

/** Hands out blocks on cache-line boundaries and merges freed neighbours. */
export class Arena {
  readonly #space: ArenaSpace;
  /** Sizes of the blocks that are taken, by where they start. */
  readonly #taken = new Map<number, number>();
  // Free runs in the order of their addresses; no two touch.
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  /** Everything from here to the end of the space is free and in no run. */
  #top: number;
  #usedBytes = 0;

  /** Blocks start at `start` or above, a multiple of the alignment. */
  constructor(space: ArenaSpace, start: number) {
    assert(start % BLOCK_ALIGNMENT_BYTES === 0, `arena start ${start} is not aligned`);
    this.#space = space;
    this.#top = start;
  }

  /** Bytes in blocks that are taken, alignment included. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Blocks that are taken. */
  get blockCount(): number {
    return this.#taken.size;
  }

  /** Takes a block; its contents are whatever was there. Raises `out_of_memory`. */
  alloc(bytes: number): number {
    assert(Number.isSafeInteger(bytes) && bytes >= 0, `cannot allocate ${bytes} bytes`);
    const size = Math.max(1, Math.ceil(bytes / BLOCK_ALIGNMENT_BYTES)) * BLOCK_ALIGNMENT_BYTES;
    const pointer = this.#fromRuns(size) ?? this.#fromTop(size);
    this.#taken.set(pointer, size);
    this.#usedBytes += size;
    return pointer;
  }

  /** Gives a block back. The pointer must come from `alloc` and be freed once. */
  free(pointer: number): void {
    const size = this.#taken.get(pointer);
    assert(size !== undefined, `${pointer} is no block of this arena, or was freed before`);
    this.#taken.delete(pointer);
    this.#usedBytes -= size;
    this.#insertRun(pointer, pointer + size);
  }

  #fromRuns(size: number): number | undefined {
    for (let i = 0; i < this.#starts.length; i++) {
      const start = this.#starts[i]!;
      const end = this.#ends[i]!;
      if (end - start < size) continue;
      if (end - start === size) {
        this.#starts.splice(i, 1);
        this.#ends.splice(i, 1);
      } else {
        this.#starts[i] = start + size;
      }
      return start;
    }
    return undefined;
  }

  #fromTop(size: number): number {
    const pointer = this.#top;
    const end = pointer + size;
    if (end > this.#space.bytes && !this.#growTo(end)) {
      const { bytes, maxBytes } = this.#space;
      throw new FlotillaError(
        'out_of_memory',
        `no room for ${size} bytes: ${this.#usedBytes} of ${bytes} are taken, limit ${maxBytes}`,
        { details: { requested: size, used: this.#usedBytes, size: bytes, limit: maxBytes } },
      );
    }
    this.#top = end;
    return pointer;
  }

  #growTo(end: number): boolean {
    const { bytes, maxBytes } = this.#space;
    if (end > maxBytes) return false;
    const generous = Math.min(maxBytes, Math.max(end, Math.ceil(bytes * (1 + GROWTH_FRACTION))));
    return this.#space.grow(generous) || this.#space.grow(end);
  }

  #insertRun(from: number, to: number): void {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! < from) low = middle + 1;
      else high = middle;
    }
    const joinsBefore = low > 0 && this.#ends[low - 1] === from;
    const joinsAfter = this.#starts[low] === to;
    const first = joinsBefore ? low - 1 : low;
    const start = joinsBefore ? this.#starts[low - 1]! : from;
    const end = joinsAfter ? this.#ends[low]! : to;
    const merged = Number(joinsBefore) + Number(joinsAfter);
    if (end === this.#top) {
      this.#starts.splice(first, merged);
      this.#ends.splice(first, merged);
      this.#top = start;
    } else {
      this.#starts.splice(first, merged, start);
      this.#ends.splice(first, merged, end);
    }
  }
}
