// Connections on demand: callers wait for a peer by name, one dial at a time goes out for all of
// them, and failed dials are spaced by a jittered back-off that lasts only while somebody waits.
import { FlotillaError, hasCode, sleep } from '../core/index.ts';
import { cancelled, expired } from './rpc-client.ts';
import type { Clock, Deadlines, Expirable, Prng } from '../core/index.ts';
import type { Peer } from './peer.ts';

export interface DiallerComponents {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly deadlines: Deadlines;
  addressOf(name: string): string | undefined;
  /** Dials and greets; `attempt` counts earlier refusals as a duplicate. */
  dial(name: string, address: string, attempt: number): Promise<Peer>;
}

export interface DiallerOptions {
  readonly redialMs: number;
  readonly maxRedialMs: number;
}

export interface WaitOptions {
  /** What the caller wants to call, for its error. */
  readonly procedure: string;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

interface Target {
  readonly waiters: Set<PeerWaiter>;
  dialling: boolean;
  failures: number;
  retryAtMs: number;
}

export class Dialler {
  readonly #components: DiallerComponents;
  readonly #options: DiallerOptions;
  readonly #targets = new Map<string, Target>();
  #stopped: FlotillaError | undefined;

  constructor(components: DiallerComponents, options: DiallerOptions) {
    this.#components = components;
    this.#options = options;
  }

  /** True while a dial to `name` is under way. */
  isDialling(name: string): boolean {
    return this.#targets.get(name)?.dialling ?? false;
  }

  /** Waits for a live peer, dialling as needed. Errors: those of the dial, or the deadline's. */
  wait(name: string, options: WaitOptions): Promise<Peer> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    const { procedure, signal } = options;
    if (signal?.aborted) return Promise.reject(cancelled(procedure, signal));
    const target = this.#target(name);
    const waiter = new PeerWaiter(name, options, target.waiters);
    waiter.file(this.#components.deadlines);
    if (!target.dialling) void this.#dial(name, target);
    return waiter.promise;
  }

  /** A connection to `name` stands, whoever dialled it. */
  arrived(peer: Peer): void {
    const target = this.#targets.get(peer.name);
    if (target === undefined) return;
    target.failures = 0;
    target.retryAtMs = 0;
    for (const waiter of [...target.waiters]) waiter.resolve(peer);
  }

  /** Forgets the failures of `name`: its address is new, or it is gone. */
  reset(name: string): void {
    const target = this.#targets.get(name);
    if (target === undefined) return;
    target.failures = 0;
    target.retryAtMs = 0;
    if (!target.dialling) this.#targets.delete(name);
  }

  /** Fails everybody who waits for `name`; a later caller dials anew. */
  giveUp(name: string, error: FlotillaError): void {
    const target = this.#targets.get(name);
    if (target !== undefined) rejectAll(target, error);
  }

  stop(error: FlotillaError): void {
    this.#stopped = error;
    for (const target of this.#targets.values()) rejectAll(target, error);
  }

  /** Runs a dial as this dialler's for `name`, so that the other end's own dial gives way. */
  async during<T>(name: string, dial: () => Promise<T>): Promise<T> {
    const target = this.#target(name);
    const before = target.dialling;
    target.dialling = true;
    try {
      return await dial();
    } finally {
      target.dialling = before;
      if (!before && target.waiters.size > 0) void this.#dial(name, target);
    }
  }

  #target(name: string): Target {
    let target = this.#targets.get(name);
    if (target === undefined) {
      target = { waiters: new Set(), dialling: false, failures: 0, retryAtMs: 0 };
      this.#targets.set(name, target);
    }
    return target;
  }

  async #dial(name: string, target: Target): Promise<void> {
    target.dialling = true;
    let attempt = 0;
    try {
      while (target.waiters.size > 0) {
        await this.#pause(target);
        if (target.waiters.size === 0) return;
        try {
          await this.#dialOnce(name, attempt);
        } catch (error) {
          this.#backOff(target);
          if (!hasCode(error, 'connection_duplicate')) {
            rejectAll(target, error);
            return;
          }
          // The other end's own dial goes on; were it to fail, a later attempt is let in.
          attempt++;
        }
      }
    } finally {
      target.dialling = false;
    }
  }

  async #dialOnce(name: string, attempt: number): Promise<void> {
    const address = this.#components.addressOf(name);
    if (address === undefined) {
      const message = `${name} cannot be reached: no address of it is known`;
      throw new FlotillaError('peer_unreachable', message, { details: { peer: name } });
    }
    try {
      await this.#components.dial(name, address, attempt);
    } catch (error) {
      if (!hasCode(error, 'peer_unreachable')) throw error;
      const reason = String(error.details['reason'] ?? error.message);
      const message = `${name} (${address}) cannot be reached: ${reason}`;
      throw new FlotillaError('peer_unreachable', message, {
        details: { peer: name, address, reason },
        cause: error,
      });
    }
  }

  async #pause(target: Target): Promise<void> {
    const { clock } = this.#components;
    const waitMs = target.retryAtMs - clock.now();
    if (waitMs > 0) await sleep(clock, waitMs);
  }

  #backOff(target: Target): void {
    const { clock, prng } = this.#components;
    const { redialMs, maxRedialMs } = this.#options;
    const longest = Math.min(maxRedialMs, redialMs * 2 ** target.failures++);
    target.retryAtMs = clock.now() + longest * (0.5 + prng.next() / 2);
  }
}

function rejectAll(target: Target, error: unknown): void {
  for (const waiter of [...target.waiters]) waiter.reject(error);
}

/** A caller that waits for a connection. */
class PeerWaiter implements Expirable {
  readonly #name: string;
  readonly #options: WaitOptions;
  readonly #waiters: Set<PeerWaiter>;
  readonly #settled = Promise.withResolvers<Peer>();
  readonly #onAbort = () => {
    const { procedure, signal } = this.#options;
    if (signal !== undefined) this.reject(cancelled(procedure, signal));
  };
  #unfile = () => {};

  constructor(name: string, options: WaitOptions, waiters: Set<PeerWaiter>) {
    this.#name = name;
    this.#options = options;
    this.#waiters = waiters;
  }

  get promise(): Promise<Peer> {
    return this.#settled.promise;
  }

  /** Begins to wait. */
  file(deadlines: Deadlines): void {
    const { deadlineMs, signal } = this.#options;
    const tick = deadlines.add(this, deadlineMs);
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#waiters.add(this);
    this.#unfile = () => {
      this.#waiters.delete(this);
      deadlines.remove(this, tick);
      signal?.removeEventListener('abort', this.#onAbort);
    };
  }

  resolve(peer: Peer): void {
    this.#unfile();
    this.#settled.resolve(peer);
  }

  reject(error: unknown): void {
    this.#unfile();
    this.#settled.reject(error);
  }

  expire(): void {
    this.reject(expired(this.#options.procedure, this.#name));
  }
}
