// Events in the order of their times; those of one time in the order in which they were added.

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly action: (nowMs: number) => void;
}

export class EventQueue {
  readonly #heap: Event[] = [];
  #order = 0;

  add(atMs: number, action: (nowMs: number) => void): void {
    const heap = this.#heap;
    const event = { atMs, order: this.#order++, action };
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  /** Runs events up to and at `endMs`. */
  runUntil(endMs: number): void {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.atMs > endMs) return;
      this.#removeFirst();
      first.action(first.atMs);
    }
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
