// Follows whether an engine is up: the rule, which is pure, and the loop that asks one check after
// the other. What a check asks, and what follows from a change, is for its owner.
import { hasCode } from '../core/index.ts';
import type { Clock, FlotillaError, Timer } from '../core/index.ts';

export type Health = 'unknown' | 'up' | 'down';

/**
 * One good check is enough to be up: an engine that answers may have requests, and breakers watch
 * them. One bad check is not enough to be down: a busy engine answers late.
 */
export class HealthRule {
  readonly #failures: number;
  #failed = 0;
  #health: Health = 'unknown';

  constructor(failures: number) {
    this.#failures = failures;
  }

  get health(): Health {
    return this.#health;
  }

  /** Takes in the outcome of a check; whether the health changed. */
  checked(ok: boolean): boolean {
    const before = this.#health;
    this.#failed = ok ? 0 : this.#failed + 1;
    if (ok) this.#health = 'up';
    else if (before === 'up' && this.#failed >= this.#failures) this.#health = 'down';
    return this.#health !== before;
  }
}

export interface HealthWatchOptions {
  readonly failures: number;
  readonly checkIntervalMs: number;
  readonly retryIntervalMs: number;
}

export interface HealthWatchComponents {
  readonly clock: Clock;
  /** Rejects when the engine cannot take requests. */
  readonly check: (signal: AbortSignal) => Promise<void>;
  /** After every check, with what it found and whether that changed the health. */
  readonly onChecked: (result: { problem?: FlotillaError; changed: boolean }) => void;
}

/** Checks from its making until its stop. */
export class HealthWatch {
  readonly #components: HealthWatchComponents;
  readonly #options: HealthWatchOptions;
  readonly #rule: HealthRule;
  readonly #abort = new AbortController();
  #timer: Timer | undefined;

  constructor(components: HealthWatchComponents, options: HealthWatchOptions) {
    this.#components = components;
    this.#options = options;
    this.#rule = new HealthRule(options.failures);
    void this.#check();
  }

  get health(): Health {
    return this.#rule.health;
  }

  /** Nothing is told any more, not even of a check that is under way. */
  stop(): void {
    this.#abort.abort();
    this.#timer?.cancel();
  }

  async #check(): Promise<void> {
    const { clock, check, onChecked } = this.#components;
    let problem: FlotillaError | undefined;
    try {
      await check(this.#abort.signal);
    } catch (error) {
      if (!this.#abort.signal.aborted && !hasCode(error)) throw error;
      problem = error as FlotillaError;
    }
    if (this.#abort.signal.aborted) return;
    const changed = this.#rule.checked(problem === undefined);
    const { checkIntervalMs, retryIntervalMs } = this.#options;
    const delayMs =
      this.health === 'up' && problem === undefined ? checkIntervalMs : retryIntervalMs;
    this.#timer = clock.schedule(delayMs, () => void this.#check());
    onChecked({ changed, ...(problem !== undefined && { problem }) });
  }
}
