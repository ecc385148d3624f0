// Ranks and the figures made of them. Ties are realistic: a target that k others equal has the mean
// of the ranks it could have; the optimistic and the pessimistic reading are kept beside it.
import type { RankMetrics } from './events.ts';

/** Collects ranks into metrics. */
export class RankTally {
  #count = 0;
  #reciprocal = 0;
  #optimistic = 0;
  #pessimistic = 0;
  #hits1 = 0;
  #hits3 = 0;
  #hits10 = 0;

  /** One answer: how many other candidates score higher, and how many the same. */
  add(greater: number, equal: number): void {
    const rank = 1 + greater + equal / 2;
    this.#count++;
    this.#reciprocal += 1 / rank;
    this.#optimistic += 1 / (1 + greater);
    this.#pessimistic += 1 / (1 + greater + equal);
    if (rank <= 1) this.#hits1++;
    if (rank <= 3) this.#hits3++;
    if (rank <= 10) this.#hits10++;
  }

  metrics(): RankMetrics {
    const count = Math.max(1, this.#count);
    return {
      mrr: this.#reciprocal / count,
      hits1: this.#hits1 / count,
      hits3: this.#hits3 / count,
      hits10: this.#hits10 / count,
      mrrOptimistic: this.#optimistic / count,
      mrrPessimistic: this.#pessimistic / count,
      count: this.#count,
    };
  }
}
