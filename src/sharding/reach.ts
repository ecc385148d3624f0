// Which owners cannot be reached at the moment. Messages to them wait in their region, in order and
// sure not to have left, and not in a queue of the network, where nobody can tell.
import { hasCode, sleep } from '../core/index.ts';
import { SHARDING_DEFAULTS } from './defaults.ts';
import { PROCEDURES } from './messages.ts';
import type { Clock } from '../core/index.ts';
import type { RpcHost } from '../peer/index.ts';

/** Failures of a call of which the other end has not seen anything, and that may pass. */
export const UNSENT = ['peer_unreachable', 'identity_refused'];

/** Failures that leave open whether the message arrived. */
export const LOST = ['peer_disconnected', 'deadline_exceeded', 'cancelled'];

export interface ReachComponents {
  readonly host: Pick<RpcHost, 'call'>;
  readonly clock: Clock;
  /** Whether anything waits. */
  readonly needed: () => boolean;
  /** An owner can be reached again, or is worth another try. */
  readonly onBack: () => void;
}

export class Reach {
  readonly #components: ReachComponents;
  readonly #away = new Set<string>();
  readonly #stopped = new AbortController();

  constructor(components: ReachComponents) {
    this.#components = components;
  }

  isAway(owner: string): boolean {
    return this.#away.size > 0 && this.#away.has(owner);
  }

  /** A message to it did not get through: now it is called until it answers. */
  failed(owner: string): void {
    if (this.#away.has(owner) || this.#stopped.signal.aborted) return;
    this.#away.add(owner);
    void this.#call(owner);
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #call(owner: string): Promise<void> {
    const { host, clock, needed, onBack } = this.#components;
    const { signal } = this.#stopped;
    const timeoutMs = SHARDING_DEFAULTS.callTimeoutMs;
    do {
      try {
        await host.call(owner, PROCEDURES.describe, { body: {} }, { timeoutMs, signal });
        break;
      } catch (error) {
        if (!hasCode(error, ...UNSENT, ...LOST)) break;
      }
      await sleep(clock, SHARDING_DEFAULTS.resendMs, signal).catch(() => {});
    } while (!signal.aborted && needed());
    this.#away.delete(owner);
    if (!signal.aborted) onBack();
  }
}
