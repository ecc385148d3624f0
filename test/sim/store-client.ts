// A node's connection to the store, with everything that can go wrong on the way: nothing arrives,
// the answer does not, it comes late, a watch stalls or breaks. The holder's end of a lease is the
// real `HeldLease`.
import { FlotillaError } from '../../src/core/index.ts';
import { HeldLease } from '../../src/store/held-lease.ts';
import type { Clock, Prng } from '../../src/core/index.ts';
import type {
  Compare,
  Lease,
  Store,
  StoreEvent,
  SwapResult,
  Watch,
  Write,
} from '../../src/store/index.ts';
import type { StoreServer } from './store-server.ts';
import type { Process, World } from './world.ts';

/** The way between one node and the store; faults change it, and it outlives the node's lives. */
export interface StorePath {
  /** Requests do not arrive. */
  requestsLost: boolean;
  /** Answers do not arrive; what was asked for happens. */
  answersLost: boolean;
}

/** Loses requests (0), answers (1) or both; returns the cure, or nothing when they are lost. */
export function losePath(path: StorePath, shape: number): (() => void) | undefined {
  if (path.requestsLost || path.answersLost) return undefined;
  path.requestsLost = shape !== 1;
  path.answersLost = shape !== 0;
  return () => {
    path.requestsLost = false;
    path.answersLost = false;
  };
}

export interface StoreConditions {
  readonly delayMs: number;
  readonly jitterMs: number;
  /** The probability that a call fails before, and after, it had its effect. */
  failure: number;
  /** … that an answer is late, by up to `lateMs`. */
  late: number;
  readonly lateMs: number;
  /** How long a caller waits for an answer, on its clock. */
  readonly timeoutMs: number;
}

export interface StoreClientComponents {
  readonly world: World;
  readonly server: StoreServer;
  readonly process: Process;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly path: StorePath;
}

export interface StoreClientOptions {
  readonly conditions: StoreConditions;
  /** What the holder takes for the TTL of its lease, as a share of it. Anything but 1 is a bug. */
  readonly believedTtl: number;
}

/** The most calls that one node may have under way: the code under test bounds them. */
export const MAX_STORE_CALLS = 64;

export class StoreClient implements Store {
  readonly #components: StoreClientComponents;
  readonly #options: StoreClientOptions;
  readonly #watches = new Set<ClientWatch>();
  /** Calls without an answer yet. */
  pending = 0;

  constructor(components: StoreClientComponents, options: StoreClientOptions) {
    this.#components = components;
    this.#options = options;
  }

  get watches(): number {
    return this.#watches.size;
  }

  get = (key: string) => this.#call('get', (server) => server.entry(key));

  list = (prefix: string) => this.#call('list', (server) => server.list(prefix));

  revision = () => this.#call('revision', (server) => server.revision);

  epoch = (name: string) => this.#call('epoch', (server) => server.epoch(name));

  compareAndSwap(compares: readonly Compare[], writes: readonly Write[]): Promise<SwapResult> {
    return this.#call('swap', (server) => server.swap(compares, writes));
  }

  async lease(ttlMs: number): Promise<Lease> {
    const { clock } = this.#components;
    const sentAtMs = clock.now();
    const id = await this.#call('lease', (server) => server.grant(ttlMs));
    const components = {
      clock,
      renew: () => this.#call('renew', (server) => server.renew(id)),
      revoke: () => this.#call('revoke', (server) => server.revoke(id)),
    };
    const believed = ttlMs * this.#options.believedTtl;
    return new HeldLease(components, { id, ttlMs: believed, sentAtMs });
  }

