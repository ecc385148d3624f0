// The sender's handle on one entity, wherever it lives.
import { SHARDING_DEFAULTS } from './defaults.ts';
import type { MessageTo, PlainName, ReplyOf } from './define-entity.ts';
import type { Reject, Resolve } from './outgoing.ts';
import type { TypeRuntime } from './type-runtime.ts';

export interface AskOptions {
  /** The outcome is there by then. Longer than 7 s survives the loss of a node. @default 10 000 */
  readonly timeoutMs?: number;
}

/** Addresses one entity. Cheap: make it anew or keep it. */
export class EntityReference<H> {
  readonly id: string;
  readonly #runtime: TypeRuntime;
  readonly #onLost: Reject;

  constructor(runtime: TypeRuntime, id: string, onLost: Reject) {
    this.#runtime = runtime;
    this.id = id;
    this.#onLost = onLost;
  }

  /** The number of its shard. */
  get shard(): number {
    return this.#runtime.extractor.shardOf(this.id);
  }

  /**
   * The handler's answer. At most once: nothing is ever handled twice on account of it.
   * Errors: `not_delivered`, `buffer_full`, `mailbox_full`, `entity_stopped` (nothing happened),
   * `outcome_unknown` (it may have), `entity_failed`, `handler_unknown`, the handler's own.
   */
  ask<K extends PlainName<H>>(message: K, options?: AskOptions): Promise<ReplyOf<H, K>>;
  ask<K extends keyof H>(message: MessageTo<H, K>, options?: AskOptions): Promise<ReplyOf<H, K>>;
  ask(message: unknown, options?: AskOptions): Promise<unknown> {
    const timeoutMs = options?.timeoutMs ?? SHARDING_DEFAULTS.askTimeoutMs;
    return new Promise((resolve, reject) => {
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
    const { id } = this;
    if (typeof message === 'object' && message !== null) {
      for (const handler in message) {
        const argument = (message as Record<string, unknown>)[handler];
        this.#runtime.send({ id, handler, argument }, timeoutMs, settle);
        return;
      }
    }
    const content = { id, handler: String(message), argument: undefined };
    this.#runtime.send(content, timeoutMs, settle);
  }
}

const ignore = () => {};
