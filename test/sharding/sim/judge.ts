// Sees the truth of the store and every handler that runs, and knows what must never be. It keeps
// the first violation.
import { Ownership } from './ownership.ts';
import type { Violation } from '../../sim/history.ts';
import type { StoreServer } from '../../sim/store-server.ts';
import type { Trace } from '../../sim/trace.ts';
import type { At } from './ownership.ts';

/** One message and all that is known of it. */
export interface Sent {
  readonly number: number;
  readonly type: string;
  readonly entity: string;
  readonly sender: string;
  /** Among those of this sender to this entity. */
  readonly sequence: number;
  readonly deadlineMs: number;
  readonly isTell: boolean;
  outcome: 'open' | 'answered' | 'not_delivered' | 'unknown';
  /** Times that a handler began with it. */
  handled: number;
}

export interface Handling {
  readonly type: string;
  readonly shard: number;
  readonly epoch: number;
  readonly node: string;
  readonly session: number | undefined;
}

export class Judge {
  readonly sent: Sent[] = [];
  violation: Violation | undefined;
  readonly #trace: Trace;
  readonly #now: () => number;
  readonly #last = new Map<string, number>();
  /** Handlers that run, by entity. */
  readonly #running = new Map<string, number>();
  /** By entity, what was acknowledged last. */
  readonly #answered = new Map<string, number>();
  readonly ownership: Ownership;

  constructor(trace: Trace, now: () => number, server: StoreServer) {
    this.#trace = trace;
    this.#now = now;
    this.ownership = new Ownership(server, now, (...what) => this.violate(...what));
  }

  violate(invariant: string, details: string): void {
    if (this.violation !== undefined) return;
    this.violation = { invariant, details, nodes: [], atMs: this.#now() };
    this.#trace.add(this.#now(), 'VIOLATION', invariant);
  }

  /** A handler begins. `truth`: what the store has for the shard at this moment. */
  begins(
    number: number,
    by: Handling,
    truth: { owner: string; session: number; epoch: number } | undefined,
  ): void {
    const message = this.sent[number]!;
    const where = `${by.type} shard ${by.shard} at ${by.node}, epoch ${by.epoch}`;
    this.#trace.add(this.#now(), by.node, 'handles', number, by.type, message.entity, by.epoch);
    const owns = truth?.owner === by.node && truth.session === by.session;
    // One step further: a handoff was called off before its owner had even heard of it.
    const current = truth !== undefined && by.epoch <= truth.epoch && truth.epoch <= by.epoch + 1;
    if (!owns || !current) {
      const has = truth === undefined ? 'nothing' : `${truth.owner} at epoch ${truth.epoch}`;
      this.violate('only the owner handles messages', `${where}, but the store has ${has}`);
    }
    message.handled++;
    if (message.handled > 1) {
      this.violate('nothing is handled twice', `message ${number} of ${message.sender}: ${where}`);
    }
    const pair = `${message.sender}>${message.type}/${message.entity}`;
    const before = this.#last.get(pair) ?? -1;
    if (message.sequence <= before) {
      const details = `${pair}: ${message.sequence} after ${before}`;
      this.violate('messages of a pair keep their order', details);
    }
    this.#last.set(pair, message.sequence);
    // One that outlived its node's session may still run: its epoch is over, and it has no effect.
    const entity = `${by.node} ${message.type}/${message.entity} ${by.epoch}`;
    const running = (this.#running.get(entity) ?? 0) + 1;
    this.#running.set(entity, running);
    if (running > 1) this.violate('one message at a time', entity);
  }

  /** An entity that is in memory begins with what it remembers. */
  holds(number: number, count: number, at: At): void {
    this.ownership.holds(this.sent[number]!, count, at);
  }

  /** A durable entity begins: it knows what somebody has an answer to. */
  keeps(number: number, seen: readonly number[]): void {
    const { type, entity } = this.sent[number]!;
    const last = this.#answered.get(`${type}/${entity}`);
    if (last === undefined || seen.includes(last)) return;
    const details = `${type}/${entity} has not got ${last} at message ${number}`;
    this.violate('what was acknowledged is there', details);
  }

  ends(number: number, node: string, at: At): void {
    const message = this.sent[number]!;
    const key = `${node} ${message.type}/${message.entity} ${at.epoch}`;
    this.ownership.handled(message, at);
    this.#running.set(key, (this.#running.get(key) ?? 1) - 1);
  }

  /** A node ended, and with it all its handlers. */
  ended(node: string): void {
    for (const key of [...this.#running.keys()]) {
      if (key.startsWith(`${node} `)) this.#running.delete(key);
    }
  }

  /** `onClockMs`: when, on the sender's clock; `resumedMs`: when it was last held up. */
  settled(
    number: number,
    code: string | undefined,
    { onClockMs, resumedMs }: { onClockMs: number; resumedMs: number },
  ): void {
    const message = this.sent[number]!;
    this.#trace.add(this.#now(), message.sender, 'hears', number, code ?? 'answer');
    if (message.outcome !== 'open') this.violate('an ask settles once', `message ${number}`);
    if (onClockMs > Math.max(message.deadlineMs, resumedMs) + LATE_MS) {
      const lateMs = Math.round(onClockMs - message.deadlineMs);
      this.violate('an ask settles by its deadline', `message ${number}, ${lateMs} ms late`);
    }
    if (code === undefined) {
      message.outcome = 'answered';
      this.#answered.set(`${message.type}/${message.entity}`, number);
      if (message.handled !== 1) {
        this.violate('an answer comes of one handling', `message ${number}: ${message.handled}`);
      }
    } else if (code === 'not_delivered') {
      message.outcome = 'not_delivered';
    } else if (code === 'outcome_unknown') {
      message.outcome = 'unknown';
    } else {
      this.violate('a typed outcome', `message ${number}: ${code}`);
    }
  }

  /** When nothing is under way any more. `alive`: lives that could have heard. */
  atEnd(alive: ReadonlySet<string>, calm: boolean): void {
    for (const message of this.sent) {
      const { number, outcome, handled, sender, isTell } = message;
      if (outcome === 'not_delivered' && handled > 0) {
        this.violate('what was not delivered was not handled', `message ${number}`);
      }
      if (outcome === 'open' && alive.has(sender) && !isTell) {
        this.violate('every ask settles', `message ${number} of ${sender}`);
      }
      // Who left did not wait for what it had sent.
      if (calm && handled === 0 && alive.has(sender)) {
        const details = `message ${number} of ${sender} to ${message.entity}: ${outcome}`;
        this.violate('planned moves lose nothing', details);
      }
    }
  }
}

/** Deadlines are kept in steps of 10 ms, on clocks that run wrong by up to 5 %. */
const LATE_MS = 60;
