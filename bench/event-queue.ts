// What happens next in a simulated world: a binary heap of events by time. Events of one moment
// come out in the order in which they went in, so that a seed replays one history.

/** A priority queue by time, first in first out within one moment. */
export class EventQueue<T> {
  readonly #times: number[] = [];
  /** Order of arrival, which decides within one moment. */
  readonly #orders: number[] = [];
  readonly #events: T[] = [];
  #arrivals = 0;

  get size(): number {
    return this.#events.length;
  }

  /** When the next event is due; Infinity when there is none. */
  get nextAtMs(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  push(atMs: number, event: T): void {
    const order = this.#arrivals++;
    let hole = this.#events.length;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if ((this.#times[parent] as number) <= atMs) break;
      this.#move(parent, hole);
      hole = parent;
    }
    this.#place(hole, atMs, order, event);
  }

  /** Takes the next event; undefined when there is none. */
  pop(): T | undefined {
    const next = this.#events[0];
    const atMs = this.#times.pop();
    const order = this.#orders.pop();
    const last = this.#events.pop();
    const size = this.#events.length;
    if (size === 0 || atMs === undefined || order === undefined) return next;
    let hole = 0;
    for (let child = 1; child < size; child = 2 * hole + 1) {
      if (child + 1 < size && this.#isBefore(child + 1, child)) child++;
      const childAtMs = this.#times[child] as number;
      if (childAtMs > atMs || (childAtMs === atMs && (this.#orders[child] as number) > order))
        break;
      this.#move(child, hole);
      hole = child;
    }
    this.#place(hole, atMs, order, last as T);
    return next;
  }

  #isBefore(a: number, b: number): boolean {
    const difference = (this.#times[a] as number) - (this.#times[b] as number);
    return difference < 0 || (difference === 0 && this.#orders[a]! < this.#orders[b]!);
  }

  #move(from: number, to: number): void {
    this.#place(to, this.#times[from]!, this.#orders[from]!, this.#events[from]!);
  }

  #place(at: number, ...[atMs, order, event]: [number, number, T]): void {
    this.#times[at] = atMs;
    this.#orders[at] = order;
    this.#events[at] = event;
  }
}
