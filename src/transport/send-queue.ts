// What a stream keeps while its connection takes no more: small writes gathered in buffers of its
// own, large ones by reference. Bytes only; whose turn it is, is `MuxLink`'s.
import { COPY_LIMIT_BYTES, FIRST_QUEUE_BYTES, PAGE_BYTES } from './defaults.ts';

/** A run of queued bytes, `bytes[start, end)`. */
export interface QueuedChunk {
  readonly bytes: Uint8Array;
  start: number;
  end: number;
  /** True when `bytes` belongs to the writer: it is sent from there, not copied. */
  readonly byReference: boolean;
}

export class SendQueue {
  #chunks: QueuedChunk[] = [];
  #head = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** The oldest chunk. */
  peek(): QueuedChunk | undefined {
    return this.#chunks[this.#head];
  }

  push(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes += end - start;
    if (end - start > COPY_LIMIT_BYTES) {
      this.#chunks.push({ bytes, start, end, byReference: true });
      return;
    }
    const tail = this.#chunks.at(-1);
    const size = end - start;
    if (tail !== undefined && !tail.byReference && tail.bytes.length - tail.end >= size) {
      tail.bytes.set(bytes.subarray(start, end), tail.end);
      tail.end += size;
      return;
    }
    // The first chunk is small: most queues hold a few messages for a moment.
    const capacity = tail === undefined ? Math.max(size, FIRST_QUEUE_BYTES) : PAGE_BYTES;
    const own = Buffer.allocUnsafeSlow(capacity);
    own.set(bytes.subarray(start, end));
    this.#chunks.push({ bytes: own, start: 0, end: size, byReference: false });
  }

  /** Takes `count` bytes off the oldest chunk. */
  consume(count: number): void {
    const chunk = this.#chunks[this.#head]!;
    chunk.start += count;
    this.#bytes -= count;
    if (chunk.start < chunk.end) return;
    this.#head++;
    if (this.#head === this.#chunks.length) {
      this.#chunks = [];
      this.#head = 0;
    } else if (this.#head > 64 && this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
  }

  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}
