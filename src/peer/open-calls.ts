// The calls of one connection and direction that are not finished: found by number, given up when
// their time is over. Pages of slots rather than a map of calls: a map that loses entries as fast
// as it gains them leaves tables behind that keep the calls in memory until a full collection. One
// entry among the deadlines stands for all, and the clock is read once a tick, not once a call.
import type { Clock, Deadlines, Expirable } from '../core/index.ts';

/** When the calls of one tick began: the end of that tick, so that no work of it counts. */
interface Moment {
  atMs: number;
}

export abstract class OpenCall {
  readonly id: number;
  readonly timeoutMs: number;
  moment: Moment | undefined;

  constructor(id: number, timeoutMs: number) {
    this.id = id;
    this.timeoutMs = timeoutMs;
  }

  /** Its time is over; it is still among the open calls. */
  abstract expire(): void;
}

const PAGE_SHIFT = 6;
const PAGE_SLOTS = 1 << PAGE_SHIFT;

/** Calls whose numbers differ in the lowest bits only. */
interface CallPage<C> {
  readonly slots: (C | undefined)[];
  used: number;
}

export class OpenCalls<C extends OpenCall> implements Expirable {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #pages = new Map<number, CallPage<C>>();
  /** The page of the latest call: mostly the next one goes there too. */
  #lastNumber = -1;
  #last: CallPage<C> = { slots: [], used: 0 };
  #size = 0;
  #moment: Moment | undefined;
  /** No call's time is over before this. */
  #nextMs = Number.POSITIVE_INFINITY;
  /** Where this stands among the deadlines, when it does. */
  #tick = 0;
  /** Shortest time that a call of this tick has. */
  #shortestMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, deadlines: Deadlines) {
    this.#clock = clock;
    this.#deadlines = deadlines;
  }

  get size(): number {
    return this.#size;
  }

  get(id: number): C | undefined {
    const number = id >>> PAGE_SHIFT;
    const page = number === this.#lastNumber ? this.#last : this.#pages.get(number);
    return page?.slots[id & (PAGE_SLOTS - 1)];
  }

  /** Adds a call whose number is not in use. */
  add(call: C): void {
    const page = this.#pageFor(call.id >>> PAGE_SHIFT);
    page.slots[call.id & (PAGE_SLOTS - 1)] = call;
    page.used++;
    this.#size++;
    call.moment = this.#moment ?? this.#newMoment();
    if (call.timeoutMs < this.#shortestMs) this.#expect(call.timeoutMs);
  }

  /** False when the call is not open any more. */
  delete(call: C): boolean {
    const number = call.id >>> PAGE_SHIFT;
    const slot = call.id & (PAGE_SLOTS - 1);
    const page = number === this.#lastNumber ? this.#last : this.#pages.get(number);
    if (page === undefined || page.slots[slot] !== call) return false;
    page.slots[slot] = undefined;
    if (--page.used === 0 && page !== this.#last) this.#pages.delete(number);
    if (--this.#size === 0) this.#rest();
    return true;
  }

  /** Every call, to iterate while calls are deleted. */
  all(): C[] {
    const calls: C[] = [];
    for (const { slots } of this.#pages.values()) {
      for (const call of slots) if (call !== undefined) calls.push(call);
    }
    return calls;
  }

  /** Called by the deadlines: gives up what is due, and asks to be called for the next one. */
  expire(): void {
    const now = this.#clock.now();
    this.#nextMs = Number.POSITIVE_INFINITY;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const call of this.all()) {
      const deadlineMs = call.moment!.atMs + call.timeoutMs;
      if (deadlineMs <= now) call.expire();
      else if (deadlineMs < nextMs) nextMs = deadlineMs;
    }
    this.#wakeAt(nextMs);
  }

  /** The tick in which the latest calls began is over. */
  endMoment(): void {
    this.#moment!.atMs = this.#clock.now();
    this.#moment = undefined;
    this.#shortestMs = Number.POSITIVE_INFINITY;
  }

  #pageFor(number: number): CallPage<C> {
    if (number === this.#lastNumber) return this.#last;
    if (this.#last.used === 0) this.#pages.delete(this.#lastNumber);
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = { slots: new Array<C | undefined>(PAGE_SLOTS).fill(undefined), used: 0 };
      this.#pages.set(number, page);
    }
    this.#lastNumber = number;
    this.#last = page;
    return page;
  }

  #newMoment(): Moment {
    const moment = { atMs: this.#clock.now() };
    this.#moment = moment;
    process.nextTick(endMoment, this);
    return moment;
  }

  /** Without calls, nothing is to be woken for. */
  #rest(): void {
    this.#deadlines.remove(this, this.#tick);
    this.#nextMs = Number.POSITIVE_INFINITY;
    this.#shortestMs = Number.POSITIVE_INFINITY;
  }

  #expect(timeoutMs: number): void {
    this.#shortestMs = timeoutMs;
    this.#wakeAt(this.#moment!.atMs + timeoutMs);
  }

  #wakeAt(atMs: number): void {
    if (atMs >= this.#nextMs) return;
    if (this.#nextMs < Number.POSITIVE_INFINITY) this.#deadlines.remove(this, this.#tick);
    this.#nextMs = atMs;
    this.#tick = this.#deadlines.add(this, atMs);
  }
}

/** Shared, so that a tick costs no closure. */
function endMoment(calls: OpenCalls<OpenCall>): void {
  calls.endMoment();
}
