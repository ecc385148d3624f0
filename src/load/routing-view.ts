// What one router knows of the nodes that it chooses among: their gossiped load, corrected by what
// this router itself has sent there since. Columns of numbers by slot, so that a choice among 100
// nodes reads a few cache lines and allocates nothing. How to choose is the balancers' business.
import { assert, invalidOption } from '../core/index.ts';
import { LOAD_DEFAULTS } from './defaults.ts';
import { smooth } from './ewma.ts';
import { requestsOf } from './node-load.ts';
import { mixSelector } from './selectors.ts';
import type { KnownLoad } from './load-store.ts';
import type { Selector } from './selectors.ts';

export interface RoutingViewOptions {
  /** What a node's room is measured by. @default mixSelector */
  readonly selector?: Selector;
  /** @default 4096 */
  readonly maxNodes?: number;
  /** @default 0.95 */
  readonly overloadedCpu?: number;
  /** @default 0.9 */
  readonly overloadedMemory?: number;
  /** @default 0.01 */
  readonly assumedUsagePerRequest?: number;
  /** @default 5000 */
  readonly latencyHalfLifeMs?: number;
  /** @default 1000 */
  readonly failureLatencyMs?: number;
  /** @default 10000 */
  readonly othersHalfLifeMs?: number;
}

/** How a request ended. */
export interface Settlement {
  readonly latencyMs: number;
  readonly ok: boolean;
}

/** A request that was sent to a node and has not settled. Give it back to `settled` once. */
export type Dispatch = number;

const SLOT_BITS = 16;
const MAX_SLOTS = 2 ** SLOT_BITS;
const GENERATIONS = 2 ** 31;
/** Peaks are aged in steps: a power for each node would be most of a decision's cost. */
const AGEING_STEP_MS = 16;
/** What must be free on the others for each overloaded node, in whole nodes. */
const FREE_TO_SKIP = 0.5;

/** Loads by slot. A node keeps its slot from `add` to `remove`. */
export class RoutingView {
  readonly #options: Required<RoutingViewOptions>;
  readonly #slots = new Map<string, number>();
  readonly #names: (string | undefined)[] = [];
  readonly #generations: Uint32Array;
  /** Requests of this router in flight. */
  readonly #own: Float64Array;
  readonly #ownAtSample: Float64Array;
  /** Requests of others, as far as the last sample told; NaN when nothing is known. */
  readonly #others: Float64Array;
  readonly #sampledAtMs: Float64Array;
  /** 1 − the selector's room; NaN when nothing is known. */
  readonly #usage: Float64Array;
  readonly #usagePerRequest: Float64Array;
  readonly #capacity: Float64Array;
  readonly #latencyMs: Float64Array;
  readonly #latencyAtMs: Float64Array;
  readonly #overloaded: Uint8Array;
  /** Free share of processor time; of overloaded and unknown nodes 0. */
  readonly #free: Float64Array;
  #overloadedCount = 0;
  #freeOfOthers = 0;
  #othersSum = 0;
  #othersKnown = 0;

  constructor(options: RoutingViewOptions = {}) {
    this.#options = { ...LOAD_DEFAULTS, selector: mixSelector, ...options };
    for (const name of ['latencyHalfLifeMs', 'othersHalfLifeMs', 'failureLatencyMs'] as const) {
      const value = this.#options[name];
      if (!(value > 0)) throw invalidOption(name, 'above 0', value);
    }
    const { maxNodes } = this.#options;
    if (!(Number.isInteger(maxNodes) && maxNodes >= 1 && maxNodes <= MAX_SLOTS)) {
      throw invalidOption('maxNodes', `a whole number from 1 to ${MAX_SLOTS}`, maxNodes);
    }
    this.#generations = new Uint32Array(maxNodes);
    this.#overloaded = new Uint8Array(maxNodes);
    const column = () => new Float64Array(maxNodes);
    this.#own = column();
    this.#ownAtSample = column();
    this.#others = column().fill(Number.NaN);
    this.#sampledAtMs = column();
    this.#free = column();
    this.#usage = column();
    this.#usagePerRequest = column();
    this.#capacity = column();
    this.#latencyMs = column();
    this.#latencyAtMs = column();
  }

