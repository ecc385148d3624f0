// Whether a request may start now, in one call: its client's rates, then its place in the queue.
// Whose request it is, ApiKeyBook and ClientAddress say.
import { AdmissionQueue } from './admission-queue.ts';
import { checkRateLimits, RateLimiter } from './rate-limiter.ts';
import type { Clock, FlotillaError } from '../core/index.ts';
import type { QueueOptions, QueueRequest } from './admission-queue.ts';
import type { RateGrant, RateLimits } from './rate-limiter.ts';
import type { Ticket, Waiter } from './ticket.ts';

/** What one client may do. A limit that is left out is none. */
export interface ClientLimits extends RateLimits {
  /** Requests that may run at once. */
  readonly concurrency?: number | undefined;
}

export interface AdmissionOptions {
  readonly queue?: QueueOptions;
  /** Of all clients together. @default no limits */
  readonly global?: RateLimits;
  /** Of clients whose request brings no limits of its own. @default no limits */
  readonly perClient?: ClientLimits;
  /** @default 65 536 */
  readonly maxClients?: number;
}

export interface AdmissionRequest extends Omit<QueueRequest, 'concurrency'> {
  /** Those of its API key. @default those of `perClient` */
  readonly limits?: ClientLimits | undefined;
}

/** One clock, one limiter, one queue: a gateway has one of these. */
export class Admission {
  readonly queue: AdmissionQueue;
  readonly #limiter: RateLimiter;
  readonly #clock: Clock;
  readonly #perClient: ClientLimits | undefined;

  constructor({ clock }: { readonly clock: Clock }, options: AdmissionOptions = {}) {
    const { queue, perClient, ...rates } = options;
    if (perClient !== undefined) checkRateLimits(perClient);
    this.queue = new AdmissionQueue({ clock }, queue);
    this.#limiter = new RateLimiter(rates, clock.now());
    this.#clock = clock;
    this.#perClient = perClient;
  }

  /**
   * Lets a request in: it runs at once (`isRunning`), or waits until `waiter` hears of it. Call
   * `end` in every case, with the tokens that it took where they are known: the first call that
   * names them counts, further ones do nothing. A request that the
   * queue refuses at once took nothing from its rates; one that waited in vain took no tokens.
   * Errors: `rate_limited`, `gateway_rate_limited`, `overloaded`, `too_many_waiting`,
   * `too_many_running`, and the reason of the queue's `stop`.
   */
  admit(request: AdmissionRequest, waiter: Waiter): Ticket {
    const { client, tokens, limits = this.#perClient } = request;
    const grant = this.#limiter.take({ client, limits, tokens }, this.#clock.now());
    const admitted = new Admitted(grant, waiter);
    try {
      admitted.enter(this.queue, { ...request, concurrency: limits?.concurrency });
    } catch (error) {
      grant.undo();
      throw error;
    }
    return admitted;
  }
}

/** A place in the queue together with what was taken from the rates. */
class Admitted implements Ticket, Waiter {
  readonly #grant: RateGrant;
  readonly #waiter: Waiter;
  #ticket: Ticket | undefined;
  #hasRun = false;
  #isSettled = false;

  constructor(grant: RateGrant, waiter: Waiter) {
    this.#grant = grant;
    this.#waiter = waiter;
  }

  get isRunning(): boolean {
    return this.#ticket?.isRunning ?? false;
  }

  get waitedMs(): number {
    return this.#ticket?.waitedMs ?? 0;
  }

  enter(queue: AdmissionQueue, request: QueueRequest): void {
    this.#ticket = queue.enter(request, this);
    this.#hasRun = this.#ticket.isRunning;
  }

  onTurn(): void {
    this.#hasRun = true;
    this.#waiter.onTurn();
  }

  onRefused(error: FlotillaError): void {
    this.#settle(0);
    this.#waiter.onRefused(error);
  }

  end(usedTokens?: number): void {
    this.#settle(this.#hasRun ? usedTokens : 0);
    this.#ticket?.end(usedTokens);
  }

  /** The first who knows what it took is believed. */
  #settle(usedTokens: number | undefined): void {
    if (usedTokens === undefined || this.#isSettled) return;
    this.#isSettled = true;
    this.#grant.settle(usedTokens);
  }
}
