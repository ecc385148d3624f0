// The owner's end of a type: the shards that the table gives this node's session, and every step of
// giving a shard away. A pure machine: handlers, journals and messages to other nodes are its
// driver's, told through `HostActions`; mailboxes and their entities are `Entities`'.
import { Entities, isLate } from './entities.ts';
import { notDelivered } from './errors.ts';
import { HostedShard } from './hosted-shard.ts';
import { Staging } from './staging.ts';
import type { EntityActions, EntityOptions, EntityRecord } from './entities.ts';
import type { Incoming } from './outgoing.ts';
import type { OwnershipView } from './ownership-view.ts';
import type { Session, ShardEntry } from './shard-table.ts';
import type { StagingOptions } from './staging.ts';

export interface HostActions extends EntityActions {
  /** True while this node's session surely lasts: asked before and after each handler. */
  live(): boolean;
  /** Makes the journal this epoch's; ends with `opened`. Only for types with a journal. */
  open(shard: HostedShard): void;
  /** Brings the entities to the next owner; ends with `handed`. */
  hand(shard: HostedShard, to: Session, entities: readonly EntityRecord[]): void;
  /** Tells the coordinator that the shard was let go of. Repeated until the table says so. */
  release(shard: HostedShard): void;
}

export interface HostOptions extends EntityOptions, StagingOptions {
  readonly parkedMessages: number;
}

export class ShardHost {
  readonly type: string;
  readonly #node: string;
  readonly #view: OwnershipView;
  readonly #actions: HostActions;
  readonly #options: HostOptions;
  readonly entities: Entities;
  /** Shards that others hand over; each counts if it is granted at that epoch. */
  readonly staging: Staging;
  readonly #shards = new Map<number, HostedShard>();
  /** Messages of epochs that this node has not heard of yet. */
  readonly #early = new Map<number, Incoming[]>();
  #session: number | undefined;
  /** Shards that went to other nodes. */
  handedOver = 0;

  constructor(
    components: { type: string; node: string; view: OwnershipView; actions: HostActions },
    options: HostOptions,
  ) {
    this.type = components.type;
    this.#node = components.node;
    this.#view = components.view;
    this.#actions = components.actions;
    this.#options = options;
    this.staging = new Staging(options);
    this.entities = new Entities(
      {
        shards: this.#shards,
        actions: components.actions,
        live: () => this.#checkLive(),
        drained: (shard) => this.#handWhenDrained(shard),
      },
      options,
    );
  }

  get shards(): ReadonlyMap<number, HostedShard> {
    return this.#shards;
  }

