// One type at one node: joins the region and the host machines to the messages between nodes, the
// journal and the clock. It decides nothing about who owns what.
import { hasCode, sleep } from '../core/index.ts';
import { SHARDING_DEFAULTS } from './defaults.ts';
import { EntityRuntime } from './entity-runtime.ts';
import { notOwned, shardMoved, shardsDiffer } from './errors.ts';
import { Extractor } from './extractor.ts';
import {
  copyOf,
  invalidMessage,
  packDelivery,
  packEntities,
  PROCEDURES,
  readOutcome,
} from './messages.ts';
import { LocalMessage, RemoteMessage } from './incoming.ts';
import { metricsOf } from './metrics.ts';
import { Outgoing } from './outgoing.ts';
import { LOST, Reach, UNSENT } from './reach.ts';
import { Region } from './region.ts';
import { ShardHost } from './shard-host.ts';
import type { Clock, Deadlines, Logger } from '../core/index.ts';
import type { Payload, RpcHost } from '../peer/index.ts';
import type { AnyEntityType } from './define-entity.ts';
import type { EntityRecord } from './entities.ts';
import type { HostedShard } from './hosted-shard.ts';
import type { Journal } from './journal.ts';
import type { LocalLane } from './local-lane.ts';
import type { TypeMetrics } from './metrics.ts';
import type { Delivery, NodeDescription, StagedPart } from './messages.ts';
import type { OutgoingContent, Reject, Resolve } from './outgoing.ts';
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

/**
 * What is said by an owner that handles nothing more at that epoch: it has let go of the shard, or
 * its node was started again and has not come to its entities yet.
 */
const REFUSED = ['shard_moved', 'type_unknown', 'unknown_procedure'];

export class TypeRuntime {
  readonly type: AnyEntityType;
  readonly extractor: Extractor;
  readonly region: Region;
  readonly host: ShardHost;
  readonly #components: TypeRuntimeComponents;
  readonly #reach: Reach;
  readonly #stopped = new AbortController();

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
    this.#reach = new Reach({
      host,
      clock,
      needed: () => this.region.waiting > 0,
      onBack: () => this.region.reachable(),
    });
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
        remember: type.remember,
        mailboxCapacity: type.mailboxCapacity,
        parkedMessages: SHARDING_DEFAULTS.parkedMessages,
        stagedBytes: SHARDING_DEFAULTS.stagedBytes,
        stagePartBytes: SHARDING_DEFAULTS.stagePartBytes,
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
    this.#reach.stop();
    this.host.fence();
    this.region.stop();
  }

  /** Sends a message; the outcome comes by `resolve` or `reject`. */
  send(
    content: Omit<OutgoingContent, 'deadlineMs'>,
    timeoutMs: number,
    settle: { readonly resolve: Resolve; readonly reject: Reject },
  ): void {
    const { clock, deadlines, view } = this.#components;
    const { name, shards } = this.type;
    const known = view.tables.get(name)?.entries.length ?? shards;
    if (known !== shards) {
      settle.reject(shardsDiffer(name, known, shards));
      return;
    }
    const { shard, id, handler, argument } = content;
    const deadlineMs = clock.now() + timeoutMs;
    const message = new Outgoing(this.region, { shard, id, handler, argument, deadlineMs }, settle);
    message.tick = deadlines.add(message, deadlineMs);
    this.region.send(message);
  }

  /** A message of another node's region. Answers in the same tick when its handler does. */
  receive(delivery: Delivery): Payload | Promise<Payload> {
    const message = new RemoteMessage(delivery, this.#components.clock.now());
    // In another shard it would be a second entity of that id.
    if (this.extractor.shardOf(message.id) !== message.shard) {
      throw invalidMessage(`${message.id} is not in shard ${message.shard} of ${this.type.name}`);
    }
    this.host.deliver(message);
    return message.outcome();
  }

  /** A part of a shard that its owner, the caller, hands over. Only that one may. */
  receivePart(part: StagedPart, bytes: Uint8Array, from: string): void {
    const { shard, epoch } = part;
    const entry = this.#components.view.tables.get(this.type.name)?.entries[shard];
    if (entry === undefined || epoch <= entry.epoch) throw shardMoved(shard);
    if (entry.owner !== from || epoch !== entry.epoch + 1) {
      throw notOwned(from, { type: this.type.name, shard, epoch: epoch - 1 });
    }
    this.host.staging.add(part, bytes, (id) => this.extractor.shardOf(id) === shard);
  }

  metrics(): TypeMetrics {
    return metricsOf(this.type.name, this.region, this.host);
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
    if (this.#reach.isAway(owner)) {
      this.region.unsent(message);
      return;
    }
    const timeoutMs = Math.max(1, message.deadlineMs - clock.now());
    const payload = packDelivery(this.type.name, message, timeoutMs);
    host.call(owner, PROCEDURES.deliver, payload, { timeoutMs }).then(
      (answer) => this.#answered(message, answer),
      (error: unknown) => this.#failed(owner, message, error),
    );
  }

  #sendHere(message: Outgoing): void {
    const { argument } = message;
    let copy: unknown;
    try {
      copy = copyOf(argument);
    } catch (error) {
      message.fail(error);
      return;
    }
    const incoming = copy === argument ? message : new LocalMessage(message, copy);
    this.#components.lane.send(this.host, incoming);
  }

  #answered(message: Outgoing, answer: Payload): void {
    try {
      readOutcome(answer, message);
    } catch (error) {
      message.fail(error);
    }
  }

  #failed(owner: string, message: Outgoing, error: unknown): void {
    if (hasCode(error, ...REFUSED)) {
      message.refuse();
    } else if (hasCode(error, ...UNSENT)) {
      this.#reach.failed(owner);
      this.region.unsent(message);
    } else if (hasCode(error, 'lane_full')) {
      this.region.answered(message);
      message.drop(error.message, error);
    } else if (hasCode(error, ...LOST)) {
      if (error.code === 'peer_disconnected') this.#reach.failed(owner);
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
    const begin = () => packEntities(entities, SHARDING_DEFAULTS.stagePartBytes, unfit);
    let parts = begin();
    let bytes = parts.next().value;
    for (let part = 0; bytes !== undefined; ) {
      if (!this.#isAt(shard, epoch) || shard.phase !== 'handing') return;
      const following = parts.next().value;
      const isLast = following === undefined;
      const body = { type, shard: number, epoch: epoch + 1, part, isLast };
      try {
        await this.#stage(to.node, { body, bytes });
        part++;
        bytes = following;
      } catch (error) {
        log.debug({ type, shard: number, err: error }, 'a part of a shard did not arrive');
        await this.#pause();
        part = 0;
        parts = begin();
        bytes = parts.next().value;
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
