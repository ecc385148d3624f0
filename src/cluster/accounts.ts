// What this node believes of itself and of others, and how it takes each new account of a member:
// precedence, suspicion and refutation, death and tombstones. It sends nothing; what has to be said
// or done it hands to its actions.
import { hasEnded, isAccused, outranks } from './member.ts';
import { MemberTable } from './member-table.ts';
import { Suspicion, suspicionRule } from './suspicion.ts';
import type { Prng } from '../core/index.ts';
import type { Member, MemberMetadata, MemberRecord, MemberStatus, MemberUpdate } from './member.ts';
import type { Entry } from './member-table.ts';
import type { MembershipOptions } from './membership-types.ts';

export interface AccountActions {
  changed(member: Member, previous: MemberStatus | undefined): void;
  forgotten(member: Member): void;
  /** Others are to hear it. */
  pass(update: MemberUpdate): void;
  /** The member is worth a probe right now. */
  probe(entry: Entry): void;
  /** The member is alive no more: nobody waits for its answer. */
  ended(entry: Entry): void;
  /** This node itself was accused. */
  accused(): void;
  /** The member itself is to hear what is held of it. */
  tell(member: Member): void;
  /** Something of the accounts' falls due then. */
  wake(atMs: number): void;
}

export interface AccountComponents {
  readonly prng: Prng;
  readonly actions: AccountActions;
}

export class Accounts {
  readonly table: MemberTable;
  readonly #options: MembershipOptions;
  readonly #prng: Prng;
  readonly #actions: AccountActions;
  #self: Member;
  #nowMs = 0;
  /** Before it no dispute with another node of this name is taken up again. */
  #disputeAtMs = -Infinity;
  #refutations = 0;

  constructor(
    self: MemberRecord,
    { prng, actions }: AccountComponents,
    options: MembershipOptions,
  ) {
    this.table = new MemberTable(options, prng);
    this.#options = options;
    this.#prng = prng;
    this.#actions = actions;
    this.#self = { ...self, status: 'joining', declared: 'joining' };
  }

  get self(): Member {
    return this.#self;
  }

  /** How often this node had to contradict. */
  get refutations(): number {
    return this.#refutations;
  }

  /** Sets the time for what follows. */
  at(nowMs: number): void {
    this.#nowMs = nowMs;
  }

  /** New facts of this node, under a new incarnation. */
  say(facts: Partial<Omit<Member, 'name' | 'incarnation'>>): void {
    const previous = this.#self.status;
    this.#self = { ...this.#self, ...facts, incarnation: this.#self.incarnation + 1 };
    this.#actions.changed(this.#self, previous);
    this.#actions.pass({ member: this.#self, by: this.#self.name });
  }

