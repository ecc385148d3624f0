// Messages as their entity's node has them: from itself, or from another. What is done with them is
// `ShardHost`'s.
import { FlotillaError } from '../core/index.ts';
import { shardMoved } from './errors.ts';
import { copyOf, packAnswer, packFailure } from './messages.ts';
import type { Payload } from '../peer/index.ts';
import type { Delivery } from './messages.ts';
import type { Incoming, Outgoing, Reject } from './outgoing.ts';

/** A message of this node to itself whose argument is an object: the handler gets a copy. */
export class LocalMessage implements Incoming {
  readonly argument: unknown;
  readonly #message: Outgoing;

  constructor(message: Outgoing, argument: unknown) {
    this.#message = message;
    this.argument = argument;
  }

  get shard(): number {
    return this.#message.shard;
  }

  get epoch(): number {
    return this.#message.epoch;
  }

  get id(): string {
    return this.#message.id;
  }

  get handler(): string {
    return this.#message.handler;
  }

  get deadlineMs(): number {
    return this.#message.deadlineMs;
  }

  answer(reply: unknown): void {
    this.#message.answer(reply);
  }

  refuse(): void {
    this.#message.refuse();
  }

  fail(error: unknown): void {
    this.#message.fail(error);
  }
}

/** A message from another node. Its promise is made only when the answer takes its time. */
export class RemoteMessage implements Incoming {
  readonly shard: number;
  readonly epoch: number;
  readonly id: string;
  readonly handler: string;
  readonly argument: unknown;
  readonly deadlineMs: number;
  #outcome: Payload | FlotillaError | undefined;
  #resolve: ((payload: Payload) => void) | undefined;
  #reject: Reject | undefined;

  constructor([, shard, epoch, id, handler, leftMs, argument]: Delivery, now: number) {
    this.shard = shard;
    this.epoch = epoch;
    this.id = id;
    this.handler = handler;
    this.argument = argument;
    this.deadlineMs = now + leftMs;
  }

  /** Called once, after it was delivered. */
  outcome(): Payload | Promise<Payload> {
    const outcome = this.#outcome;
    if (outcome instanceof FlotillaError) throw outcome;
    if (outcome !== undefined) return outcome;
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  answer(reply: unknown): void {
    if (this.#resolve === undefined) {
      this.#outcome = packAnswer(reply);
      return;
    }
    // It leaves in a later turn: what the entity does until then is not in it.
    try {
      this.#resolve(packAnswer(copyOf(reply)));
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error: unknown): void {
    const outcome = packFailure(error);
    if (this.#resolve === undefined) this.#outcome = outcome;
    else this.#resolve(outcome);
  }

  refuse(): void {
    const error = shardMoved(this.shard);
    if (this.#reject === undefined) this.#outcome = error;
    else this.#reject(error);
  }
}
