// Gathers a body that comes in pieces. Long pieces are kept as they are; short ones are joined as
// they come, because a view of each costs many times its bytes: a client that sends chunks of one
// byte must not take more memory than one that sends long ones.
import { BODY_SLAB_BYTES, SHORT_PIECE_BYTES } from './defaults.ts';

export class BodyPieces {
  readonly #pieces: Buffer[] = [];
  /** Short pieces since the last long one fill its front; the rest is free. */
  #slab = Buffer.alloc(0);
  #used = 0;
  #length = 0;

  constructor(first: Buffer) {
    this.#pieces.push(first);
    this.#length = first.length;
  }

  push(chunk: Buffer): void {
    if (chunk.length >= SHORT_PIECE_BYTES) {
      this.#closeRun();
      this.#pieces.push(chunk);
    } else this.#copy(chunk);
    this.#length += chunk.length;
  }

  whole(): Buffer {
    this.#closeRun();
    return Buffer.concat(this.#pieces, this.#length);
  }

  #copy(chunk: Buffer): void {
    if (this.#slab.length - this.#used < chunk.length) {
      this.#closeRun();
      this.#slab = Buffer.allocUnsafeSlow(
        Math.min(BODY_SLAB_BYTES, this.#length * 2 + chunk.length),
      );
    }
    chunk.copy(this.#slab, this.#used);
    this.#used += chunk.length;
  }

  #closeRun(): void {
    if (this.#used > 0) this.#pieces.push(this.#slab.subarray(0, this.#used));
    this.#slab = this.#slab.subarray(this.#used);
    this.#used = 0;
  }
}
