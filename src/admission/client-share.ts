// What the admission queue knows of one client: what it has running and waiting, and how much of
// its share of the present rounds is left. Rounds are admission-queue.ts's.
import { PRIORITY } from './defaults.ts';
import { TicketLine } from './ticket.ts';
import type { QueueTicket } from './ticket.ts';

export class ClientShare {
  readonly name: string;
  /** Requests of it that may run at once. */
  concurrency = Number.POSITIVE_INFINITY;
  running = 0;
  waiting = 0;
  /** Tokens that it may still start; negative when what it started took more than was thought. */
  credit = 0;
  #head: QueueTicket | undefined;
  /** By priority; made when first needed. */
  readonly #lines: (TicketLine | undefined)[] = new Array(PRIORITY.levels);

  constructor(name: string) {
    this.name = name;
  }

  /** May not have more running, however idle the rest is. */
  get isAtLimit(): boolean {
    return this.running >= this.concurrency;
  }

  /** The next to go of those that wait. */
  get head(): QueueTicket | undefined {
    return this.#head;
  }

  /** The last to go of those that wait. */
  get tail(): QueueTicket | undefined {
    let tail: QueueTicket | undefined;
    for (const line of this.#lines) {
      const last = line?.last;
      if (last !== undefined && (tail === undefined || tail.goesBefore(last))) tail = last;
    }
    return tail;
  }

  add(ticket: QueueTicket): void {
    let line = this.#lines[ticket.level];
    if (line === undefined) {
      line = new TicketLine();
      this.#lines[ticket.level] = line;
    }
    line.push(ticket);
    this.waiting++;
    if (this.#head === undefined || ticket.goesBefore(this.#head)) this.#head = ticket;
  }

  remove(ticket: QueueTicket): void {
    this.#lines[ticket.level]?.remove(ticket);
    this.waiting--;
    if (this.#head === ticket) this.#head = this.#findHead();
    // A share is for those who wait: it is not saved up. What is owed stays owed.
    if (this.waiting === 0) this.credit = Math.min(this.credit, 0);
  }

  #findHead(): QueueTicket | undefined {
    let head: QueueTicket | undefined;
    for (const line of this.#lines) {
      const first = line?.first;
      if (first !== undefined && (head === undefined || first.goesBefore(head))) head = first;
    }
    return head;
  }
}
