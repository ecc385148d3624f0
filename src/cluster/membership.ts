// Who lives, as one member sees it: SWIM with Lifeguard's extensions as a pure state machine. It is
// told what happened and when, and answers what is to be done; timers and connections are the
// driver's (`Cluster`), and so is whom requests go to.
import { Accounts } from './accounts.ts';
import { Awareness } from './awareness.ts';
import { EXCHANGE_SCALE_MEMBERS } from './defaults.ts';
import { GossipQueue } from './gossip-queue.ts';
import { prevails } from './member.ts';
import { checkOptions } from './membership-options.ts';
import { Prober } from './prober.ts';
import type { Prng } from '../core/index.ts';
import type { Member, MemberRecord, MemberUpdate } from './member.ts';
import type { Entry, MemberTable } from './member-table.ts';
import type {
  MembershipEffect,
  MembershipEvent,
  MembershipMessage,
  MembershipOptions,
} from './membership-types.ts';

type Ping = Extract<MembershipMessage, { type: 'ping' }>;

const NOTHING: readonly MembershipEffect[] = Object.freeze([]);

export class Membership {
  readonly #options: MembershipOptions;
  readonly #prng: Prng;
  readonly #accounts: Accounts;
  readonly #table: MemberTable;
  readonly #awareness: Awareness;
  readonly #queue: GossipQueue;
  readonly #prober: Prober;
  #effects: MembershipEffect[] = [];
  #nowMs = 0;
  #started = false;
  #wakeAtMs = -Infinity;
  #probeAtMs = 0;
  #gossipAtMs = 0;
  #gossipedMs = -Infinity;
  #beatAtMs = 0;
  #exchangeAtMs = 0;
  #reconnectAtMs = 0;
  /** Before it no stranger is asked for its view. */
  #askAtMs = -Infinity;

  constructor(self: MemberRecord, options: MembershipOptions, prng: Prng) {
    checkOptions(options);
    this.#options = options;
    this.#prng = prng;
    this.#awareness = new Awareness(options.maxAwareness);
    this.#queue = new GossipQueue(options.maxMembers + options.maxTombstones);
    this.#accounts = this.#createAccounts(self);
    this.#table = this.#accounts.table;
    this.#prober = this.#createProber();
  }

  get self(): Member {
    return this.#accounts.self;
  }

  /** Lifeguard's local health: 0 is well. */
  get awareness(): number {
    return this.#awareness.score;
  }

  /** How much is kept at this moment; each of these is bounded by an option. */
  get backlog(): { readonly news: number; readonly probes: number; readonly tombstones: number } {
    return {
      news: this.#queue.size,
      probes: this.#prober.pending,
      tombstones: this.#table.remembered,
    };
  }

