// Lays frames into pooled pages and hands the pages to the pipe, one write each. Bytes that follow
// each other on one stream share a frame, so that a message costs no header of its own.
import { BufferPool, MUX_HEADER_BYTES, patchMuxLength, writeMuxHeader } from '../wire/index.ts';
import { MAX_PENDING_WRITES, PAGE_BYTES } from './defaults.ts';
import type { BytePipe } from './link.ts';

/** Pages of all links of this process: an idle link holds none. */
const pages = new BufferPool();

/** Below this, a byte loop is faster than a view and a copy. */
const LOOP_COPY_BYTES = 32;

/** A frame is not begun for less room than this. */
const MIN_ROOM_BYTES = 64;

export class FrameWriter {
  readonly #pipe: BytePipe;
  #page: Buffer | undefined;
  #used = 0;
  /** Full pages that the pipe has not taken yet. */
  readonly #ready: { page: Buffer; used: number }[] = [];
  #readyBytes = 0;
  /** The frame at the end of the page that may still grow; stream 0 when there is none. */
  #openStream = 0;
  #openAt = 0;
  #openLength = 0;

  constructor(pipe: BytePipe) {
    this.#pipe = pipe;
  }

  /** Payload of a stream that still fits into the page. */
  get room(): number {
    return PAGE_BYTES - this.#used - MUX_HEADER_BYTES;
  }

  /** True when the page has no room to speak of, so that what follows would wait. */
  get full(): boolean {
    return this.#ready.length > 0 || this.room < MIN_ROOM_BYTES;
  }

  /** Bytes in full pages that the pipe has not taken yet. */
  get waitingBytes(): number {
    return this.#readyBytes;
  }

  /** Appends bytes of a stream, copied. */
  append(stream: number, bytes: Uint8Array, span: { start: number; end: number }): void {
    let at = span.start;
    while (at < span.end) {
      const page = this.#page ?? this.#newPage();
      let room = PAGE_BYTES - this.#used;
      if (this.#openStream !== stream) {
        if (this.room < MIN_ROOM_BYTES) {
          this.#finishPage();
          continue;
        }
        this.#openStream = stream;
        this.#openAt = this.#used;
        this.#openLength = 0;
        writeMuxHeader(page, this.#used, { stream, flag: 0, length: 0 });
        this.#used += MUX_HEADER_BYTES;
        room -= MUX_HEADER_BYTES;
      }
      const count = Math.min(room, span.end - at);
      if (count === 0) {
        this.#finishPage();
        continue;
      }
      copy(page, this.#used, { bytes, start: at, count });
      this.#used += count;
      this.#openLength += count;
      patchMuxLength(page, this.#openAt, this.#openLength);
      at += count;
    }
  }

  /** Writes a frame with a flag. */
  signal(stream: number, flag: number, payload: Uint8Array): void {
    if (this.room < payload.length) this.#finishPage();
    const page = this.#page ?? this.#newPage();
    const { length } = payload;
    writeMuxHeader(page, this.#used, { stream, flag, length });
    copy(page, this.#used + MUX_HEADER_BYTES, { bytes: payload, start: 0, count: length });
    this.#used += MUX_HEADER_BYTES + length;
    this.#openStream = 0;
  }

  /**
   * Hands over what the pipe takes: full pages, then the one being filled. With a write going and
   * one behind it, the socket is busy, and more of them would only be joined by a copy.
   */
  flush(): void {
    const pipe = this.#pipe;
    while (pipe.pendingWrites < MAX_PENDING_WRITES) {
      const full = this.#ready.shift();
      if (full !== undefined) {
        this.#readyBytes -= full.used;
        pipe.write(full.page.subarray(0, full.used), full.page);
        continue;
      }
      const partial = this.#page;
      if (partial === undefined) return;
      pipe.write(partial.subarray(0, this.#used), partial);
      this.#forget();
    }
  }

  /** Hands over everything, however busy the pipe is: nothing follows. */
  flushAll(): void {
    for (const { page, used } of this.#ready.splice(0)) {
      this.#pipe.write(page.subarray(0, used), page);
    }
    this.#readyBytes = 0;
    if (this.#page !== undefined) {
      this.#pipe.write(this.#page.subarray(0, this.#used), this.#page);
    }
    this.#forget();
  }

  /** Drops what was not handed over. */
  clear(): void {
    this.#ready.length = 0;
    this.#readyBytes = 0;
    this.#forget();
  }

  /** Takes a page back that the pipe no longer reads. */
  release(page: Buffer): void {
    pages.give(page);
  }

  #newPage(): Buffer {
    this.#page = pages.take(PAGE_BYTES);
    return this.#page;
  }

  #finishPage(): void {
    const page = this.#page;
    if (page !== undefined) {
      this.#ready.push({ page, used: this.#used });
      this.#readyBytes += this.#used;
    }
    this.#forget();
  }

  #forget(): void {
    this.#page = undefined;
    this.#used = 0;
    this.#openStream = 0;
  }
}

function copy(
  target: Uint8Array,
  at: number,
  { bytes, start, count }: { bytes: Uint8Array; start: number; count: number },
): void {
  if (count <= LOOP_COPY_BYTES) {
    for (let i = 0; i < count; i++) target[at + i] = bytes[start + i]!;
  } else if (count === bytes.length) {
    target.set(bytes, at);
  } else {
    target.set(bytes.subarray(start, start + count), at);
  }
}
