// The probes that are under way, this node's own and those on behalf of others: who is asked, who
// answered, and whom nobody could reach. What follows from it is `Membership`'s.
import type { Awareness } from './awareness.ts';
import type { Entry, MemberTable } from './member-table.ts';
import type { MembershipOptions } from './membership-types.ts';

/** What a prober lets others do. */
export interface ProberActions {
  ping(entry: Entry, seq: number): void;
  pingRequest(helper: Entry, seq: number, target: Entry): void;
  answer(to: string, type: 'ack' | 'nack', seq: number): void;
  /** Nobody reached the member. */
  failed(entry: Entry): void;
  /** Something of the prober's falls due then. */
  wake(atMs: number): void;
}

export interface ProberComponents {
  readonly table: MemberTable;
  readonly awareness: Awareness;
  readonly actions: ProberActions;
  /** Numbers begin here, so that answers to an earlier life fit nothing. */
  readonly firstSeq: number;
}

/** A probe of this node's own. */
interface Probe {
  readonly entry: Entry;
  /** Who was asked to probe too, and has not said that it failed. */
  readonly helpers: Set<string>;
  asked: number;
  /** When others are asked; Infinity once they were. */
  timeoutMs: number;
  deadlineMs: number;
}

/** A probe on behalf of `requester`. */
interface Errand {
  readonly requester: string;
  readonly requesterSeq: number;
  readonly target: string;
  /** When the requester is told that it failed. */
  deadlineMs: number;
}

/** A probe lasts this many timeouts at least: one direct, one by way of others, and the travel. */
const TIMEOUTS_IN_PROBE = 2.5;
/** A helper says so while the requester still waits. @see Lifeguard, section IV-A */
const NACK_AT = 0.8;
/** In one round, as many members as this are passed over because they were heard from. */
const MAX_PASSED_OVER = 16;

export class Prober {
  readonly #components: ProberComponents;
  readonly #options: MembershipOptions;
  readonly #probes = new Map<number, Probe>();
  readonly #errands = new Map<number, Errand>();
  #seq: number;

  constructor(components: ProberComponents, options: MembershipOptions) {
    this.#components = components;
    this.#options = options;
    this.#seq = components.firstSeq;
  }

  /** Probes and errands under way. */
  get pending(): number {
    return this.#probes.size + this.#errands.size;
  }

  /** Probes the next members that were not heard from within the last interval. */
  round(nowMs: number): void {
    const { table, awareness } = this.#components;
    const { probesPerInterval, probeIntervalMs } = this.#options;
    const considered = Math.min(table.living.length, probesPerInterval + MAX_PASSED_OVER);
    let started = 0;
    for (let i = 0; i < considered && started < probesPerInterval; i++) {
      const entry = table.nextToProbe();
      if (entry === undefined) return;
      if (nowMs - entry.heardMs < probeIntervalMs) continue;
      this.start(entry, nowMs);
      started++;
    }
    // Everybody spoke lately: as good as an answer.
    if (started === 0 && considered > 0) awareness.adjust(-1);
  }

  /** Probes one member now, unless that is being done. */
  start(entry: Entry, nowMs: number): void {
    if (entry.probe !== 0 || this.#probes.size >= this.#options.maxPendingProbes) return;
    const { awareness, actions } = this.#components;
    const { probeTimeoutMs, probeIntervalMs } = this.#options;
    const seq = this.#nextSeq();
    const spanMs = Math.max(probeIntervalMs, TIMEOUTS_IN_PROBE * probeTimeoutMs);
    const probe: Probe = {
      entry,
      helpers: new Set(),
      asked: 0,
      timeoutMs: nowMs + awareness.scale(probeTimeoutMs),
      deadlineMs: nowMs + awareness.scale(spanMs),
    };
    entry.probe = seq;
    this.#probes.set(seq, probe);
    actions.wake(probe.timeoutMs);
    actions.ping(entry, seq);
  }

  /** `requester` asks this node to probe `target`. */
  errand(requester: string, requesterSeq: number, target: Entry, nowMs: number): void {
    const { actions } = this.#components;
    if (this.#errands.size >= this.#options.maxPendingProbes) return;
    const deadlineMs = nowMs + NACK_AT * this.#options.probeTimeoutMs;
    const seq = this.#nextSeq();
    const { name } = target.member;
    this.#errands.set(seq, { requester, requesterSeq, target: name, deadlineMs });
    actions.wake(deadlineMs);
    actions.ping(target, seq);
  }

  /** An answer from the member itself, or from somebody who reached it. */
  acked(seq: number, from: string): void {
    const errand = this.#errands.get(seq);
    if (errand?.target === from) {
      this.#errands.delete(seq);
      this.#components.actions.answer(errand.requester, 'ack', errand.requesterSeq);
    }
    const probe = this.#probes.get(seq);
    if (probe?.helpers.has(from)) this.succeeded(probe.entry);
  }

  /** A helper could not reach the member. */
  nacked(seq: number, from: string): void {
    this.#probes.get(seq)?.helpers.delete(from);
  }

  /** The member showed that it lives. */
  succeeded(entry: Entry): void {
    if (entry.probe === 0) return;
    this.cancel(entry);
    this.#components.awareness.adjust(-1);
  }

  /** Nobody waits for the member any more. */
  cancel(entry: Entry): void {
    this.#probes.delete(entry.probe);
    entry.probe = 0;
  }

  tick(nowMs: number): void {
    for (const [seq, errand] of this.#errands) {
      if (nowMs < errand.deadlineMs) continue;
      this.#errands.delete(seq);
      this.#components.actions.answer(errand.requester, 'nack', errand.requesterSeq);
    }
    for (const [seq, probe] of this.#probes) {
      if (nowMs >= probe.deadlineMs) this.#fail(probe);
      else if (nowMs >= probe.timeoutMs) this.#askOthers(seq, probe);
    }
  }

  /** When `tick` has something to do. */
  nextAt(): number {
    let at = Infinity;
    for (const { deadlineMs } of this.#errands.values()) at = Math.min(at, deadlineMs);
    for (const { timeoutMs, deadlineMs } of this.#probes.values()) {
      at = Math.min(at, timeoutMs, deadlineMs);
    }
    return at;
  }

  /** Gives everybody who was asked `byMs` more. */
  extend(byMs: number): void {
    for (const errand of this.#errands.values()) errand.deadlineMs += byMs;
    for (const probe of this.#probes.values()) {
      probe.timeoutMs += byMs;
      probe.deadlineMs += byMs;
    }
  }

  #askOthers(seq: number, probe: Probe): void {
    const { table, actions } = this.#components;
    probe.timeoutMs = Infinity;
    for (const helper of table.sample(this.#options.indirectProbes, probe.entry)) {
      probe.helpers.add(helper.member.name);
      probe.asked++;
      actions.pingRequest(helper, seq, probe.entry);
    }
  }

  #fail(probe: Probe): void {
    const { awareness, actions } = this.#components;
    this.cancel(probe.entry);
    // Helpers that said nothing at all hint that it is this node that does not hear.
    awareness.adjust(probe.asked === 0 ? 1 : probe.helpers.size);
    actions.failed(probe.entry);
  }

  #nextSeq(): number {
    this.#seq = this.#seq >= 0xffffffff ? 1 : this.#seq + 1;
    return this.#seq;
  }
}