  /**
   * Whether overloaded nodes should be passed over: there are some, and the others have room for
   * their share. Without the second rule a busy fleet would pass over most of its nodes in turns,
   * and flood the rest.
   */
  get skipsOverloaded(): boolean {
    return this.#overloadedCount > 0 && this.#freeOfOthers >= FREE_TO_SKIP * this.#overloadedCount;
  }

  nameOf(slot: number): string | undefined {
    return this.#names[slot];
  }

  slotOf(node: string): number | undefined {
    return this.#slots.get(node);
  }

  /**
   * Gives `node` a slot; the one that it has when it is known.
   * @param capacity how much it can do compared with others: twice the capacity, twice the load
   */
  add(node: string, capacity = 1): number {
    if (!(capacity > 0 && Number.isFinite(capacity))) {
      throw invalidOption('capacity', 'above 0 and finite', capacity);
    }
    let slot = this.#slots.get(node);
    if (slot === undefined) {
      slot = this.#freeSlot();
      this.#slots.set(node, slot);
      this.#names[slot] = node;
      this.#clear(slot);
    }
    this.#capacity[slot] = capacity;
    return slot;
  }

  /** Frees the slot. Requests that were sent there may still settle: they change nothing. */
  remove(node: string): void {
    const slot = this.#slots.get(node);
    if (slot === undefined) return;
    this.#slots.delete(node);
    this.#names[slot] = undefined;
    this.#clear(slot);
    this.#generations[slot] = (this.#generations[slot]! + 1) % GENERATIONS;
  }

  /** Takes in what `node` reported; undefined: nothing is known any more. */
  update(node: string, known: KnownLoad | undefined): void {
    const slot = this.#slots.get(node);
    if (slot === undefined) return;
    if (known === undefined) {
      this.#forget(slot);
    } else {
      const { record, receivedAtMs } = known;
      const { selector, assumedUsagePerRequest } = this.#options;
      const reported = requestsOf(record);
      const own = this.#own[slot]!;
      const usage = 1 - (selector(record) ?? Number.NaN);
      this.#ownAtSample[slot] = own;
      this.#setOthers(slot, this.#smoothOthers(slot, reported - own, receivedAtMs));
      this.#sampledAtMs[slot] = receivedAtMs;
      this.#usage[slot] = usage;
      this.#usagePerRequest[slot] = Math.max(assumedUsagePerRequest, usage / Math.max(1, reported));
      this.#judge(slot, known);
    }
  }

