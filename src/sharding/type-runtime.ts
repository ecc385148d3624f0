// One type at one node: joins the region and the host machines to the messages between nodes, the
// journal and the clock. It decides nothing about who owns what.
import { FlotillaError, hasCode, sleep } from '../core/index.ts';
import { SHARDING_DEFAULTS } from './defaults.ts';
import { EntityRuntime } from './entity-runtime.ts';
import { shardMoved } from './errors.ts';
import { Extractor } from './extractor.ts';
import {
  copyOf,
  packAnswer,
  packDelivery,
  packEntities,
  packFailure,
  PROCEDURES,
  readOutcome,
} from './messages.ts';
import { Outgoing } from './outgoing.ts';
import { Region } from './region.ts';
import { ShardHost } from './shard-host.ts';
import type { Clock, Deadlines, Logger } from '../core/index.ts';
import type { Payload, RpcHost } from '../peer/index.ts';
import type { AnyEntityType } from './define-entity.ts';
import type { EntityRecord } from './entities.ts';
import type { HostedShard } from './hosted-shard.ts';
import type { Journal } from './journal.ts';
import type { LocalLane } from './local-lane.ts';
import type { Delivery, NodeDescription } from './messages.ts';
import type { Incoming, Reject, Resolve } from './outgoing.ts';
import type { OwnershipView } from './ownership-view.ts';
import type { Session } from './shard-table.ts';

export interface TypeRuntimeComponents {
  readonly host: Pick<RpcHost, 'name' | 'call'>;
  readonly view: OwnershipView;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly lane: LocalLane;
  readonly log: Logger;
  readonly journal: Journal | undefined;
  /** True while this node's session is its own. */
  readonly live: () => boolean;
  /** Tells the coordinator. */
  readonly release: (type: string, shard: number, epoch: number) => void;
}

/** Failures of a call of which the other end has not seen anything, and that may pass. */
const UNSENT = ['peer_unreachable', 'identity_refused'];

/** … and that mean that it is not wanted at all. */
const REFUSED = ['lane_full', 'unknown_procedure', 'type_unknown'];

/** Failures that leave open whether the message arrived. */
const LOST = ['peer_disconnected', 'deadline_exceeded', 'cancelled'];

export class TypeRuntime {
  readonly type: AnyEntityType;
  readonly extractor: Extractor;
  readonly region: Region;
  readonly host: ShardHost;
  readonly #components: TypeRuntimeComponents;
  readonly #stopped = new AbortController();
  /** Parts of shards that have not all arrived. */
  readonly #parts = new Map<number, { epoch: number; next: number; entities: EntityRecord[] }>();

  constructor(type: AnyEntityType, components: TypeRuntimeComponents) {
    const { view, host, clock, deadlines, log, journal, live } = components;
    this.type = type;
    this.#components = components;
    this.extractor = new Extractor(type.shards);
    const shared = { type: type.name, view };
    this.region = new Region(
      {
        ...shared,
        actions: {
          now: () => clock.now(),
          send: (owner, message) => this.#send(owner, message),
          ended: (message) => deadlines.remove(message, message.tick),
        },
      },
      SHARDING_DEFAULTS,
    );
    const entities = () => this.host.entities;
    const runtime = new EntityRuntime({ type, node: host.name, clock, log, journal, entities });
    this.host = new ShardHost(
      {
        ...shared,
        node: host.name,
        actions: {
          now: () => clock.now(),
          live,
          initial: (id) => runtime.initial(id),
          run: (cell, message) => runtime.run(cell, message),
          load: (cell) => runtime.load(cell),
          open: (shard) => void this.#open(shard, shard.epoch),
          hand: (shard, to, records) => void this.#hand(shard, to, records),
          release: (shard) => components.release(type.name, shard.number, shard.epoch),
        },
      },
      {
        journaled: journal !== undefined,
        mailboxCapacity: type.mailboxCapacity,
        parkedMessages: SHARDING_DEFAULTS.parkedMessages,
        passivateAfterMs: type.passivateAfterMs,
        maxActive: type.maxActive,
      },
    );
  }

