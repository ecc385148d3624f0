// One message on its way to an entity, from the sender's call to its one outcome. What happens to
// it in between is decided by `Region` (where it waits) and `ShardHost` (where it is handled).
import { notDelivered, outcomeUnknown } from './errors.ts';
import { copyOf } from './messages.ts';
import type { Expirable } from '../core/index.ts';

/** What an owner sees of a message. Exactly one of the three ends it. */
export interface Incoming {
  readonly shard: number;
  readonly epoch: number;
  readonly id: string;
  readonly handler: string;
  readonly argument: unknown;
  /** On the owner's monotonic clock. */
  readonly deadlineMs: number;
  answer(reply: unknown): void;
  /** It was not handled, and is not going to be at this epoch. */
  refuse(): void;
  fail(error: unknown): void;
}

/** Where a message's way ends, told to its region. */
export interface OutgoingOwner {
  answered(message: Outgoing): void;
  refused(message: Outgoing): void;
  expired(message: Outgoing): void;
}

export interface OutgoingContent {
  readonly shard: number;
  readonly id: string;
  readonly handler: string;
  readonly argument: unknown;
  readonly deadlineMs: number;
}

export type Resolve = (reply: unknown) => void;
export type Reject = (error: unknown) => void;

export class Outgoing implements Incoming, Expirable {
  readonly shard: number;
  readonly id: string;
  readonly handler: string;
  readonly argument: unknown;
  readonly deadlineMs: number;
  /** At which it was sent last. */
  epoch = 0;
  /** Its place among the shard's messages. */
  order = 0;
  /** Which run of its route it was sent in; -1 while it is not on its way. */
  run = -1;
  /** It is in its region's buffer. */
  waits = false;
  /** It came back because it never left. */
  unsent = false;
  /** Of its deadline. */
  tick = 0;
  settled = false;
  readonly #region: OutgoingOwner;
  readonly #resolve: Resolve;
  readonly #reject: Reject;

  constructor(
    region: OutgoingOwner,
    content: OutgoingContent,
    settle: { readonly resolve: Resolve; readonly reject: Reject },
  ) {
    this.shard = content.shard;
    this.id = content.id;
    this.handler = content.handler;
    this.argument = content.argument;
    this.deadlineMs = content.deadlineMs;
    this.#region = region;
    this.#resolve = settle.resolve;
    this.#reject = settle.reject;
  }

  /** From an entity of this node: a copy, or caller and entity would share what they hold. */
  answer(reply: unknown): void {
    let copy: unknown;
    try {
      copy = copyOf(reply);
    } catch (error) {
      this.fail(error);
      return;
    }
    this.arrive(copy);
  }

  /** The answer is here. */
  arrive(reply: unknown): void {
    this.#region.answered(this);
    this.settle(undefined, reply);
  }

  fail(error: unknown): void {
    this.#region.answered(this);
    this.settle(error);
  }

  refuse(): void {
    this.#region.refused(this);
  }

  expire(): void {
    this.#region.expired(this);
  }

  /** Tells the sender, once. */
  settle(error: unknown, reply?: unknown): void {
    if (this.settled) return;
    this.settled = true;
    if (error === undefined) this.#resolve(reply);
    else this.#reject(error);
  }

  /** It ends before it was sent. */
  drop(reason: string, cause?: unknown): void {
    this.settle(notDelivered(this.id, reason, cause));
  }

  /** It ends somewhere between here and its entity. */
  lose(reason: string, cause?: unknown): void {
    this.settle(outcomeUnknown(this.id, reason, cause));
  }
}
