// A simulated world for elections: candidates with clocks that drift and processes that stall, and
// the way to a store that answers late, fails before or after it did what was asked, or not at all.
import { FlotillaError } from '../../src/core/index.ts';
import { HeldLease } from '../../src/store/held-lease.ts';
import type { Clock, Prng, Timer } from '../../src/core/index.ts';
import type {
  Compare,
  Entry,
  Lease,
  Store,
  StoreEvent,
  SwapResult,
  Watch,
  Write,
} from '../../src/store/index.ts';
import type { SimulatedClock } from '../../src/testing/index.ts';
import type { MemoryStore } from '../support/memory-store.ts';

/** One process: its own clock, and whether it runs. */
export class SimulatedProcess implements Clock {
  readonly #world: SimulatedClock;
  readonly #rate: number;
  readonly #deferred: (() => void)[] = [];
  stalled = false;

  constructor(world: SimulatedClock, rate: number) {
    this.#world = world;
    this.#rate = rate;
  }

  now(): number {
    return this.#world.now() * this.#rate;
  }

  wallTime(): number {
    return this.#world.wallTime();
  }

  schedule(delayMs: number, callback: () => void): Timer {
    let live = true;
    this.#world.schedule(delayMs / this.#rate, () => this.run(() => live && callback()));
    return {
      cancel() {
        live = false;
      },
    };
  }

  repeat(): Timer {
    throw new Error('nothing here repeats');
  }

  /** Runs `work` in this process: now, or when its stall is over. */
  run(work: () => void): void {
    if (this.stalled) this.#deferred.push(work);
    else work();
  }

  resume(): void {
    this.stalled = false;
    for (const work of this.#deferred.splice(0)) work();
  }
}

export interface Faults {
  /** Of 1: how often a call fails, hangs or is slow. */
  share: number;
  readonly slowMs: number;
}

/** The store as a process sees it over a bad network. */
export class FaultyStore implements Store {
  readonly #world: SimulatedClock;
  readonly #process: SimulatedProcess;
  readonly #store: MemoryStore;
  readonly #prng: Prng;
  readonly #faults: Faults;

  constructor(
    components: {
      world: SimulatedClock;
      process: SimulatedProcess;
      store: MemoryStore;
      prng: Prng;
    },
    faults: Faults,
  ) {
    this.#world = components.world;
    this.#process = components.process;
    this.#store = components.store;
    this.#prng = components.prng;
    this.#faults = faults;
  }

  get(key: string): Promise<Entry | undefined> {
    return this.#call(() => this.#store.get(key));
  }

  list(prefix: string): Promise<Entry[]> {
    return this.#call(() => this.#store.list(prefix));
  }

  revision(): Promise<number> {
    return this.#call(() => this.#store.revision());
  }

  compareAndSwap(compares: readonly Compare[], writes: readonly Write[]): Promise<SwapResult> {
    return this.#call(() => this.#store.compareAndSwap(compares, writes));
  }

  async lease(ttlMs: number): Promise<Lease> {
    const sentAtMs = this.#process.now();
    const id = await this.#call(async () => this.#store.grantLease(ttlMs));
    const components = {
      clock: this.#process,
      renew: () => this.#call(async () => this.#store.renewLease(id)),
      revoke: () => this.#call(async () => this.#store.revokeLease(id)),
    };
    return new HeldLease(components, { id, ttlMs, sentAtMs });
  }

  watch(prefix: string, from: number, onEvent: (event: StoreEvent) => void): Promise<Watch> {
    const late = (event: StoreEvent) => {
      this.#after(this.#delay(), () => this.#process.run(() => onEvent(event)));
    };
    return this.#call(() => this.#store.watch(prefix, from, late));
  }

  epoch(name: string): Promise<number> {
    return this.#call(() => this.#store.epoch(name));
  }

  async close(): Promise<void> {}

  #call<T>(effect: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const kind = this.#faulty() ? this.#prng.int(4) : -1;
    const answer = (settle: () => void) => {
      this.#after(this.#delay(), () => this.#process.run(settle));
    };
    const fail = () => answer(() => reject(new FlotillaError('store_unavailable', 'simulated')));
    this.#after(this.#delay(), () => {
      // Never arrives, answered by an error or by nothing.
      if (kind === 0) return fail();
      if (kind === 1) return undefined;
      const done = effect();
      // Arrives, but the answer is an error, or none.
      if (kind === 2) return void done.then(fail, fail);
      if (kind === 3) return void done.catch(() => {});
      return void done.then(
        (value) => answer(() => resolve(value)),
        (error) => answer(() => reject(error)),
      );
    });
    return promise;
  }

  #faulty(): boolean {
    return this.#prng.next() < this.#faults.share;
  }

  #delay(): number {
    return this.#prng.next() * (this.#faulty() ? this.#faults.slowMs : 20);
  }

  #after(delayMs: number, work: () => void): void {
    this.#world.schedule(delayMs, work);
  }
}
