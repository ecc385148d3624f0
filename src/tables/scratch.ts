// Working memory on the kernels' memory for operations that do not wait in between: row pointers
// and the rows that go in or out. One block serves all tables of a node and grows to the largest
// batch.

import type { Kernels } from '../devices/index.ts';
const MIN_BYTES = 1 << 20;

export class Scratch {
  readonly #kernels: Kernels;
  #pointer = 0;
  #bytes = 0;

  constructor(kernels: Kernels) {
    this.#kernels = kernels;
  }

  /** A pointer to `bytes` bytes with arbitrary content, valid until the next call. */
  reserve(bytes: number): number {
    if (bytes > this.#bytes) {
      this.release();
      const grown = Math.max(MIN_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
      this.#pointer = this.#kernels.alloc(grown);
      this.#bytes = grown;
    }
    return this.#pointer;
  }

  release(): void {
    if (this.#bytes > 0) this.#kernels.free(this.#pointer);
    this.#bytes = 0;
  }
}