  /** One event at one time; what must be done. */
  step(event: MembershipEvent, nowMs: number): readonly MembershipEffect[] {
    this.#nowMs = nowMs;
    this.#accounts.at(nowMs);
    if (!this.#started) this.#start();
    if (this.self.status !== 'left') this.#handle(event);
    if (this.#table.isOverfull) this.#accounts.expire();
    if (this.#effects.length === 0) return NOTHING;
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** When `{type: 'tick'}` is due next. Earlier ticks do nothing. */
  nextTickAt(): number {
    return this.self.status === 'left' ? Infinity : this.#wakeAtMs;
  }

  /** This node, every live or suspected member, and the dead until they are forgotten. */
  members(): Member[] {
    const { self } = this;
    return this.view().filter((member) => member.status !== 'left' || member === self);
  }

  /** What `members` gives and those that left lately: what another member is told on exchange. */
  view(): Member[] {
    const members = [this.self];
    for (const { member } of this.#table.entries) members.push(member);
    return members;
  }

  member(name: string): Member | undefined {
    return name === this.self.name ? this.self : this.#table.get(name)?.member;
  }

  /** The last that is known of a name, forgotten or not: a later life of it has to be above it. */
  lastOf(name: string): Member | undefined {
    return this.#table.lastOf(name);
  }

  #createAccounts(self: MemberRecord): Accounts {
    return new Accounts(
      self,
      {
        prng: this.#prng,
        actions: {
          changed: (member, previous) => this.#do({ type: 'changed', member, previous }),
          forgotten: (member) => this.#do({ type: 'forgotten', member }),
          pass: (update) => this.#pass(update),
          probe: (entry) => this.#prober.start(entry, this.#nowMs),
          ended: (entry) => {
            this.#prober.cancel(entry);
            this.#wake(this.#reconnectAtMs);
          },
          accused: () => this.#awareness.adjust(1),
          tell: (member) => {
            const updates = [{ member, by: this.self.name }];
            this.#sendTo(member, { type: 'gossip', updates });
          },
          wake: (atMs) => this.#wake(atMs),
        },
      },
      this.#options,
    );
  }

  #createProber(): Prober {
    return new Prober(
      {
        table: this.#table,
        awareness: this.#awareness,
        firstSeq: this.#prng.uint32(),
        actions: {
          ping: (entry, seq) => this.#ping(entry, seq),
          pingRequest: (helper, seq, { member: { name: target } }) => {
            const updates = this.#news();
            this.#sendTo(helper.member, { type: 'ping-request', seq, target, updates });
          },
          answer: (to, type, seq) => this.#answer(to, { type, seq, updates: this.#news() }),
          failed: (entry) => this.#accounts.accuse(entry),
          wake: (atMs) => this.#wake(atMs),
        },
      },
      this.#options,
    );
  }

  #start(): void {
    const { probeIntervalMs, beatIntervalMs, exchangeIntervalMs } = this.#options;
    const nowMs = this.#nowMs;
    this.#started = true;
    // Members that start together do not probe and exchange in step.
    this.#probeAtMs = nowMs + this.#prng.next() * probeIntervalMs;
    this.#beatAtMs = nowMs + this.#prng.next() * beatIntervalMs;
    this.#exchangeAtMs = nowMs + this.#prng.next() * exchangeIntervalMs;
    this.#reconnectAtMs = nowMs + this.#prng.next() * this.#options.reconnectIntervalMs;
    this.#gossipAtMs = nowMs;
    this.#wakeAtMs = nowMs;
  }

  #handle(event: MembershipEvent): void {
    switch (event.type) {
      case 'tick':
        if (this.#nowMs >= this.#wakeAtMs) this.#tick();
        break;
      case 'message':
        this.#receive(event.from, event.message);
        break;
      case 'traffic':
        this.#heardFrom(event.from);
        break;
      case 'disconnected':
        this.#doubt(event.name);
        break;
      case 'stalled':
        this.#stalled(event.forMs);
        break;
      case 'merge':
        for (const member of event.members) this.#accounts.hearOfView(member, event.from);
        this.#heardFrom(event.from);
        break;
      case 'declare':
        this.#declare(event.status);
        break;
      case 'describe': {
        const { type: _, ...facts } = event;
        this.#accounts.say(facts);
        break;
      }
    }
  }

  // Time.

  #tick(): void {
    const { probeIntervalMs } = this.#options;
    const nowMs = this.#nowMs;
    this.#prober.tick(nowMs);
    this.#accounts.tick();
    if (nowMs >= this.#probeAtMs) {
      this.#prober.round(nowMs);
      this.#probeAtMs = nowMs + this.#awareness.scale(probeIntervalMs);
    }
    this.#gossip();
    this.#exchange();
    this.#wakeAtMs = this.#nextAt();
  }

  #nextAt(): number {
    const at = Math.min(this.#prober.nextAt(), this.#accounts.nextAt());
    const reconnectAtMs = this.#table.dead > 0 ? this.#reconnectAtMs : Infinity;
    if (this.#table.living.length === 0) return Math.min(at, reconnectAtMs);
    const gossipAtMs = this.#queue.size > 0 ? this.#gossipAtMs : Infinity;
    const spokenAtMs = Math.min(this.#probeAtMs, gossipAtMs, this.#beatAtMs, this.#exchangeAtMs);
    return Math.min(at, reconnectAtMs, spokenAtMs);
  }

  #wake(atMs: number): void {
    if (atMs < this.#wakeAtMs) this.#wakeAtMs = atMs;
  }

  /** News to a few members; now and then a word without news. */
  #gossip(): void {
    const { gossipIntervalMs, gossipMembers, beatIntervalMs } = this.#options;
    const nowMs = this.#nowMs;
    const beat = nowMs >= this.#beatAtMs;
    if (!beat && (this.#queue.size === 0 || nowMs < this.#gossipAtMs)) return;
    this.#gossipedMs = nowMs;
    this.#gossipAtMs = nowMs + gossipIntervalMs;
    if (beat) this.#beatAtMs = nowMs + beatIntervalMs;
    for (const { member } of this.#table.sample(gossipMembers)) {
      const updates = this.#news();
      if (updates.length === 0 && !beat) return;
      this.#sendTo(member, { type: 'gossip', updates });
    }
  }

  /** Whole views: with a live member now and then, and with the dead, who may only be cut off. */
  #exchange(): void {
    const { exchangeIntervalMs, reconnectIntervalMs } = this.#options;
    const { living, dead } = this.#table;
    const nowMs = this.#nowMs;
    if (nowMs >= this.#exchangeAtMs) {
      const scale = Math.max(1, Math.log2((living.length + 1) / EXCHANGE_SCALE_MEMBERS) + 1);
      this.#exchangeAtMs = nowMs + exchangeIntervalMs * scale;
      const [partner] = this.#table.sample(1);
      if (partner !== undefined) this.#exchangeWith(partner.member);
    }
    if (dead === 0 || nowMs < this.#reconnectAtMs) return;
    this.#reconnectAtMs = nowMs + reconnectIntervalMs;
    // As many tries in all as there are dead, however many live.
    if (this.#prng.next() * (living.length + 1) >= dead) return;
    const partner = this.#table.someDead();
    if (partner !== undefined) this.#exchangeWith(partner.member);
  }

  #stalled(forMs: number): void {
    const { probeIntervalMs, probeTimeoutMs } = this.#options;
    this.#awareness.adjust(Math.max(1, Math.round(forMs / probeIntervalMs)));
    // What arrived in the meantime has yet to be read.
    this.#prober.extend(forMs + probeTimeoutMs);
    this.#accounts.extend(forMs + probeTimeoutMs);
  }

  // What others say.

  #receive(from: string, message: MembershipMessage): void {
    const { refutations } = this.#accounts;
    for (const update of message.updates) this.#accounts.hear(update);
    const refuted = this.#accounts.refutations > refutations;
    this.#heardFrom(from);
    switch (message.type) {
      case 'ping':
        this.#ack(from, message, refuted);
        break;
      case 'ping-request': {
        const target = this.#table.get(message.target);
        if (target !== undefined && target.place >= 0) {
          this.#prober.errand(from, message.seq, target, this.#nowMs);
        } else {
          this.#answer(from, { type: 'nack', seq: message.seq, updates: this.#news() });
        }
        break;
      }
      case 'ack':
        this.#prober.acked(message.seq, from);
        break;
      case 'nack':
        this.#prober.nacked(message.seq, from);
        break;
      case 'gossip':
        break;
    }
  }

  /** Answers a ping; the accused, dead and outdated hear of it here, so that they refute. */
  #ack(from: string, { seq, incarnation }: Ping, refuted: boolean): void {
    const last = this.#table.lastOf(from);
    const updates = this.#news(
      last !== undefined && prevails(last, incarnation) ? last : undefined,
      refuted ? this.self : undefined,
    );
    this.#answer(from, { type: 'ack', seq, updates });
    const behind = last === undefined || last.incarnation < incarnation;
    if (!behind || this.#nowMs < this.#askAtMs) return;
    this.#askAtMs = this.#nowMs + this.#options.gossipIntervalMs;
    this.#do({ type: 'exchange', with: from, address: last?.address ?? '' });
  }

  /** A sign of life from the member itself. */
  #heardFrom(name: string): void {
    const entry = this.#table.get(name);
    if (entry === undefined || entry.place < 0) return;
    entry.heardMs = this.#nowMs;
    this.#prober.succeeded(entry);
  }

  /** Its link broke. */
  #doubt(name: string): void {
    const entry = this.#table.get(name);
    if (entry === undefined || entry.place < 0) return;
    entry.heardMs = -Infinity;
    this.#prober.start(entry, this.#nowMs);
  }

