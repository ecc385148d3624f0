// When the store's leases end: one timer for all of them, armed for the earliest. What ending means
// (deleting keys) belongs to the store.
import { STALL_MS } from './defaults.ts';
import type { Clock, Timer } from '../core/index.ts';

interface Running {
  readonly ttlMs: number;
  expiresAtMs: number;
}

/** Counts leases down on the monotonic clock; calls `onExpire` with an id once. */
export class LeaseTimers {
  readonly #clock: Clock;
  readonly #onExpire: (id: string, ttlMs: number) => void;
  readonly #running = new Map<string, Running>();
  #timer: Timer | undefined;
  #armedForMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, onExpire: (id: string, ttlMs: number) => void) {
    this.#clock = clock;
    this.#onExpire = onExpire;
  }

  start(id: string, ttlMs: number): void {
    const expiresAtMs = this.#clock.now() + ttlMs;
    this.#running.set(id, { ttlMs, expiresAtMs });
    if (expiresAtMs < this.#armedForMs) this.#arm(expiresAtMs);
  }

  /** True until the lease was swept or ended: a late sweep can only lengthen a lease. */
  has(id: string): boolean {
    return this.#running.has(id);
  }

  /** Gives the lease its whole TTL again; false when it is over. */
  renew(id: string): boolean {
    const lease = this.#running.get(id);
    if (lease === undefined) return false;
    lease.expiresAtMs = this.#clock.now() + lease.ttlMs;
    return true;
  }

  end(id: string): void {
    this.#running.delete(id);
  }

  stop(): void {
    this.#running.clear();
    this.#timer?.cancel();
  }

  #arm(atMs: number): void {
    this.#timer?.cancel();
    this.#armedForMs = atMs;
    const delayMs = Math.max(0, atMs - this.#clock.now());
    this.#timer = this.#clock.schedule(delayMs, () => this.#sweep());
  }

  #sweep(): void {
    const now = this.#clock.now();
    // Renewals that arrived during a stall of this process are still unread: they get their chance.
    const lateMs = now - this.#armedForMs;
    const graceMs = lateMs > STALL_MS ? lateMs + STALL_MS : 0;
    this.#armedForMs = Number.POSITIVE_INFINITY;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [id, lease] of this.#running) {
      lease.expiresAtMs += graceMs;
      if (lease.expiresAtMs <= now) {
        this.#running.delete(id);
        this.#onExpire(id, lease.ttlMs);
      } else {
        nextMs = Math.min(nextMs, lease.expiresAtMs);
      }
    }
    if (nextMs < this.#armedForMs) this.#arm(nextMs);
  }
}
