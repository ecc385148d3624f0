// Which request starts next when more come than may run. Bounded, fair between clients, with
// priorities and deadlines.
//
// How much a client gets is decided by deficit round robin (Shreedhar and Varghese, 1995): a round
// gives every client that waits the same number of tokens to start requests with, so that none can
// crowd another out, however many or long its requests are. Which of those with something left
// goes first is decided by rank: the time at which a request came, less a head start for each step
// of its priority. So priority orders, within a round and within a client, and it ages: a request
// is passed over by more important ones for `headStartMs` a step and no longer. Strict levels would
// let a client that calls everything important starve the others until their deadlines.
import { assert, Deadlines, invalidOption } from '../core/index.ts';
import { ClientShare } from './client-share.ts';
import { PRIORITY, QUEUE_DEFAULTS, RETRY_AFTER } from './defaults.ts';
import { refusal } from './errors.ts';
import { QueueTicket } from './ticket.ts';
import type { Clock, FlotillaError } from '../core/index.ts';
import type { Ticket, TicketQueue, Waiter } from './ticket.ts';

export interface QueueOptions {
  /** Requests that run at once; see `resize`. @default 1024 */
  readonly maxRunning?: number;
  /** Requests that wait. More absorbs longer bursts and makes waits longer. @default 1024 */
  readonly maxWaiting?: number;
  /** The longest that any request waits. @default 30 s */
  readonly maxWaitMs?: number;
  /** What a step of priority is worth. 0 turns priorities off. @default 2 s */
  readonly headStartMs?: number;
  /** What a round gives each client. @default 512 */
  readonly quantumTokens?: number;
}

export interface QueueRequest {
  /** Whose request it is: those of one client share its turn. */
  readonly client: string;
  /** 0 to 9, higher first; others are taken for the nearest. @default 5 */
  readonly priority?: number | undefined;
  /** What it will take, as estimated. @default a round's worth, which makes all requests equal */
  readonly tokens?: number | undefined;
  /** It waits no longer than this; 0: now or never. @default the queue's */
  readonly maxWaitMs?: number | undefined;
  /** Requests of this client that may run at once, from now on. @default no limit */
  readonly concurrency?: number | undefined;
}

/**
 * Who may start now, and who waits. Invariant between calls: when fewer than `maxRunning` run,
 * every client that waits is at its own limit.
 */
export class AdmissionQueue {
  readonly #clock: Clock;
  readonly #options: Required<QueueOptions>;
  readonly #deadlines: Deadlines;
  readonly #tickets: TicketQueue;
  /** Those with a request that runs or waits. */
  readonly #clients = new Map<string, ClientShare>();
  /** Those with a request that waits. */
  readonly #backlog = new Set<ClientShare>();
  #maxRunning: number;
  #running = 0;
  #waiting = 0;
  #order = 0;
  #stopped: FlotillaError | undefined;
  /** Between two ends while others wait: what one of them has to wait for each before it. */
  #paceMs: number | undefined;
  #lastEndMs: number | undefined;

  constructor({ clock }: { readonly clock: Clock }, options: QueueOptions = {}) {
    this.#options = checkOptions({ ...QUEUE_DEFAULTS, ...options });
    this.#clock = clock;
    this.#maxRunning = this.#options.maxRunning;
    this.#deadlines = new Deadlines(clock);
    this.#tickets = {
      nowMs: () => clock.now(),
      expired: (ticket) => this.#expire(ticket),
      ended: (ticket, usedTokens) => this.#end(ticket, usedTokens),
    };
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Clients with a request that runs or waits. */
  get clients(): number {
    return this.#clients.size;
  }

  get maxRunning(): number {
    return this.#maxRunning;
  }

  runningOf(client: string): number {
    return this.#clients.get(client)?.running ?? 0;
  }

  waitingOf(client: string): number {
    return this.#clients.get(client)?.waiting ?? 0;
  }

