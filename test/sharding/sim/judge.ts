// Sees the truth of the store and every handler that runs, and knows what must never be. It keeps
// the first violation.
import type { Trace } from '../../sim/trace.ts';

export interface Violation {
  readonly invariant: string;
  readonly details: string;
}

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
  readonly #epochs = new Map<string, number>();

  constructor(trace: Trace, now: () => number) {
    this.#trace = trace;
    this.#now = now;
  }

  violate(invariant: string, details: string): void {
    if (this.violation !== undefined) return;
    this.violation = { invariant, details };
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

  ends(number: number, node: string, epoch: number): void {
    const { type, entity } = this.sent[number]!;
    const key = `${node} ${type}/${entity} ${epoch}`;
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

  /** The table of a type was written. */
  written(type: string, epochs: readonly number[]): void {
    for (const [shard, epoch] of epochs.entries()) {
      const key = `${type} ${shard}`;
      const before = this.#epochs.get(key) ?? 0;
      if (epoch !== before && epoch !== before + 1) {
        this.violate('epochs grow by one', `${key}: ${epoch} after ${before}`);
      }
      this.#epochs.set(key, epoch);
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