  /** Counts a request that is about to be sent to `slot`. */
  dispatched(slot: number): Dispatch {
    assert(this.#names[slot] !== undefined, 'a request is sent to a node that has a slot');
    this.#own[slot]!++;
    return this.#generations[slot]! * MAX_SLOTS + slot;
  }

  /**
   * Counts it out again and learns its latency.
   * @param ok false for a failure: it counts as slow, or a node that fails fast would look fast
   */
  settled(dispatch: Dispatch, nowMs: number, { latencyMs, ok }: Settlement): void {
    const slot = dispatch % MAX_SLOTS;
    if (Math.floor(dispatch / MAX_SLOTS) !== this.#generations[slot]) return;
    assert(this.#own[slot]! > 0, 'a request settles once');
    this.#own[slot]!--;
    const sample = ok ? latencyMs : Math.max(latencyMs, this.#options.failureLatencyMs);
    if (!(sample >= 0 && Number.isFinite(sample))) return;
    const aged = this.#agedLatency(slot, sample, nowMs);
    this.#latencyMs[slot] = Math.max(sample, aged);
    this.#latencyAtMs[slot] = nowMs;
  }

  isOverloaded(slot: number): boolean {
    return this.#overloaded[slot] === 1;
  }

  /** This router's requests in flight at `slot`. */
  own(slot: number): number {
    return this.#own[slot]!;
  }

  capacity(slot: number): number {
    return this.#capacity[slot]!;
  }

  /** All requests there, as far as this router can know. */
  inFlight(slot: number): number {
    const others = this.#others[slot]!;
    return this.#own[slot]! + (Number.isNaN(others) ? this.#meanOthers() : others);
  }

  /** The same over the node's capacity. */
  outstanding(slot: number): number {
    return this.inFlight(slot) / this.#capacity[slot]!;
  }

  /** The same with the request that is to be placed: who has more room wins among the idle. */
  outstandingNext(slot: number): number {
    return (this.inFlight(slot) + 1) / this.#capacity[slot]!;
  }

  /** Reported usage plus what this router has added since; NaN when nothing is known. */
  usage(slot: number): number {
    const added = this.#own[slot]! - this.#ownAtSample[slot]!;
    return Math.max(0, this.#usage[slot]! + added * this.#usagePerRequest[slot]!);
  }

  /**
   * Reported room, less the more this router has sent since in proportion to what was there: it
   * never reaches 0 by that. NaN when nothing is known.
   */
  room(slot: number): number {
    const atSample = this.#ownAtSample[slot]!;
    const added = Math.max(0, this.#own[slot]! - atSample);
    const growth = 1 + added / (1 + atSample + this.#others[slot]!);
    return Math.max(0, 1 - this.#usage[slot]!) / growth;
  }

  /** The peak of recent latencies, halving with time: milliseconds; 0 when none is known. */
  peakLatencyMs(slot: number, nowMs: number): number {
    if (nowMs - this.#latencyAtMs[slot]! > AGEING_STEP_MS) {
      this.#latencyMs[slot] = this.#agedLatency(slot, 0, nowMs);
      this.#latencyAtMs[slot] = nowMs;
    }
    return this.#latencyMs[slot]!;
  }

  /** What is left of the peak above `floor`, after its age. */
  #agedLatency(slot: number, floor: number, nowMs: number): number {
    const peak = this.#latencyMs[slot]!;
    if (peak <= floor) return floor;
    const ageMs = Math.max(0, nowMs - this.#latencyAtMs[slot]!);
    return floor + (peak - floor) * 2 ** (-ageMs / this.#options.latencyHalfLifeMs);
  }

  #freeSlot(): number {
    const free = this.#names.indexOf(undefined);
    const slot = free === -1 ? this.#names.length : free;
    assert(slot < this.#own.length, `more than ${this.#own.length} nodes in one view`);
    return slot;
  }

  #clear(slot: number): void {
    this.#own[slot] = 0;
    this.#latencyMs[slot] = 0;
    this.#latencyAtMs[slot] = 0;
    this.#forget(slot);
  }

  #forget(slot: number): void {
    this.#ownAtSample[slot] = this.#own[slot]!;
    this.#setOthers(slot, Number.NaN);
    this.#usage[slot] = Number.NaN;
    this.#usagePerRequest[slot] = this.#options.assumedUsagePerRequest;
    this.#setOverloaded(slot, false, 0);
  }

  #judge(slot: number, { sustainedCpu, sustainedMemory }: KnownLoad): void {
    const { overloadedCpu, overloadedMemory } = this.#options;
    const overloaded = sustainedCpu >= overloadedCpu || sustainedMemory >= overloadedMemory;
    this.#setOverloaded(slot, overloaded, overloaded ? 0 : 1 - sustainedCpu);
  }

  #setOverloaded(slot: number, overloaded: boolean, free: number): void {
    this.#overloadedCount += Number(overloaded) - this.#overloaded[slot]!;
    this.#overloaded[slot] = Number(overloaded);
    this.#freeOfOthers += free - this.#free[slot]!;
    this.#free[slot] = free;
  }

  /** Others' requests, smoothed: what one sample says is gone before the next one comes. */
  #smoothOthers(slot: number, sample: number, nowMs: number): number {
    const { othersHalfLifeMs } = this.#options;
    return smooth(this.#others[slot]!, Math.max(0, sample), {
      elapsedMs: nowMs - this.#sampledAtMs[slot]!,
      riseHalfLifeMs: othersHalfLifeMs,
      fallHalfLifeMs: othersHalfLifeMs,
    });
  }

  #setOthers(slot: number, others: number): void {
    const previous = this.#others[slot]!;
    if (!Number.isNaN(previous)) {
      this.#othersSum -= previous;
      this.#othersKnown--;
    }
    if (!Number.isNaN(others)) {
      this.#othersSum += others;
      this.#othersKnown++;
    }
    this.#others[slot] = others;
  }

  #meanOthers(): number {
    return this.#othersKnown === 0 ? 0 : this.#othersSum / this.#othersKnown;
  }
}
