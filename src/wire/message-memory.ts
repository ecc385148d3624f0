// Memory of received messages. Whoever is done with a message may give its memory back: making new
// memory costs a page fault for every 4 KiB, which is more than decrypting them.
import { IDLE_MEMORY_BYTES, RECYCLED_MIN_BYTES } from './defaults.ts';

export class MessageMemory {
  readonly #idleLimit: number;
  /** Idle memory by the logarithm of its size. */
  readonly #idle = new Map<number, ArrayBufferLike[]>();
  #idleBytes = 0;
  /** Memory that was handed out: nothing else is ever taken back, and that only once. */
  readonly #out = new WeakSet<ArrayBufferLike>();

  constructor(options: { readonly idleBytes?: number } = {}) {
    this.#idleLimit = options.idleBytes ?? IDLE_MEMORY_BYTES;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** `bytes` of memory that nobody else uses, at offset 0 of its buffer. Not zeroed. */
  take(bytes: number): Uint8Array {
    if (bytes < RECYCLED_MIN_BYTES) return Buffer.allocUnsafeSlow(bytes);
    const idle = this.#idle.get(classOf(bytes));
    const at = idle?.findLastIndex((buffer) => buffer.byteLength >= bytes) ?? -1;
    const buffer = at < 0 ? Buffer.allocUnsafeSlow(bytes).buffer : idle!.splice(at, 1)[0]!;
    if (at >= 0) this.#idleBytes -= buffer.byteLength;
    this.#out.add(buffer);
    return Buffer.from(buffer, 0, bytes);
  }

  /** Takes memory back. False when it came from elsewhere or was given back before. */
  release({ buffer }: Uint8Array): boolean {
    if (!this.#out.delete(buffer)) return false;
    const { byteLength } = buffer;
    if (byteLength > this.#idleLimit) return true;
    // Sizes that nobody asks for any more would stay for ever.
    if (this.#idleBytes + byteLength > this.#idleLimit) this.clear();
    const order = classOf(byteLength);
    const idle = this.#idle.get(order);
    if (idle === undefined) this.#idle.set(order, [buffer]);
    else idle.push(buffer);
    this.#idleBytes += byteLength;
    return true;
  }

  /** Leaves all idle memory to the collector. */
  clear(): void {
    this.#idle.clear();
    this.#idleBytes = 0;
  }
}

/** What is taken from a class is at most twice as large as what was asked for. */
function classOf(bytes: number): number {
  return Math.floor(Math.log2(bytes));
}

/** Of all messages of this process. */
export const messageMemory = new MessageMemory();
