// One request's place in the admission queue, and the lines in which such places stand: lists that
// can be left from the middle, since those who wait go away at any time. Who goes when is
// admission-queue.ts's.
import type { Expirable, FlotillaError } from '../core/index.ts';
import type { ClientShare } from './client-share.ts';

/** A request's place, from `enter` until its `end`. */
export interface Ticket {
  /** True from its turn until its end; false while it waits. */
  readonly isRunning: boolean;
  /** How long it waited for its turn; for one that waits, until now. */
  readonly waitedMs: number;
  /**
   * The request is over, at whatever stage and however it ended: the place is free. Idempotent.
   * With `usedTokens`, what it really took is what its client's share is charged.
   */
  end(usedTokens?: number): void;
}

/**
 * Who waits with a ticket. At most one of the two is called, once, and neither after `end`; before
 * `enter` has returned only when somebody else's call below enters another request.
 */
export interface Waiter {
  /** The request may start. Not called for one that started at once. Must not throw. */
  onTurn(): void;
  /** It was given up: its deadline came, or it had to make room. Must not throw. */
  onRefused(error: FlotillaError): void;
}

/** What a ticket asks of its queue. */
export interface TicketQueue {
  nowMs(): number;
  expired(ticket: QueueTicket): void;
  ended(ticket: QueueTicket, usedTokens: number | undefined): void;
}

export interface TicketFacts {
  readonly client: ClientShare;
  readonly waiter: Waiter;
  readonly level: number;
  readonly tokens: number;
  readonly enteredMs: number;
  /** When it came, less what its priority is worth: the smaller goes first. */
  readonly rankMs: number;
  readonly order: number;
}

export class QueueTicket implements Ticket, Expirable {
  readonly client: ClientShare;
  readonly waiter: Waiter;
  readonly level: number;
  readonly tokens: number;
  readonly rankMs: number;
  readonly order: number;
  readonly enteredMs: number;
  state: 'waiting' | 'running' | 'ended' = 'waiting';
  leftLineMs: number | undefined;
  /** Where `Deadlines` has it. */
  tick = 0;
  before: QueueTicket | undefined;
  after: QueueTicket | undefined;
  readonly #queue: TicketQueue;

  constructor(queue: TicketQueue, facts: TicketFacts) {
    this.#queue = queue;
    this.client = facts.client;
    this.waiter = facts.waiter;
    this.level = facts.level;
    this.tokens = facts.tokens;
    this.rankMs = facts.rankMs;
    this.order = facts.order;
    this.enteredMs = facts.enteredMs;
  }

  get isRunning(): boolean {
    return this.state === 'running';
  }

  get waitedMs(): number {
    return (this.leftLineMs ?? this.#queue.nowMs()) - this.enteredMs;
  }

  end(usedTokens?: number): void {
    this.#queue.ended(this, usedTokens);
  }

  /** Called by `Deadlines`, also for a ticket that left in the same sweep. */
  expire(): void {
    if (this.state === 'waiting') this.#queue.expired(this);
  }

  goesBefore(other: QueueTicket): boolean {
    return this.rankMs < other.rankMs || (this.rankMs === other.rankMs && this.order < other.order);
  }
}

/** Tickets in the order in which they came. */
export class TicketLine {
  #first: QueueTicket | undefined;
  #last: QueueTicket | undefined;

  get first(): QueueTicket | undefined {
    return this.#first;
  }

  get last(): QueueTicket | undefined {
    return this.#last;
  }

  push(ticket: QueueTicket): void {
    ticket.before = this.#last;
    if (this.#last === undefined) this.#first = ticket;
    else this.#last.after = ticket;
    this.#last = ticket;
  }

  /** `ticket` stands in this line. */
  remove(ticket: QueueTicket): void {
    const { before, after } = ticket;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    ticket.before = undefined;
    ticket.after = undefined;
  }
}