  /** The session under which this node owns, and its end. Nothing outlives a session. */
  session(session: number | undefined): void {
    if (session === this.#session) return;
    this.#session = session;
    this.fence();
  }

  /** Stops everything at once: another may own it by now. */
  fence(): void {
    for (const shard of [...this.#shards.values()]) this.#drop(shard);
    this.staging.clear();
  }

  /** The table changed. */
  changed(): void {
    const table = this.#view.tables.get(this.type)?.entries;
    if (table === undefined) return;
    const live = this.#checkLive();
    for (let number = 0; number < table.length; number++) {
      const entry = table[number]!;
      if (live && this.#isMine(entry)) this.#own(number, entry);
      else this.#disown(number, entry);
      if (this.#early.size > 0) this.#deliverEarly(number, entry.epoch);
    }
  }

  /** A message for an entity here, if the sender is right about that. */
  deliver(message: Incoming): void {
    const shard = this.#shards.get(message.shard);
    if (shard !== undefined && message.epoch === shard.epoch) {
      if (shard.phase === 'running') this.entities.push(shard, message);
      else if (shard.phase === 'opening') this.#park(shard.parked, message);
      else message.refuse();
      return;
    }
    const known = this.#view.tables.get(this.type)?.entries[message.shard]?.epoch ?? 0;
    if (message.epoch <= known) {
      message.refuse();
      return;
    }
    let early = this.#early.get(message.shard);
    if (early === undefined) {
      early = [];
      this.#early.set(message.shard, early);
    }
    this.#park(early, message);
  }

  opened(shard: HostedShard, epoch: number, remembered: readonly string[]): void {
    if (this.#shards.get(shard.number) !== shard || shard.phase !== 'opening') return;
    if (shard.epoch !== epoch) return;
    this.#run(shard, remembered);
  }

  handed(shard: HostedShard, epoch: number): void {
    if (this.#shards.get(shard.number) !== shard || shard.epoch !== epoch) return;
    if (shard.phase !== 'handing') return;
    shard.phase = 'released';
    this.#actions.release(shard);
  }

  /** Time passed: releases and loads are tried again, idle entities leave, late messages end. */
  tick(): void {
    const now = this.#actions.now();
    if (!this.#checkLive()) return;
    for (const shard of this.#shards.values()) {
      if (shard.phase === 'released') this.#actions.release(shard);
      else if (shard.missing.size > 0) this.entities.recall(shard);
    }
    this.entities.passivate(now - this.#options.passivateAfterMs);
    for (const [number, early] of this.#early) {
      const kept = early.filter((message) => !isLate(message, now));
      if (kept.length === 0) this.#early.delete(number);
      else this.#early.set(number, kept);
    }
  }

  #isMine({ owner, session }: ShardEntry): boolean {
    return owner === this.#node && this.#session !== undefined && session === this.#session;
  }

  #own(number: number, { epoch, move }: ShardEntry): void {
    let shard = this.#shards.get(number);
    if (shard !== undefined && epoch > shard.epoch) {
      // No other can have had it in between unless it was let go of.
      if (epoch === shard.epoch + 1 || shard.phase !== 'released') {
        this.#goOn(shard, epoch);
      } else {
        this.#drop(shard);
        shard = undefined;
      }
    }
    shard ??= this.#start(number, epoch);
    if (move !== undefined && shard.epoch === epoch && shard.target === undefined) {
      shard.target = move;
      if (shard.phase === 'running') this.#freeze(shard);
    }
  }

  /** From one epoch to the next there is one step, and it led back here: all is as it was. */
  #goOn(shard: HostedShard, epoch: number): void {
    shard.target = undefined;
    if (shard.phase !== 'opening') {
      shard.epoch = epoch;
      shard.phase = 'running';
      return;
    }
    while (shard.epoch < epoch) this.staging.goOn(shard.number, ++shard.epoch);
    this.#actions.open(shard);
  }

  #disown(number: number, entry: ShardEntry): void {
    const shard = this.#shards.get(number);
    if (shard !== undefined && entry.epoch > shard.epoch) {
      if (shard.phase === 'released') this.handedOver++;
      this.#drop(shard);
    }
    this.staging.forget(number, entry.epoch);
  }

  #start(number: number, epoch: number): HostedShard {
    const shard = new HostedShard(number, epoch);
    this.#shards.set(number, shard);
    if (this.#options.journaled) this.#actions.open(shard);
    else this.#run(shard, []);
    return shard;
  }

  /** Restores what was handed over and lets messages in. */
  #run(shard: HostedShard, remembered: readonly string[]): void {
    shard.phase = 'running';
    const entities = this.staging.take(shard.number, shard.epoch);
    this.entities.restore(shard, entities, remembered);
    const { parked } = shard;
    shard.parked = [];
    for (const message of parked) this.deliver(message);
    if (shard.target !== undefined && shard.phase === 'running') this.#freeze(shard);
  }

  /** From here on, nothing of this epoch is begun. */
  #freeze(shard: HostedShard): void {
    shard.phase = 'draining';
    this.entities.freeze(shard);
    this.#handWhenDrained(shard);
  }

  #handWhenDrained(shard: HostedShard): void {
    if (shard.phase !== 'draining' || shard.busy > 0) return;
    shard.phase = 'handing';
    const entities = [...shard.cells.values()].map(({ id, state }) => ({ id, state }));
    this.#actions.hand(shard, shard.target!, entities);
  }

  #drop(shard: HostedShard): void {
    this.#shards.delete(shard.number);
    const { parked } = shard;
    shard.parked = [];
    this.entities.drop(shard);
    for (const message of parked) message.refuse();
  }

  #deliverEarly(number: number, epoch: number): void {
    const early = this.#early.get(number);
    if (early === undefined) return;
    this.#early.delete(number);
    const later = early.filter((message) => message.epoch > epoch);
    if (later.length > 0) this.#early.set(number, later);
    for (const message of early) if (message.epoch <= epoch) this.deliver(message);
  }

  #park(queue: Incoming[], message: Incoming): void {
    const limit = this.#options.parkedMessages;
    if (queue.length < limit) queue.push(message);
    else message.fail(notDelivered(message.id, `${limit} messages wait for its shard to open`));
  }

  #checkLive(): boolean {
    if (this.#actions.live()) return true;
    this.fence();
    return false;
  }
}
