// The best few of many scored rows, in an order that does not depend on where the rows live.

export interface RankedRow {
  readonly id: string;
  readonly score: number;
}

/** Best first; equal scores in order of their ids. */
export function byScore(a: RankedRow, b: RankedRow): number {
  return b.score - a.score || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/** Keeps the `capacity` best rows that it is offered: a binary heap with the worst on top. */
export class TopRows {
  readonly #capacity: number;
  readonly #heap: RankedRow[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** False when a row of this score cannot be among the best. NaN never is. */
  wants(score: number): boolean {
    if (Number.isNaN(score)) return false;
    return this.#heap.length < this.#capacity || score >= this.#heap[0]!.score;
  }

  offer(id: string, score: number): void {
    const row = { id, score };
    const heap = this.#heap;
    if (heap.length < this.#capacity) {
      heap.push(row);
      this.#rise(heap.length - 1);
    } else if (byScore(row, heap[0]!) < 0) {
      heap[0] = row;
      this.#sink();
    }
  }

  sorted(): RankedRow[] {
    return [...this.#heap].sort(byScore);
  }

  #rise(start: number): void {
    const heap = this.#heap;
    for (let at = start; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (byScore(heap[at]!, heap[parent]!) <= 0) return;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  }

  #sink(): void {
    const heap = this.#heap;
    for (let at = 0; ; ) {
      let worst = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && byScore(heap[child]!, heap[worst]!) > 0) worst = child;
      }
      if (worst === at) return;
      [heap[at], heap[worst]] = [heap[worst]!, heap[at]!];
      at = worst;
    }
  }
}