  /** The table, or who lives, has changed. */
  changed(): void {
    // Owners first: what they refuse then goes on at once.
    this.host.changed();
    this.region.changed();
  }

  session(session: number | undefined): void {
    this.host.session(session);
  }

  tick(): void {
    this.host.tick();
    this.region.tick();
  }

  stop(): void {
    this.#stopped.abort();
    this.host.fence();
    this.region.stop();
  }

  /** Sends a message; the outcome comes by `resolve` or `reject`. */
  send(
    content: { readonly id: string; readonly handler: string; readonly argument: unknown },
    timeoutMs: number,
    settle: { readonly resolve: Resolve; readonly reject: Reject },
  ): void {
    const { clock, deadlines } = this.#components;
    const { id, handler, argument } = content;
    const shard = this.extractor.shardOf(id);
    const deadlineMs = clock.now() + timeoutMs;
    const message = new Outgoing(this.region, { shard, id, handler, argument, deadlineMs }, settle);
    message.tick = deadlines.add(message, deadlineMs);
    this.region.send(message);
  }

  /** A message of another node's region. Answers in the same tick when its handler does. */
  receive(delivery: Delivery): Payload | Promise<Payload> {
    const message = new RemoteMessage(delivery, this.#components.clock.now());
    this.host.deliver(message);
    return message.outcome();
  }

  /** A part of a shard that another owner hands over. */
  receivePart(
    part: { shard: number; epoch: number; part: number; parts: number },
    records: readonly EntityRecord[],
  ): void {
    const { shard, epoch } = part;
    let known = this.#parts.get(shard);
    if (part.part === 0) {
      known = { epoch, next: 0, entities: [] };
      this.#parts.set(shard, known);
    }
    if (known === undefined || known.epoch !== epoch || known.next !== part.part) {
      throw shardMoved(shard);
    }
    known.next++;
    known.entities.push(...records);
    if (known.next < part.parts) return;
    this.#parts.delete(shard);
    this.host.stage(shard, epoch, known.entities);
  }

  describe(): NodeDescription['types'][number] {
    const { shards, entities } = this.host;
    return {
      type: this.type.name,
      shards: [...shards.values()].map(({ number, epoch, phase, cells }) => {
        return [number, epoch, phase, cells.size];
      }),
      waiting: this.region.waiting,
      entities: entities.active,
    };
  }

  #send(owner: string, message: Outgoing): void {
    const { host, clock } = this.#components;
    if (owner === host.name) {
      this.#sendHere(message);
      return;
    }
    const timeoutMs = Math.max(1, message.deadlineMs - clock.now());
    const payload = packDelivery(this.type.name, message, timeoutMs);
    host.call(owner, PROCEDURES.deliver, payload, { timeoutMs }).then(
      (answer) => this.#answered(message, answer),
      (error: unknown) => this.#failed(message, error),
    );
  }

