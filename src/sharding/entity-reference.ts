// The sender's handle on one entity, wherever it lives.
import { invalidOption } from '../core/index.ts';
import { MAX_TIMEOUT_MS, SHARDING_DEFAULTS } from './defaults.ts';
import { isTimeout } from './messages.ts';
import type { FlotillaError } from '../core/index.ts';
import type { MessageTo, PlainName, ReplyOf } from './define-entity.ts';
import type { Reject, Resolve } from './outgoing.ts';
import type { TypeRuntime } from './type-runtime.ts';

export interface AskOptions {
  /**
   * The outcome is there by then, a day later at most. Longer than 7 s survives the loss of a node.
   * @default 10 000
   */
  readonly timeoutMs?: number;
}

/** Addresses one entity. Cheap: make it anew or keep it. */
export class EntityReference<H> {
  readonly id: string;
  /** The number of its shard. */
  readonly shard: number;
  readonly #runtime: TypeRuntime;
  readonly #onLost: Reject;

  /** Errors: `entity_id_invalid`. */
  constructor(runtime: TypeRuntime, id: string, onLost: Reject) {
    this.#runtime = runtime;
    this.id = id;
    this.shard = runtime.extractor.shardOf(id);
    this.#onLost = onLost;
  }

  /**
   * The handler's answer. At most once: nothing is ever handled twice on account of it. Leave what
   * you send unchanged until then.
   * Errors: `not_delivered`, `buffer_full`, `mailbox_full`, `entity_stopped` (nothing happened),
   * `outcome_unknown` (it may have), `entity_failed`, `handler_unknown`, `state_too_large`,
   * `type_conflict`, the handler's own.
   */
  ask<K extends PlainName<H>>(message: K, options?: AskOptions): Promise<ReplyOf<H, K>>;
  ask<K extends keyof H>(message: MessageTo<H, K>, options?: AskOptions): Promise<ReplyOf<H, K>>;
  ask(message: unknown, options?: AskOptions): Promise<unknown> {
    const timeoutMs = options?.timeoutMs ?? SHARDING_DEFAULTS.askTimeoutMs;
    return new Promise((resolve, reject) => {
      if (!isTimeout(timeoutMs)) {
        throw invalidOption('timeoutMs', `above 0, to ${MAX_TIMEOUT_MS}`, timeoutMs);
      }
      this.#send(message, timeoutMs, { resolve, reject });
    });
  }

  /** Sends without an answer, at most once and in order. What is lost is counted and logged. */
  tell<K extends PlainName<H>>(message: K): void;
  tell<K extends keyof H>(message: MessageTo<H, K>): void;
  tell(message: unknown): void {
    const settle = { resolve: ignore, reject: this.#onLost };
    this.#send(message, SHARDING_DEFAULTS.askTimeoutMs, settle);
  }

  #send(
    message: unknown,
    timeoutMs: number,
    settle: { readonly resolve: Resolve; readonly reject: Reject },
  ): void {
    const { id, shard } = this;
    let handler: string | undefined;
    let argument: unknown;
    if (typeof message === 'object') {
      for (const name in message) {
        if (handler !== undefined) throw notOne(message as object);
        handler = name;
        argument = (message as Record<string, unknown>)[name];
      }
    }
    handler ??= String(message);
    this.#runtime.send({ shard, id, handler, argument }, timeoutMs, settle);
  }
}

const ignore = () => {};

function notOne(message: object): FlotillaError {
  const rule = 'the name of one handler with its argument';
  return invalidOption('message', rule, Object.keys(message).join(', '));
}
