// The holder's end of a lease: when it must stop relying on it. The store's end, which deletes
// keys, is in lease-timers.ts; the holder always gives up first.
import { FlotillaError, hasCode } from '../core/index.ts';
import { LEASE_LOST_SHARE } from './defaults.ts';
import type { Clock } from '../core/index.ts';
import type { Lease } from './store.ts';

export interface HeldLeaseComponents {
  readonly clock: Clock;
  /** Renews at the store; rejects with `lease_lost` when the store no longer has it. */
  readonly renew: () => Promise<void>;
  readonly revoke: () => Promise<void>;
}

/** A lease that was granted by a request sent at `sentAtMs`. */
export class HeldLease implements Lease {
  readonly id: string;
  readonly ttlMs: number;
  readonly #components: HeldLeaseComponents;
  #lostAtMs: number;
  #gone = false;

  constructor(
    components: HeldLeaseComponents,
    options: { id: string; ttlMs: number; sentAtMs: number },
  ) {
    this.#components = components;
    this.id = options.id;
    this.ttlMs = options.ttlMs;
    this.#lostAtMs = options.sentAtMs + LEASE_LOST_SHARE * options.ttlMs;
  }

  lostAt(): number {
    return this.#lostAtMs;
  }

  async keepAlive(): Promise<void> {
    const { clock, renew } = this.#components;
    const sentAtMs = clock.now();
    this.#checkHeld();
    try {
      await renew();
    } catch (error) {
      if (hasCode(error, 'lease_lost')) this.#lose();
      throw error;
    }
    // An answer after the limit does not bring it back: the holder may have acted on the loss.
    this.#checkHeld();
    // Answers may overtake each other; only the latest sending counts.
    this.#lostAtMs = Math.max(this.#lostAtMs, sentAtMs + LEASE_LOST_SHARE * this.ttlMs);
  }

  async revoke(): Promise<void> {
    this.#lose();
    await this.#components.revoke();
  }

  #lose(): void {
    this.#gone = true;
    this.#lostAtMs = Math.min(this.#lostAtMs, this.#components.clock.now());
  }

  #checkHeld(): void {
    if (!this.#gone && this.#components.clock.now() < this.#lostAtMs) return;
    this.#lose();
    throw leaseLost(this.id);
  }
}

export function leaseLost(id: string): FlotillaError {
  return new FlotillaError('lease_lost', `the lease ${id} is lost; get a new one`, {
    details: { lease: id },
  });
}
