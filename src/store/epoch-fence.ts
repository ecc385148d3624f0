// The last guard of an effect: it stands where the effect lands and knows nothing of leases or
// clocks. A holder that was away too long finds out here at the latest.
import { FlotillaError } from '../core/index.ts';

/** Guards one resource. Epochs are numbers from 0. */
export class EpochFence {
  #current: number;

  /** `current`: the largest epoch that was admitted before, where the resource remembers it. */
  constructor(current = 0) {
    this.#current = current;
  }

  /** The largest epoch that was admitted. */
  get current(): number {
    return this.#current;
  }

  /** Call it in the same turn as the effect. Errors: `epoch_stale`, and the effect must not be. */
  admit(epoch: number): void {
    // Written so that NaN is refused.
    if (epoch >= this.#current) {
      this.#current = epoch;
      return;
    }
    throw new FlotillaError('epoch_stale', `epoch ${epoch} was replaced by ${this.#current}`, {
      details: { epoch, current: this.#current },
    });
  }
}
