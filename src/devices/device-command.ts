// One command of a device, from the moment it is asked for to the moment its caller knows. It owns
// the promise, the deadline and the cancellation; when it runs is the device's decision.
import { FlotillaError } from '../core/index.ts';
import type { Deadlines, Expirable } from '../core/index.ts';
import type { DeviceContext } from './backend.ts';

export interface CommandOptions {
  /** How long the command may take, waiting included. @default 30 000 */
  readonly timeoutMs?: number;
  /** Gives up when it aborts. What already runs may still take effect. */
  readonly signal?: AbortSignal;
}

export interface CommandParts<T> {
  /** What is done, for messages. */
  readonly what: string;
  /** Host data that waits with it. */
  readonly bytes: number;
  run(context: DeviceContext): Promise<T>;
  /** Takes back what was done when nobody waits for it any more. */
  undo?(context: DeviceContext, result: T): void;
}

/** Settles once; later outcomes are ignored. */
export class DeviceCommand<T = unknown> implements Expirable {
  readonly what: string;
  readonly bytes: number;
  readonly promise: Promise<T>;
  readonly #parts: CommandParts<T>;
  readonly #resolvers = Promise.withResolvers<T>();
  readonly #deadlines: Deadlines;
  readonly #timeoutMs: number;
  readonly #tick: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.#giveUp('cancelled', 'was cancelled');
  readonly #onSettled: () => void;
  #settled = false;

  /** `deadlineMs` is on the clock of `deadlines`. */
  constructor(
    parts: CommandParts<T>,
    timing: { deadlines: Deadlines; nowMs: number; timeoutMs: number; signal?: AbortSignal },
    onSettled: (command: DeviceCommand) => void,
  ) {
    this.#parts = parts;
    this.what = parts.what;
    this.bytes = parts.bytes;
    this.promise = this.#resolvers.promise;
    this.#deadlines = timing.deadlines;
    this.#timeoutMs = timing.timeoutMs;
    this.#tick = timing.deadlines.add(this, timing.nowMs + timing.timeoutMs);
    this.#onSettled = () => onSettled(this as DeviceCommand);
    this.#signal = timing.signal;
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** Runs on `context` and settles. Rejects with what the context raised; never when it settled. */
  async run(context: DeviceContext): Promise<void> {
    const result = await this.#parts.run(context);
    if (this.#settled) this.#parts.undo?.(context, result);
    else if (this.#finish()) this.#resolvers.resolve(result);
  }

  reject(error: unknown): void {
    if (this.#finish()) this.#resolvers.reject(error);
  }

  expire(): void {
    this.#giveUp('deadline_exceeded', `did not finish within ${this.#timeoutMs} ms`);
  }

  #giveUp(code: string, how: string): void {
    const cause = code === 'cancelled' ? { cause: this.#signal?.reason } : {};
    this.reject(new FlotillaError(code, `${this.what} ${how}`, cause));
  }

  #finish(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#deadlines.remove(this, this.#tick);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#onSettled();
    return true;
  }
}