  /**
   * A place for one request: it runs at once, or waits until `waiter` hears of it. Call `end` on it
   * in every case, also after `onRefused`, where it does nothing.
   * Errors: `overloaded`, `too_many_waiting`, `too_many_running`, the reason of `stop`.
   */
  enter(request: QueueRequest, waiter: Waiter): Ticket {
    if (this.#stopped !== undefined) throw this.#stopped;
    this.#setLimit(request.client, request.concurrency ?? Number.POSITIVE_INFINITY);
    const ticket = this.#newTicket(request, waiter);
    if (this.#running < this.#maxRunning && !ticket.client.isAtLimit) {
      this.#run(ticket, ticket.enteredMs);
      return ticket;
    }
    const { maxWaitMs, maxWaiting } = this.#options;
    const waitMs = Math.min(maxWaitMs, Math.max(0, request.maxWaitMs ?? maxWaitMs));
    if (!(waitMs > 0)) throw this.#refuse(ticket, this.#tooLate(ticket.client));
    // When all places are taken, the one that deserves its place least loses it.
    const evicted = this.#waiting < maxWaiting ? undefined : this.#worst(ticket);
    const error = evicted && this.#noRoom(evicted.client, ticket);
    if (evicted === ticket) throw this.#refuse(ticket, error);
    this.#wait(ticket, waitMs);
    if (evicted !== undefined) this.#leave(evicted);
    if (error !== undefined) evicted?.waiter.onRefused(error);
    return ticket;
  }

  /** Engines came or went. What runs goes on running; 0 lets nothing start. */
  resize(maxRunning: number): void {
    if (maxRunning !== Number.POSITIVE_INFINITY) checkCount('maxRunning', maxRunning, 0);
    this.#maxRunning = maxRunning;
    this.#dispatch();
  }

  /** Refuses all that wait and all that come, with `reason`. What runs may end in its time. */
  stop(reason: FlotillaError): void {
    this.#stopped ??= reason;
    const waiting: QueueTicket[] = [];
    for (const client of this.#backlog) {
      for (let head = client.head; head !== undefined; head = client.head) {
        this.#leave(head);
        waiting.push(head);
      }
    }
    this.#deadlines.stop();
    for (const { waiter } of waiting) waiter.onRefused(reason);
  }

  /** A higher limit may let some of those go that wait. */
  #setLimit(name: string, concurrency: number): void {
    const client = this.#clients.get(name);
    if (client === undefined) return;
    const isRaised = concurrency > client.concurrency;
    client.concurrency = concurrency;
    if (isRaised) this.#dispatch();
  }