  #sendHere(message: Outgoing): void {
    const { argument } = message;
    const isPlain = typeof argument !== 'object' || argument === null;
    const incoming = isPlain ? message : new LocalMessage(message, copyOf(argument));
    this.#components.lane.send(this.host, incoming);
  }

  #answered(message: Outgoing, answer: Payload): void {
    try {
      readOutcome(answer, message);
    } catch (error) {
      message.fail(error);
    }
  }

  #failed(message: Outgoing, error: unknown): void {
    if (hasCode(error, 'shard_moved')) {
      message.refuse();
    } else if (hasCode(error, ...UNSENT)) {
      this.region.unsent(message);
    } else if (hasCode(error, ...REFUSED)) {
      this.region.answered(message);
      message.drop(error.message, error);
    } else if (hasCode(error, ...LOST)) {
      this.region.answered(message);
      message.lose(error.message, error);
    } else {
      message.fail(error);
    }
  }

  async #open(shard: HostedShard, epoch: number): Promise<void> {
    const { journal, log } = this.#components;
    const key = { type: this.type.name, shard: shard.number, epoch };
    while (this.#isAt(shard, epoch) && shard.phase === 'opening') {
      try {
        const ids = await journal!.open(key);
        this.host.opened(shard, epoch, this.type.remember ? ids : []);
        return;
      } catch (error) {
        log.warn({ ...key, err: error }, 'a shard cannot be opened');
      }
      await this.#pause();
    }
  }

  /** Part after part, until the next owner has them all or the table has changed its mind. */
  async #hand(shard: HostedShard, to: Session, entities: readonly EntityRecord[]): Promise<void> {
    const { log } = this.#components;
    const { epoch, number } = shard;
    const type = this.type.name;
    log.debug({ type, shard: number, epoch, to: to.node }, 'frozen');
    const unfit = (id: string, error: unknown) =>
      log.error({ type, entity: id, err: error }, 'the state of an entity cannot travel');
    const parts = packEntities(entities, SHARDING_DEFAULTS.stagePartBytes, unfit);
    for (let part = 0; part < parts.length; ) {
      if (!this.#isAt(shard, epoch) || shard.phase !== 'handing') return;
      const body = { type, shard: number, epoch: epoch + 1, part, parts: parts.length };
      try {
        await this.#stage(to.node, { body, bytes: parts[part]! });
        part++;
      } catch (error) {
        log.debug({ type, shard: number, err: error }, 'a part of a shard did not arrive');
        part = 0;
        await this.#pause();
      }
    }
    log.debug({ type, shard: number, epoch, to: to.node }, 'handed');
    this.host.handed(shard, epoch);
  }

  async #stage(node: string, payload: Payload): Promise<void> {
    const { host } = this.#components;
    const timeoutMs = SHARDING_DEFAULTS.callTimeoutMs;
    await host.call(node, PROCEDURES.stage, payload, { timeoutMs });
  }

  #isAt(shard: HostedShard, epoch: number): boolean {
    return this.host.shards.get(shard.number) === shard && shard.epoch === epoch;
  }

  #pause(): Promise<void> {
    const { clock } = this.#components;
    const { signal } = this.#stopped;
    return sleep(clock, SHARDING_DEFAULTS.retryWriteMs, signal).catch(() => {});
  }
}

/** A message of this node to itself whose argument is an object: the handler gets a copy. */
class LocalMessage implements Incoming {
  readonly argument: unknown;
  readonly #message: Outgoing;

  constructor(message: Outgoing, argument: unknown) {
    this.#message = message;
    this.argument = argument;
  }

  get shard(): number {
    return this.#message.shard;
  }

  get epoch(): number {
    return this.#message.epoch;
  }

  get id(): string {
    return this.#message.id;
  }

  get handler(): string {
    return this.#message.handler;
  }

  get deadlineMs(): number {
    return this.#message.deadlineMs;
  }

  answer(reply: unknown): void {
    this.#message.answer(reply);
  }

  refuse(): void {
    this.#message.refuse();
  }

  fail(error: unknown): void {
    this.#message.fail(error);
  }
}

/** A message from another node. Its promise is made only when the answer takes its time. */
class RemoteMessage implements Incoming {
  readonly shard: number;
  readonly epoch: number;
  readonly id: string;
  readonly handler: string;
  readonly argument: unknown;
  readonly deadlineMs: number;
  #outcome: Payload | FlotillaError | undefined;
  #resolve: ((payload: Payload) => void) | undefined;
  #reject: Reject | undefined;

  constructor([, shard, epoch, id, handler, argument, leftMs]: Delivery, now: number) {
    this.shard = shard;
    this.epoch = epoch;
    this.id = id;
    this.handler = handler;
    this.argument = argument;
    this.deadlineMs = now + leftMs;
  }

  /** Called once, after it was delivered. */
  outcome(): Payload | Promise<Payload> {
    const outcome = this.#outcome;
    if (outcome instanceof FlotillaError) throw outcome;
    if (outcome !== undefined) return outcome;
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  answer(reply: unknown): void {
    this.#end(packAnswer(reply));
  }

  fail(error: unknown): void {
    this.#end(packFailure(error));
  }

  refuse(): void {
    const error = shardMoved(this.shard);
    if (this.#reject === undefined) this.#outcome = error;
    else this.#reject(error);
  }

  #end(outcome: Payload): void {
    if (this.#resolve === undefined) this.#outcome = outcome;
    else this.#resolve(outcome);
  }
}
