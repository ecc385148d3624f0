// Reuses buffers by size class, so that steady traffic allocates nothing. Owns idle buffers only;
// who takes one gives it back once nobody reads it any more.
import { POOL_CLASSES_BYTES, POOL_IDLE_BYTES, POOL_OVERSIZE_FACTOR } from './defaults.ts';

export interface BufferPoolOptions {
  readonly classesBytes?: readonly number[];
  /** Idle memory kept per class; at least one buffer of the smallest class is kept. */
  readonly idleBytes?: number;
}

/** Buffers are not zeroed: a taker writes before it reads. */
export class BufferPool {
  readonly #classes: readonly number[];
  readonly #idle: readonly Buffer[][];
  readonly #keep: readonly number[];

  constructor(options: BufferPoolOptions = {}) {
    this.#classes = options.classesBytes ?? POOL_CLASSES_BYTES;
    const idleBytes = options.idleBytes ?? POOL_IDLE_BYTES;
    this.#idle = this.#classes.map(() => []);
    this.#keep = this.#classes.map((size, index) =>
      Math.max(index === 0 ? 1 : 0, Math.floor(idleBytes / size)),
    );
  }

  /** A buffer of at least `bytes`: the smallest class that holds it, exact beyond all classes. */
  take(bytes: number): Buffer {
    for (let index = 0; index < this.#classes.length; index++) {
      const size = this.#classes[index]!;
      if (size >= bytes) return this.#idle[index]!.pop() ?? Buffer.allocUnsafeSlow(size);
    }
    return Buffer.allocUnsafeSlow(bytes);
  }

  /** Takes a buffer back; one of no class, or over the idle limit, is left to the collector. */
  give(buffer: Buffer): void {
    for (let index = this.#classes.length - 1; index >= 0; index--) {
      const size = this.#classes[index]!;
      if (buffer.length < size) continue;
      const idle = this.#idle[index]!;
      const oversize = buffer.length > size * POOL_OVERSIZE_FACTOR;
      if (!oversize && idle.length < this.#keep[index]!) idle.push(buffer);
      return;
    }
  }

  /** Bytes of idle buffers. */
  get idleBytes(): number {
    let total = 0;
    for (const buffers of this.#idle) for (const buffer of buffers) total += buffer.length;
    return total;
  }
}
