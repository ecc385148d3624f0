// One who waits for something on a channel: until it comes, the deadline passes, the signal aborts
// or the channel ends.
import { FlotillaError } from '../core/index.ts';
import type { Clock, Deadlines, Expirable } from '../core/index.ts';

export interface WaitLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface WaitComponents {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** What is waited on, for the errors. */
  readonly peer: string;
  readonly label: string;
}

/** Settles once; what comes later is ignored. No closure per wait but for a signal's listener. */
export class Wait<T> implements Expirable {
  readonly promise: Promise<T>;
  /** Where it stands in line; it leaves before whoever waits goes on. */
  line: { delete(wait: Wait<T>): boolean };
  readonly #components: WaitComponents;
  #signal: AbortSignal | undefined;
  #onAbort: (() => void) | undefined;
  readonly #tick: number;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;

  constructor(components: WaitComponents, limits: WaitLimits, line: Wait<T>['line']) {
    this.#components = components;
    this.line = line;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    const { clock, deadlines } = components;
    this.#tick = deadlines.add(this, clock.now() + limits.timeoutMs);
    if (limits.signal !== undefined) this.#listen(limits.signal);
  }

  resolve(value: T): void {
    this.#release();
    this.#resolve(value);
  }

  reject(error: unknown): void {
    this.#release();
    this.#reject(error);
  }

  expire(): void {
    const { peer, label } = this.#components;
    const message = `${label} with ${peer} did not move before the deadline`;
    const details = { peer, channel: label };
    this.reject(new FlotillaError('deadline_exceeded', message, { details }));
  }

  #listen(signal: AbortSignal): void {
    this.#signal = signal;
    this.#onAbort = () => this.reject(waitCancelled(this.#components, signal));
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  #release(): void {
    this.line.delete(this);
    this.#components.deadlines.remove(this, this.#tick);
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

export function waitCancelled(
  { peer, label }: Pick<WaitComponents, 'peer' | 'label'>,
  signal: AbortSignal,
): FlotillaError {
  return new FlotillaError('cancelled', `the wait on ${label} with ${peer} was cancelled`, {
    details: { peer, channel: label },
    cause: signal.reason,
  });
}
