// The members that this node knows of beside itself: the living, in the order in which they are
// probed; those that ended, for as long as they are listed; and the tombstones of the forgotten.
import { hasEnded } from './member.ts';
import type { Prng } from '../core/index.ts';
import type { Member, MemberStatus } from './member.ts';
import type { Suspicion } from './suspicion.ts';

/** A member and what this node keeps of it. */
export interface Entry {
  member: Member;
  /** When this node last heard from the member itself. */
  heardMs: number;
  suspicion: Suspicion | undefined;
  /** The number of the probe that is under way; 0 for none. */
  probe: number;
  /** When it was found dead or to have left. */
  endedMs: number;
  /** Its place among the living; -1 when it is not. */
  place: number;
}

interface Tombstone {
  readonly member: Member;
  readonly sinceMs: number;
}

export interface TableOptions {
  readonly maxMembers: number;
  readonly maxTombstones: number;
  readonly deadKeptMs: number;
}

export class MemberTable {
  readonly #options: TableOptions;
  readonly #prng: Prng;
  readonly #entries = new Map<string, Entry>();
  readonly #living: Entry[] = [];
  readonly #suspects = new Set<Entry>();
  /** In the order in which they ended. */
  readonly #ended = new Set<Entry>();
  /** In the order in which they were forgotten. */
  readonly #tombstones = new Map<string, Tombstone>();
  #dead = 0;
  /** Place of the next member to probe. */
  #next = 0;

  constructor(options: TableOptions, prng: Prng) {
    this.#options = options;
    this.#prng = prng;
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  /** Everyone who is not forgotten. */
  get entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  get living(): readonly Entry[] {
    return this.#living;
  }

  get suspects(): Iterable<Entry> {
    return this.#suspects;
  }

  /** How many are dead and listed. */
  get dead(): number {
    return this.#dead;
  }

  /** True while one more may live. This node itself counts as a member. */
  get hasRoom(): boolean {
    return this.#living.length + 1 < this.#options.maxMembers;
  }

  /** True when more is remembered of those that ended than there is room for: `expire` is due. */
  get isOverfull(): boolean {
    const { maxTombstones } = this.#options;
    return this.#ended.size > maxTombstones || this.#tombstones.size > maxTombstones;
  }

  /** How much is remembered of those that ended. */
  get remembered(): number {
    return this.#ended.size + this.#tombstones.size;
  }

  /** The last that is known of a name, forgotten or not. */
  lastOf(name: string): Member | undefined {
    return this.#entries.get(name)?.member ?? this.#tombstones.get(name)?.member;
  }

  /** Lists a member for the first time, or anew after it was forgotten. */
  add(member: Member, nowMs: number): Entry {
    const entry: Entry = {
      member,
      heardMs: -Infinity,
      suspicion: undefined,
      probe: 0,
      endedMs: 0,
      place: -1,
    };
    this.#tombstones.delete(member.name);
    this.#entries.set(member.name, entry);
    this.#file(entry, undefined, nowMs);
    return entry;
  }

  /** Replaces what is known of a member. */
  update(entry: Entry, member: Member, nowMs: number): void {
    const previous = entry.member.status;
    entry.member = member;
    this.#file(entry, previous, nowMs);
  }

  /** The next member to probe: each once a round, in an order that differs from round to round. */
  nextToProbe(): Entry | undefined {
    if (this.#next >= this.#living.length) {
      this.#next = 0;
      for (let i = this.#living.length - 1; i > 0; i--) this.#swap(i, this.#prng.int(i + 1));
    }
    return this.#living[this.#next++];
  }

  /** Up to `count` distinct living members but `except`, at random. */
  sample(count: number, except?: Entry): Entry[] {
    const living = this.#living;
    const chosen: Entry[] = [];
    if (living.length <= count + 1) {
      for (const entry of living) {
        if (entry !== except && chosen.length < count) chosen.push(entry);
      }
      return chosen;
    }
    while (chosen.length < count) {
      const entry = living[this.#prng.int(living.length)]!;
      if (entry !== except && !chosen.includes(entry)) chosen.push(entry);
    }
    return chosen;
  }

  /** One of the dead, at random. */
  someDead(): Entry | undefined {
    if (this.#dead === 0) return undefined;
    let skip = this.#prng.int(this.#dead);
    for (const entry of this.#ended) {
      if (entry.member.status === 'dead' && skip-- === 0) return entry;
    }
    return undefined;
  }

  /** When the next entry or tombstone is to be forgotten. */
  nextExpiryAt(): number {
    const [ended] = this.#ended;
    const [stone] = this.#tombstones.values();
    const since = Math.min(ended?.endedMs ?? Infinity, stone?.sinceMs ?? Infinity);
    return since + this.#options.deadKeptMs;
  }

  /** Forgets whose time is over, or for whom there is no room; those that were listed as dead. */
  expire(nowMs: number): Member[] {
    const { deadKeptMs, maxTombstones } = this.#options;
    const forgotten: Member[] = [];
    for (const entry of this.#ended) {
      if (entry.endedMs + deadKeptMs > nowMs && this.#ended.size <= maxTombstones) break;
      const { member } = entry;
      this.#unlist(entry, member.status);
      this.#entries.delete(member.name);
      this.#tombstones.set(member.name, { member, sinceMs: nowMs });
      if (member.status === 'dead') forgotten.push(member);
    }
    for (const [name, { sinceMs }] of this.#tombstones) {
      if (sinceMs + deadKeptMs > nowMs && this.#tombstones.size <= maxTombstones) break;
      this.#tombstones.delete(name);
    }
    return forgotten;
  }

  #file(entry: Entry, previous: MemberStatus | undefined, nowMs: number): void {
    const { status } = entry.member;
    const hadEnded = previous !== undefined && hasEnded(previous);
    if (hadEnded) this.#unlist(entry, previous);
    if (status === 'suspect') this.#suspects.add(entry);
    else this.#suspects.delete(entry);
    if (!hasEnded(status)) {
      if (entry.place < 0) this.#insert(entry);
      return;
    }
    if (entry.place >= 0) this.#remove(entry);
    // What is known to have ended keeps its time: later accounts of it do not prolong it.
    if (!hadEnded) entry.endedMs = nowMs;
    this.#ended.add(entry);
    if (status === 'dead') this.#dead++;
  }

  #unlist(entry: Entry, status: MemberStatus): void {
    this.#ended.delete(entry);
    if (status === 'dead') this.#dead--;
  }

  /** At a random place, so that newcomers are not all probed at the end of a round. */
  #insert(entry: Entry): void {
    entry.place = this.#living.push(entry) - 1;
    this.#swap(entry.place, this.#prng.int(this.#living.length));
  }

  #remove(entry: Entry): void {
    this.#swap(entry.place, this.#living.length - 1);
    this.#living.pop();
    entry.place = -1;
  }

  #swap(a: number, b: number): void {
    const first = this.#living[a]!;
    const second = this.#living[b]!;
    this.#living[a] = second;
    this.#living[b] = first;
    first.place = b;
    second.place = a;
  }
}
