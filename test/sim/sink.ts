// Where effects land: one resource per key behind the real `EpochFence`. It is what the rest of the
// simulation is about: what it accepts must come from the one owner of that epoch.
import { hasCode } from '../../src/core/index.ts';
import { EpochFence } from '../../src/store/index.ts';

export interface Effect {
  readonly key: string;
  readonly epoch: number;
  readonly owner: string;
  readonly life: number;
}

export class Sink {
  readonly #checked: boolean;
  readonly #fences = new Map<string, EpochFence>();
  readonly counters = { accepted: 0, refused: 0 };

  /** `checked` false leaves the fence out: a bug on purpose. */
  constructor(checked: boolean) {
    this.#checked = checked;
  }

  /** True when the effect happened. */
  apply({ key, epoch }: Effect): boolean {
    try {
      if (this.#checked) this.#fence(key).admit(epoch);
    } catch (error) {
      if (!hasCode(error, 'epoch_stale')) throw error;
      this.counters.refused++;
      return false;
    }
    this.counters.accepted++;
    return true;
  }

  #fence(key: string): EpochFence {
    let fence = this.#fences.get(key);
    if (fence === undefined) {
      fence = new EpochFence();
      this.#fences.set(key, fence);
    }
    return fence;
  }
}