  #newTicket(request: QueueRequest, waiter: Waiter): QueueTicket {
    const { quantumTokens, headStartMs } = this.#options;
    const { tokens = quantumTokens, priority = PRIORITY.default } = request;
    const level = Math.round(Math.min(PRIORITY.levels - 1, Math.max(0, priority || 0)));
    const enteredMs = this.#clock.now();
    const client = this.#clientOf(request.client);
    client.concurrency = request.concurrency ?? Number.POSITIVE_INFINITY;
    return new QueueTicket(this.#tickets, {
      client,
      waiter,
      level,
      tokens: tokens >= 1 ? Math.min(tokens, QUEUE_DEFAULTS.maxTokens) : 1,
      enteredMs,
      rankMs: enteredMs - level * headStartMs,
      order: this.#order++,
    });
  }

  #clientOf(name: string): ClientShare {
    const known = this.#clients.get(name);
    if (known !== undefined) return known;
    const client = new ClientShare(name);
    this.#clients.set(name, client);
    return client;
  }

  #forgetIdle(client: ClientShare): void {
    if (client.running === 0 && client.waiting === 0) this.#clients.delete(client.name);
  }

  /** It never was in line. */
  #refuse(ticket: QueueTicket, error: FlotillaError | undefined): unknown {
    ticket.state = 'ended';
    this.#forgetIdle(ticket.client);
    return error;
  }

  #run(ticket: QueueTicket, nowMs: number): void {
    ticket.state = 'running';
    ticket.leftLineMs = nowMs;
    ticket.client.running++;
    this.#running++;
  }

  #wait(ticket: QueueTicket, waitMs: number): void {
    ticket.client.add(ticket);
    this.#backlog.add(ticket.client);
    this.#waiting++;
    ticket.tick = this.#deadlines.add(ticket, ticket.enteredMs + waitMs);
  }

  /** The last to go of the client that has most waiting; `newcomer` counts as if it did. */
  #worst(newcomer: QueueTicket): QueueTicket {
    let most = newcomer.client;
    for (const client of this.#backlog) {
      if (client.waiting > most.waiting + (most === newcomer.client ? 1 : 0)) most = client;
    }
    const { tail } = most;
    if (tail === undefined || (most === newcomer.client && tail.goesBefore(newcomer))) {
      return newcomer;
    }
    return tail;
  }

  /** Takes it out of the line; it has no turn. */
  #leave(ticket: QueueTicket): void {
    const { client } = ticket;
    this.#takeOut(ticket);
    // What was saved up for a large request is not for small ones in its place.
    client.credit = Math.min(client.credit, this.#options.quantumTokens);
    ticket.state = 'ended';
    ticket.leftLineMs = this.#clock.now();
    this.#forgetIdle(client);
  }

  #takeOut(ticket: QueueTicket): void {
    const { client } = ticket;
    client.remove(ticket);
    if (client.waiting === 0) this.#backlog.delete(client);
    this.#waiting--;
    if (this.#waiting === 0) this.#lastEndMs = undefined;
    this.#deadlines.remove(ticket, ticket.tick);
  }

  #expire(ticket: QueueTicket): void {
    const error = this.#tooLate(ticket.client);
    this.#leave(ticket);
    ticket.waiter.onRefused(error);
  }

  #end(ticket: QueueTicket, usedTokens: number | undefined): void {
    if (ticket.state === 'ended') return;
    if (ticket.state === 'waiting') {
      this.#leave(ticket);
      return;
    }
    const { client } = ticket;
    ticket.state = 'ended';
    client.running--;
    this.#running--;
    assert(client.running >= 0 && this.#running >= 0, 'more requests ended than ran');
    if (usedTokens !== undefined && usedTokens >= 0) this.#settle(ticket, usedTokens);
    this.#notePace();
    this.#forgetIdle(client);
    this.#dispatch();
  }

  /** Counts what it took, not what was thought; a refund never makes more than a round's worth. */
  #settle({ client, tokens }: QueueTicket, usedTokens: number): void {
    const most = client.waiting > 0 ? this.#options.quantumTokens : 0;
    const settled = client.credit + tokens - Math.min(usedTokens, QUEUE_DEFAULTS.maxTokens);
    client.credit =
      settled < client.credit ? settled : Math.max(client.credit, Math.min(settled, most));
  }

  /** Gives every free place away, then tells those who got one: they may call anything here. */
  #dispatch(): void {
    if (this.#waiting === 0) return;
    const turns: QueueTicket[] = [];
    const now = this.#clock.now();
    while (this.#running < this.#maxRunning) {
      const ticket = this.#next();
      if (ticket === undefined) break;
      ticket.client.credit -= ticket.tokens;
      this.#takeOut(ticket);
      this.#run(ticket, now);
      turns.push(ticket);
    }
    for (const ticket of turns) if (ticket.isRunning) ticket.waiter.onTurn();
  }

  #next(): QueueTicket | undefined {
    let next: QueueTicket | undefined;
    let missing = Number.POSITIVE_INFINITY;
    for (const { head, credit, isAtLimit } of this.#backlog) {
      if (isAtLimit || head === undefined) continue;
      if (head.tokens > credit) missing = Math.min(missing, head.tokens - credit);
      else if (next === undefined || head.goesBefore(next)) next = head;
    }
    if (next !== undefined || missing === Number.POSITIVE_INFINITY) return next;
    this.#beginRounds(Math.ceil(missing / this.#options.quantumTokens));
    return this.#next();
  }

  /** As many as it takes until somebody has enough. Who is at its limit saves nothing up. */
  #beginRounds(rounds: number): void {
    for (const client of this.#backlog) {
      if (!client.isAtLimit) client.credit += rounds * this.#options.quantumTokens;
    }
  }

  #notePace(): void {
    if (this.#waiting === 0) return;
    const now = this.#clock.now();
    if (this.#lastEndMs !== undefined) {
      const sampleMs = now - this.#lastEndMs;
      this.#paceMs ??= sampleMs;
      this.#paceMs += RETRY_AFTER.paceAlpha * (sampleMs - this.#paceMs);
    }
    this.#lastEndMs = now;
  }

  #retryAfterS(waiting: number): number {
    const seconds = Math.ceil((waiting * (this.#paceMs ?? 0)) / 1_000);
    return Math.min(RETRY_AFTER.maxS, Math.max(RETRY_AFTER.minS, seconds));
  }

  #noRoom(client: ClientShare, newcomer: QueueTicket): FlotillaError {
    const { maxWaiting } = this.#options;
    const isNew = newcomer.client.waiting === 0;
    const clients = this.#backlog.size + (isNew ? 1 : 0);
    const own = client.waiting + (client === newcomer.client ? 1 : 0);
    const details = { waiting: this.#waiting, limit: maxWaiting };
    if (clients > 1 && own > Math.ceil(maxWaiting / clients)) {
      const message = `the queue is full, and ${client.waiting} of those that wait are yours`;
      return refusal('too_many_waiting', message, { ...details, ...this.#retry(client.waiting) });
    }
    const message = `the queue is full: ${this.#waiting} requests wait`;
    return refusal('overloaded', message, { ...details, ...this.#retry(this.#waiting) });
  }

  #tooLate(client: ClientShare): FlotillaError {
    if (client.isAtLimit) {
      const message = `${client.running} of your requests run, as many as may at once`;
      const details = { limit: client.concurrency, ...this.#retry(client.waiting) };
      return refusal('too_many_running', message, details);
    }
    const message = `no place became free in time: ${this.#running} requests run`;
    const details = { waiting: this.#waiting, running: this.#running };
    return refusal('queue_timeout', message, { ...details, ...this.#retry(this.#waiting) });
  }

  #retry(waiting: number): { retryAfterS: number } {
    return { retryAfterS: this.#retryAfterS(waiting) };
  }
}

function checkCount(option: string, value: number, least: number): void {
  if (value >= least && Number.isSafeInteger(value)) return;
  throw invalidOption(option, `a whole number of at least ${least}`, value);
}

function checkOptions(options: Required<QueueOptions>): Required<QueueOptions> {
  const { maxRunning } = options;
  if (maxRunning !== Number.POSITIVE_INFINITY) checkCount('maxRunning', maxRunning, 0);
  checkCount('maxWaiting', options.maxWaiting, 0);
  checkCount('quantumTokens', options.quantumTokens, 1);
  for (const option of ['maxWaitMs', 'headStartMs'] as const) {
    const value = options[option];
    if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) {
      throw invalidOption(option, 'a number of milliseconds of at least 0', value);
    }
  }
  return options;
}