  // What this node says.

  #declare(status: 'up' | 'leaving' | 'left'): void {
    if (status === this.self.status) return;
    this.#accounts.say(status === 'left' ? { status } : { status, declared: status });
    if (status !== 'left') return;
    // The last word goes to as many as gossip would reach in all its rounds.
    const updates = [{ member: this.self, by: this.self.name }];
    const count = this.#retransmissions() * this.#options.gossipMembers;
    for (const { member } of this.#table.sample(count)) {
      this.#sendTo(member, { type: 'gossip', updates });
    }
  }

  #ping({ member }: Entry, seq: number): void {
    const { incarnation } = this.self;
    // Who is suspected hears it with the probe. @see Lifeguard, section IV-C (buddy system)
    const updates = this.#news(member.status === 'suspect' ? member : undefined);
    this.#sendTo(member, { type: 'ping', seq, incarnation, updates });
  }

  #answer(to: string, message: MembershipMessage): void {
    const address = this.#table.get(to)?.member.address ?? '';
    this.#do({ type: 'send', to, address, message });
  }

  #sendTo({ name, address }: Member, message: MembershipMessage): void {
    this.#do({ type: 'send', to: name, address, message });
  }

  #exchangeWith({ name, address }: Member): void {
    this.#do({ type: 'exchange', with: name, address });
  }

  /** News for one message, after what its receiver must hear in any case. */
  #news(...first: readonly (Member | undefined)[]): MemberUpdate[] {
    const news = this.#queue.take(this.#options.maxGossipBytes, this.#retransmissions());
    for (const member of first) {
      if (member === undefined || news.some((update) => update.member === member)) continue;
      news.unshift({ member, by: this.self.name });
    }
    return news;
  }

  #retransmissions(): number {
    const members = this.#table.living.length + 1;
    return Math.ceil(this.#options.retransmitMultiplier * Math.log10(members + 1));
  }

  /** Files news for the next gossip. */
  #pass(update: MemberUpdate): void {
    this.#queue.put(update);
    const soonestMs = this.#gossipedMs + this.#options.gossipIntervalMs;
    this.#gossipAtMs = Math.max(this.#nowMs, soonestMs);
    this.#wake(this.#gossipAtMs);
  }

  #do(effect: MembershipEffect): void {
    this.#effects.push(effect);
  }
}