  async watch(
    prefix: string,
    fromRevision: number,
    onEvent: (event: StoreEvent) => void,
  ): Promise<Watch> {
    const watch = new ClientWatch(this.#components, () => this.#delayMs(), onEvent);
    await this.#call('watch', (server) => watch.open(server, prefix, fromRevision));
    this.#watches.add(watch);
    void watch.ended.then(() => this.#watches.delete(watch));
    return watch;
  }

  async close(): Promise<void> {
    this.disconnect();
  }

  /** Ends the watches, as a connection that breaks does. */
  disconnect(): void {
    for (const watch of this.#watches) watch.break();
  }

  #call<T>(what: string, effect: (server: StoreServer) => T): Promise<T> {
    const { world, server, process, clock, prng, path } = this.#components;
    const { failure, timeoutMs } = this.#options.conditions;
    world.unsettle();
    this.pending++;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let open = true;
    const settle = (outcome: () => void) => {
      if (!open) return;
      open = false;
      this.pending--;
      timer.cancel();
      world.unsettle();
      outcome();
    };
    const fail = (why: string) => settle(() => reject(unavailable(what, why)));
    const timer = clock.schedule(timeoutMs, () => fail('timeout'));
    const answer = (outcome: () => void) => {
      world.at(this.#delayMs(), process, () => {
        if (!path.answersLost) settle(outcome);
      });
    };
    const arrived = () => {
      if (prng.next() < failure) return answer(() => reject(unavailable(what, 'failed before')));
      const outcome = attempt(() => effect(server));
      world.trace.add(world.now, 'store', what, process.name, outcome.ok ? 'ok' : 'error');
      if (prng.next() < failure) return answer(() => reject(unavailable(what, 'failed after')));
      answer(() => (outcome.ok ? resolve(outcome.value) : reject(outcome.error)));
    };
    world.at(this.#delayMs(), undefined, () => {
      if (!path.requestsLost) server.arrive(arrived);
    });
    return promise;
  }

  #delayMs(): number {
    const { prng } = this.#components;
    const { delayMs, jitterMs, late, lateMs } = this.#options.conditions;
    const usual = delayMs + jitterMs * prng.next();
    return prng.next() < late ? usual + lateMs * prng.next() : usual;
  }
}

/** Events in order; while answers are lost they wait, as in a connection that sends again. */
class ClientWatch implements Watch {
  readonly ended: Promise<FlotillaError | undefined>;
  readonly #settle: (error: FlotillaError | undefined) => void;
  readonly #components: StoreClientComponents;
  readonly #delayMs: () => number;
  readonly #onEvent: (event: StoreEvent) => void;
  #unsubscribe: (() => void) | undefined;
  #open = true;
  #lastAtMs = 0;
  readonly #travelling: StoreEvent[] = [];

  constructor(
    components: StoreClientComponents,
    delayMs: () => number,
    onEvent: (event: StoreEvent) => void,
  ) {
    this.#components = components;
    this.#delayMs = delayMs;
    this.#onEvent = onEvent;
    const { promise, resolve } = Promise.withResolvers<FlotillaError | undefined>();
    this.ended = promise;
    this.#settle = resolve;
  }

  open(server: StoreServer, prefix: string, fromRevision: number): void {
    if (!this.#components.process.alive) return;
    this.#unsubscribe = server.watch(fromRevision, (event) => {
      if (!this.#components.process.alive) this.#unsubscribe?.();
      else if (event.key.startsWith(prefix)) this.#travel(event, this.#delayMs());
    });
  }

  close(): void {
    this.#end(undefined);
  }

  break(): void {
    this.#end(unavailable('watch', 'broken'));
  }

  #travel(event: StoreEvent, delayMs: number): void {
    const { world, process } = this.#components;
    this.#travelling.push(event);
    // Ordered: nothing arrives before what was sent earlier.
    this.#lastAtMs = Math.max(this.#lastAtMs, world.now + delayMs);
    world.at(this.#lastAtMs - world.now, process, () => this.#arrive());
  }

  #arrive(): void {
    const { world, process, path } = this.#components;
    if (!this.#open) return;
    if (path.answersLost) {
      world.at(RESEND_MS, process, () => this.#arrive());
      return;
    }
    world.unsettle();
    this.#onEvent(this.#travelling.shift()!);
  }

  #end(error: FlotillaError | undefined): void {
    if (!this.#open) return;
    this.#open = false;
    this.#unsubscribe?.();
    this.#components.world.unsettle();
    this.#settle(error);
  }
}

const RESEND_MS = 300;

type Attempt<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: unknown };

function attempt<T>(work: () => T): Attempt<T> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    return { ok: false, error };
  }
}

function unavailable(what: string, why: string): FlotillaError {
  return new FlotillaError('store_unavailable', `${what}: ${why}`, {
    details: { outcome: 'unknown' },
  });
}
