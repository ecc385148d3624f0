// Keeps a context open for one device: opens it, notices when it is lost, opens it again after a
// pause that doubles, and gives up after too many failures in a row. Commands are the device's.
import { FlotillaError, messageOf } from '../core/index.ts';
import { deviceFault } from './errors.ts';
import type { Clock, Timer } from '../core/index.ts';
import type { DeviceBackend, DeviceContext } from './backend.ts';

/**
 * `new` before `start`, `opening` before the first context, `ready`, `rebuilding` after a fault,
 * `dead` once given up, `stopped`.
 */
export type DeviceState = 'new' | 'opening' | 'ready' | 'rebuilding' | 'dead' | 'stopped';

export interface SupervisorOptions {
  readonly openTimeoutMs: number;
  readonly rebuildDelayMs: number;
  readonly maxRebuildDelayMs: number;
  readonly rebuildAttempts: number;
}

export interface SupervisorEvents {
  opened(context: DeviceContext): void;
  /** The context, or the hope for one, is gone. */
  lost(error: FlotillaError, willRetry: boolean): void;
}

/** At most one context at a time; one that was lost is closed and never looked at again. */
export class Supervisor {
  readonly #backend: DeviceBackend;
  readonly #clock: Clock;
  readonly #options: SupervisorOptions;
  readonly #events: SupervisorEvents;
  #state: DeviceState = 'new';
  #context: DeviceContext | undefined;
  #failures = 0;
  #faults = 0;
  #reason: FlotillaError | undefined;
  #timer: Timer | undefined;
  /** Grows with each opening, so that a late one is recognised. */
  #opening = 0;

  constructor(
    { backend, clock }: { backend: DeviceBackend; clock: Clock },
    options: SupervisorOptions,
    events: SupervisorEvents,
  ) {
    this.#backend = backend;
    this.#clock = clock;
    this.#options = options;
    this.#events = events;
  }

  get state(): DeviceState {
    return this.#state;
  }

  /** The context that may be used now. */
  get context(): DeviceContext | undefined {
    return this.#context;
  }

  /** Why the device is dead, when it is. */
  get reason(): FlotillaError | undefined {
    return this.#reason;
  }

  /** Contexts that were lost. */
  get faults(): number {
    return this.#faults;
  }

  /** Opens the first context, or the first after death. Rejects with why it cannot be opened. */
  async start(): Promise<void> {
    if (this.#state !== 'new' && this.#state !== 'dead') return;
    this.#state = 'opening';
    this.#failures = 0;
    try {
      await this.#open();
    } catch (error) {
      if (this.#state === 'opening') this.#giveUp(error);
      throw error;
    }
  }

  /** The context failed. Of one that is no longer used nothing is heard. */
  fault(context: DeviceContext, error: FlotillaError): void {
    if (this.#context !== context) return;
    this.#context = undefined;
    this.#faults++;
    void context.close().catch(() => {});
    this.#retry(error);
  }

  /** A command was done: failures before it do not count any more. */
  worked(context: DeviceContext): void {
    if (this.#context === context) this.#failures = 0;
  }

  /** Why commands are refused when the state is `dead`. */
  deadError(address: string): FlotillaError {
    const reason = this.#reason?.message ?? 'unknown';
    const message = `${address} is dead after ${this.#failures} failures; the last: ${reason}`;
    return new FlotillaError('device_dead', message, { cause: this.#reason });
  }

  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#timer?.cancel();
    this.#opening++;
    const context = this.#context;
    this.#context = undefined;
    await context?.close();
  }

  #retry(error: FlotillaError): void {
    const { rebuildAttempts, rebuildDelayMs, maxRebuildDelayMs } = this.#options;
    if (this.#failures + 1 >= rebuildAttempts) {
      this.#giveUp(error);
      return;
    }
    this.#state = 'rebuilding';
    const delay = Math.min(maxRebuildDelayMs, rebuildDelayMs * 2 ** this.#failures);
    this.#failures++;
    this.#timer = this.#clock.schedule(delay, () => {
      this.#open().catch((cause: unknown) => {
        if (this.#state !== 'rebuilding') return;
        this.#retry(cause instanceof FlotillaError ? cause : deviceFault(messageOf(cause), cause));
      });
    });
    this.#events.lost(error, true);
  }

  #giveUp(cause: unknown): void {
    this.#failures++;
    this.#reason = cause instanceof FlotillaError ? cause : deviceFault(messageOf(cause), cause);
    this.#state = 'dead';
    this.#events.lost(this.#reason, false);
  }

  /** Rejects when the context cannot be had in time; one that comes later is closed again. */
  async #open(): Promise<void> {
    const opening = ++this.#opening;
    const { openTimeoutMs } = this.#options;
    const timeout = Promise.withResolvers<never>();
    const timer = this.#clock.schedule(openTimeoutMs, () => {
      const message = `no ${this.#backend.kind} context within ${openTimeoutMs} ms`;
      this.#opening++;
      timeout.reject(new FlotillaError('deadline_exceeded', message));
    });
    const opened = this.#backend.open();
    void opened.then(
      (late) => {
        if (opening !== this.#opening) void late.close().catch(() => {});
      },
      () => {},
    );
    try {
      const context = await Promise.race([opened, timeout.promise]);
      if (opening !== this.#opening) return;
      this.#context = context;
      this.#state = 'ready';
      void context.lost.then((error) => this.fault(context, error));
      this.#events.opened(context);
    } finally {
      timer.cancel();
    }
  }
}
