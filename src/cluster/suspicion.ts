// How long a suspected member has to refute: long when one member alone accuses it, shorter with
// each further accuser. Pure; the clock is the caller's.
import type { MembershipOptions } from './membership-types.ts';

export interface SuspicionRule {
  readonly minMs: number;
  readonly maxMs: number;
  /** Accusers beside the first that bring the time down to `minMs`. */
  readonly confirmations: number;
}

/** The rule in a fleet of `members`, this node included. */
export function suspicionRule(options: MembershipOptions, members: number): SuspicionRule {
  const { suspicionMultiplier, suspicionMaxMultiplier, suspicionConfirmations } = options;
  const intervals = suspicionMultiplier * Math.max(1, Math.log10(Math.max(1, members)));
  const minMs = Math.max(options.suspicionFloorMs, intervals * options.probeIntervalMs);
  // Neither the accuser nor the accused can confirm: with too few others nobody is waited for, and
  // with just enough one of them may be missed, as its word may be lost beneath another's.
  const others = members - 2;
  const enough = Math.max(0, Math.min(suspicionConfirmations, others - 1));
  const confirmations = others >= suspicionConfirmations ? enough : 0;
  return { minMs, maxMs: minMs * suspicionMaxMultiplier, confirmations };
}

/**
 * The time that a suspicion lasts after `confirmed` confirmations.
 * @see Lifeguard (Dadgar, Phillips, Currey 2017), section IV-B
 */
export function suspicionTimeoutMs(rule: SuspicionRule, confirmed: number): number {
  const { minMs, maxMs, confirmations } = rule;
  if (confirmations === 0) return minMs;
  const share = Math.log(confirmed + 1) / Math.log(confirmations + 1);
  return Math.max(minMs, maxMs - (maxMs - minMs) * share);
}

/** One suspicion of one incarnation. */
export class Suspicion {
  readonly #rule: SuspicionRule;
  readonly #accusers = new Set<string>();
  #startedMs: number;
  #probe: number | undefined;

  constructor(rule: SuspicionRule, by: string, nowMs: number) {
    this.#rule = rule;
    this.#accusers.add(by);
    this.#startedMs = nowMs;
  }

  get startedMs(): number {
    return this.#startedMs;
  }

  /** When the member is dead unless it refuted. */
  get deadlineMs(): number {
    return this.#startedMs + suspicionTimeoutMs(this.#rule, this.#accusers.size - 1);
  }

  /**
   * When this node is to ask the member itself; Infinity once it did. A refutation is gossip, so it
   * may miss somebody; the answer to a probe cannot.
   */
  get askAtMs(): number {
    return this.#probe !== undefined ? Infinity : this.#startedMs + this.#rule.minMs / 2;
  }

  /** The number of the probe that asks the member; while it is under way nothing is decided. */
  get probe(): number | undefined {
    return this.#probe;
  }

  /** The member is being asked by `probe`; 0 when it cannot be. */
  asked(probe: number): void {
    this.#probe = probe;
  }

  /** True when `by` is a further accuser that counts: worth telling others. */
  confirm(by: string): boolean {
    if (this.#accusers.size > this.#rule.confirmations || this.#accusers.has(by)) return false;
    this.#accusers.add(by);
    return true;
  }

  /** Gives the member `byMs` more. */
  extend(byMs: number): void {
    this.#startedMs += byMs;
  }
}