  /** One account of a member. */
  hear(update: MemberUpdate): void {
    const { member, by } = update;
    if (member.name === this.#self.name) {
      this.#hearOfSelf(member);
      return;
    }
    const entry = this.table.get(member.name);
    if (entry === undefined) {
      this.#meet(update);
      return;
    }
    const { member: known, suspicion } = entry;
    if (!outranks(member, known)) {
      const again = member.status === 'suspect' && member.incarnation === known.incarnation;
      if (again && suspicion?.confirm(by)) this.#confirmed(suspicion, update);
      // An earlier life reached this incarnation with another word: the member has to outdo it.
      const shared = member.incarnation === known.incarnation && !sameFacts(member, known);
      if (shared && by === member.name) this.#actions.tell(known);
      return;
    }
    if (hasEnded(known.status) && !hasEnded(member.status) && !this.table.hasRoom) return;
    this.#change(entry, update);
    // A second opinion, at about twice as many members as it takes to confirm.
    const opinions = 2 * (this.#options.suspicionConfirmations + 1);
    if (member.status === 'suspect' && this.#prng.next() * this.table.living.length < opinions) {
      this.#actions.probe(entry);
    }
  }

  /**
   * An account out of a whole view. The view may be that of a part of the fleet that was cut off,
   * so a member that lives here is not dead by its word: it is suspected, and can refute.
   */
  hearOfView(member: Member, by: string): void {
    const known = this.table.get(member.name)?.member;
    const lives = known !== undefined && !hasEnded(known.status);
    const milder = lives && member.status === 'dead';
    this.hear({ member: milder ? { ...member, status: 'suspect' } : member, by });
  }

  /** This node's own probe failed. */
  accuse(entry: Entry): void {
    const { member, suspicion } = entry;
    const by = this.#self.name;
    if (hasEnded(member.status)) return;
    const update: MemberUpdate = { member: { ...member, status: 'suspect' }, by };
    if (suspicion === undefined) this.#change(entry, update);
    else if (suspicion.confirm(by)) this.#confirmed(suspicion, update);
  }

  /** Declares dead who did not refute in time, and forgets whose time is over. */
  tick(): void {
    for (const entry of this.table.suspects) {
      const { suspicion, heardMs, member } = entry;
      if (suspicion === undefined) continue;
      if (suspicion.askAtMs <= this.#nowMs) this.#ask(entry, suspicion);
      if (suspicion.deadlineMs > this.#nowMs || isBeingAsked(entry)) continue;
      if (heardMs > suspicion.startedMs) {
        // It spoke since, so it lives and does not know yet: the next probe tells it.
        suspicion.extend(heardMs - suspicion.startedMs);
        this.#ask(entry, suspicion);
        if (suspicion.deadlineMs > this.#nowMs || isBeingAsked(entry)) continue;
      }
      this.#change(entry, { member: { ...member, status: 'dead' }, by: this.#self.name });
    }
    if (this.table.nextExpiryAt() <= this.#nowMs) this.expire();
  }

  /** A probe carries the suspicion, and its answer the refutation. */
  #ask(entry: Entry, suspicion: Suspicion): void {
    this.#actions.probe(entry);
    suspicion.asked(entry.probe);
  }

  /** Forgets whose time is over, or for whom there is no room. */
  expire(): void {
    for (const member of this.table.expire(this.#nowMs)) this.#actions.forgotten(member);
  }

  /** Gives the suspected `byMs` more. */
  extend(byMs: number): void {
    for (const { suspicion } of this.table.suspects) suspicion?.extend(byMs);
  }

  /** When `tick` has something to do. */
  nextAt(): number {
    let at = this.table.nextExpiryAt();
    for (const entry of this.table.suspects) {
      const { suspicion } = entry;
      if (suspicion === undefined) continue;
      // Once it is asked, the end of that probe is the prober's to wake for.
      const deadlineMs = isBeingAsked(entry) ? Infinity : suspicion.deadlineMs;
      at = Math.min(at, suspicion.askAtMs, deadlineMs);
    }
    return at;
  }

  #hearOfSelf(member: Member): void {
    if (this.#self.status === 'left') return;
    const accused = isAccused(member.status);
    if (member.incarnation < this.#self.incarnation) {
      // It was refuted, and whoever says so missed that.
      if (accused) this.#refutations++;
      return;
    }
    const shared = member.incarnation === this.#self.incarnation;
    if (accused) {
      if (this.#self.status !== 'joining') this.#actions.accused();
    } else if (shared && sameFacts(member, this.#self)) {
      return;
    } else if (shared || member.address !== this.#self.address) {
      // An earlier life, or another node of this name: a dispute must not fill the network.
      if (this.#nowMs < this.#disputeAtMs) return;
      this.#disputeAtMs = this.#nowMs + this.#options.probeIntervalMs;
    }
    this.#refutations++;
    this.#self = { ...this.#self, incarnation: member.incarnation + 1 };
    this.#actions.pass({ member: this.#self, by: this.#self.name });
  }

  /** A name that was not known, or was forgotten. */
  #meet(update: MemberUpdate): void {
    const { member } = update;
    const stone = this.table.lastOf(member.name);
    if (stone !== undefined && member.incarnation <= stone.incarnation) return;
    if (!hasEnded(member.status) && !this.table.hasRoom) return;
    const entry = this.table.add(member, this.#nowMs);
    if (member.status !== 'left') this.#actions.changed(member, undefined);
    this.#settle(entry, update);
  }

  #confirmed(suspicion: Suspicion, update: MemberUpdate): void {
    this.#actions.wake(suspicion.deadlineMs);
    this.#actions.pass(update);
  }

  /** Takes a later account of a known member. */
  #change(entry: Entry, update: MemberUpdate): void {
    const { member: known } = entry;
    const { member } = update;
    this.table.update(entry, member, this.#nowMs);
    if (known.status !== member.status || !sameFacts(known, member)) {
      this.#actions.changed(member, known.status);
    }
    this.#settle(entry, update);
  }

  /** What a new account brings with it: suspicion, the end of a probe, news for others. */
  #settle(entry: Entry, update: MemberUpdate): void {
    const { status } = update.member;
    entry.suspicion = undefined;
    if (status === 'suspect') {
      const rule = suspicionRule(this.#options, this.table.living.length + 1);
      entry.suspicion = new Suspicion(rule, update.by, this.#nowMs);
      this.#actions.wake(entry.suspicion.askAtMs);
    } else if (hasEnded(status)) {
      this.#actions.ended(entry);
      this.#actions.wake(this.table.nextExpiryAt());
    }
    this.#actions.pass(update);
  }
}

/** True while the answer to the question that a suspicion asks is still waited for. */
function isBeingAsked({ probe, suspicion }: Entry): boolean {
  return probe !== 0 && suspicion?.probe === probe;
}

/** True when two accounts say the same of what a member is, whatever their incarnations. */
function sameFacts(a: Member, b: Member): boolean {
  return (
    a.declared === b.declared &&
    a.address === b.address &&
    a.httpAddress === b.httpAddress &&
    (a.metadata === b.metadata || textOf(a.metadata) === textOf(b.metadata))
  );
}

/** Metadata says the same in whatever order. */
function textOf({ role, capacity, engines, devices }: MemberMetadata): string {
  return JSON.stringify([role, capacity, engines, devices]);
}
