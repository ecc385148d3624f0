// Sharding at one node: its session, the coordinator that it may become, its types and what nodes
// tell each other. Every decision is made by the machines beside it.
import { Deadlines, FlotillaError, hasCode } from '../core/index.ts';
import { Election, PrefixFollower } from '../store/index.ts';
import { loadScore } from './allocation.ts';
import { SHARDING_DEFAULTS } from './defaults.ts';
import { EntityReference } from './entity-reference.ts';
import { shardsDiffer } from './errors.ts';
import { LocalLane } from './local-lane.ts';
import { PROCEDURES, read, readDelivery, RELEASED, STAGE } from './messages.ts';
import { COORDINATOR_KEY, OwnershipView, PREFIX, sessionKey, tableKey } from './ownership-view.ts';
import { Registrations } from './registrations.ts';
import { ReleaseNotices } from './release-notices.ts';
import { ShardCoordinator } from './shard-coordinator.ts';
import { listShards } from './shard-listing.ts';
import { encodeTable } from './shard-table.ts';
import { TypeRuntime } from './type-runtime.ts';
import type { Clock, Logger, Prng, Timer } from '../core/index.ts';
import type { KnownNode } from '../cluster/index.ts';
import type { RpcHost } from '../peer/index.ts';
import type { Entry, Store, StoreEvent } from '../store/index.ts';
import type { AnyEntityType, EntityHandlers, EntityType } from './define-entity.ts';
import type { Journal } from './journal.ts';
import type { ShardingMetrics } from './metrics.ts';
import type { TableWrite, WriteOutcome } from './shard-coordinator.ts';
import type { ShardInfo } from './shard-listing.ts';

export interface ShardingComponents {
  readonly host: RpcHost;
  readonly store: Store;
  /** Needed for types that are durable or remembered. */
  readonly journal?: Journal;
  /** What is known of a node's load, for `least-load`. */
  readonly load?: (node: string) => KnownNode | undefined;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
}

export interface ShardingOptions {
  /**
   * How long a node that fell silent keeps its shards. Shorter recovers sooner, and is lost sooner
   * by a slow node: it stops serving after 0.6 of it without the store. @default 5 s
   */
  readonly sessionTtlMs?: number;
  /** A shard that did not leave its owner within this stays there. @default 10 s */
  readonly handoffTimeoutMs?: number;
  /** How often the coordinator looks for a better balance. @default 2 s */
  readonly rebalanceIntervalMs?: number;
  /** The pause before a handoff that failed is tried again; doubled each time. @default 5 s */
  readonly retryHandoffMs?: number;
  /** @default 300 s */
  readonly maxRetryHandoffMs?: number;
}

export class Sharding {
  readonly view = new OwnershipView();
  readonly #components: ShardingComponents;
  readonly #session: Election;
  readonly #office: Election;
  readonly #coordinator: ShardCoordinator;
  readonly #follower: PrefixFollower;
  readonly #deadlines: Deadlines;
  readonly #ttlMs: number;
  readonly #lane = new LocalLane();
  readonly #types = new Map<string, TypeRuntime>();
  readonly #registrations: Registrations;
  readonly #releases: ReleaseNotices;
  #draining = false;
  #timer: Timer | undefined;
  #state: 'new' | 'running' | 'stopped' = 'new';
  #lostTells = 0;
  #lastLost: { readonly type: string; readonly entity: string; readonly err: unknown } | undefined;

  constructor(components: ShardingComponents, options: ShardingOptions = {}) {
    const { host, store, clock, prng, log } = components;
    this.#components = components;
    this.#deadlines = new Deadlines(clock);
    const ttlMs = options.sessionTtlMs ?? SHARDING_DEFAULTS.sessionTtlMs;
    this.#ttlMs = ttlMs;
    const parts = { store, clock, prng, log };
    const { name } = host;
    this.#session = new Election(parts, { key: sessionKey(name), name, ttlMs });
    this.#office = new Election(parts, { key: COORDINATOR_KEY, name, ttlMs });
    this.#coordinator = new ShardCoordinator(
      {
        view: this.view,
        strategy: (type, wanted) => this.#strategyOf(type, wanted),
        loadOf: (node) => this.#loadOf(node),
      },
      { ...SHARDING_DEFAULTS, ...options },
    );
    this.#registrations = new Registrations({ ...parts, node: name, view: this.view });
    this.#releases = new ReleaseNotices({ host, view: this.view, log });
    const listener = {
      listed: (entries: readonly Entry[], revision: number) =>
        this.#heard(() => this.view.reset(entries, revision)),
      heard: (event: StoreEvent) => this.#heard(() => this.view.apply(event)),
      failed: (error: unknown) => log.debug({ err: error }, 'shards are not followed'),
    };
    this.#follower = new PrefixFollower(
      { store, clock, listener },
      { prefix: PREFIX, retryMs: SHARDING_DEFAULTS.retryWriteMs },
    );
  }

  /** The term of this node's session; undefined while it owns nothing. */
  get session(): number | undefined {
    return this.#session.term()?.epoch;
  }

  /** Whether this node decides who owns what. */
  get coordinates(): boolean {
    return this.#office.term() !== undefined;
  }

  /** Messages without an answer that did not arrive, or that their entity did not take. */
  get lostTells(): number {
    return this.#lostTells;
  }

  /** Answers other nodes. What goes on between node and store begins with the first type. */
  start(): void {
    if (this.#state !== 'new') return;
    this.#state = 'running';
    this.#serve();
    if (this.#types.size > 0) this.#activate();
  }

  /** Hosts entities of a type from now on, and knows how to reach them. Idempotent. */
  register(type: AnyEntityType): void {
    this.#runtime(type);
  }

  /** Errors: `entity_id_invalid`, `invalid_option`, `type_conflict`. */
  entity<S extends object, H extends EntityHandlers<S>>(
    type: EntityType<S, H>,
    id: string,
  ): EntityReference<H> {
    const runtime = this.#runtime(type as unknown as AnyEntityType);
    return new EntityReference<H>(runtime, id, (error) => this.#lost(type.name, id, error));
  }

  /**
   * Lets others take this node's shards, with what they hold. True when they all have gone, false
   * when `timeoutMs` were not enough or nobody is there to take them.
   */
  async drain(timeoutMs: number): Promise<boolean> {
    const { clock } = this.#components;
    this.#draining = true;
    this.#register();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const startedMs = clock.now();
    const untilMs = startedMs + timeoutMs;
    const look = () => {
      // Without a session for so long it has nothing, and the store has seen it go.
      const adrift = this.session === undefined && clock.now() - startedMs >= this.#ttlMs;
      if (this.#timer === undefined || adrift || this.#isDrained()) resolve(true);
      else if (clock.now() >= untilMs || this.#state !== 'running') resolve(false);
      else clock.schedule(DRAIN_LOOK_MS, look);
    };
    look();
    return promise;
  }

  /** Takes shards again after `drain`. */
  undrain(): void {
    this.#draining = false;
    this.#register();
  }

  /** Lets go of everything at once: others recover what is durable. To keep all, `drain` first. */
  async stop(): Promise<void> {
    if (this.#state !== 'running') return;
    this.#state = 'stopped';
    this.#timer?.cancel();
    this.#follower.stop();
    this.#releases.stop();
    for (const runtime of this.#types.values()) runtime.stop();
    await Promise.all([this.#office.stop(), this.#session.stop()]);
    this.#deadlines.stop();
  }

  /** Every shard of every type, with what its owner says of it. */
  async describe(): Promise<ShardInfo[]> {
    const { host, store } = this.#components;
    if (this.#timer !== undefined) return listShards(host, this.view);
    // A node without types follows nothing: it reads when it is asked.
    const view = new OwnershipView();
    view.reset(await store.list(PREFIX), 0);
    return listShards(host, view);
  }

  /** What this node counts of itself. */
  metrics(): ShardingMetrics {
    const types = [...this.#types.values()].map((runtime) => runtime.metrics());
    return { coordinates: this.coordinates, lostTells: this.#lostTells, types };
  }

  #runtime(type: AnyEntityType): TypeRuntime {
    let runtime = this.#types.get(type.name);
    if (runtime !== undefined) {
      if (runtime.type === type) return runtime;
      const message = `two types of this node are named ${type.name}`;
      throw new FlotillaError('type_conflict', message, { details: { type: type.name } });
    }
    runtime = this.#makeRuntime(type);
    this.#types.set(type.name, runtime);
    if (this.#state !== 'running') return runtime;
    this.#activate();
    runtime.session(this.session);
    runtime.changed();
    this.#register();
    return runtime;
  }

  #makeRuntime(type: AnyEntityType): TypeRuntime {
    const { host, clock, log, journal } = this.#components;
    const { name, durable, remember, shards } = type;
    const known = this.view.tables.get(name)?.entries.length;
    if (known !== undefined && known !== shards) throw shardsDiffer(name, known, shards);
    const journaled = durable || remember;
    if (journaled && journal === undefined) {
      const message = `the type ${name} is durable, but this node has no journal`;
      throw new FlotillaError('type_conflict', message, { details: { type: name } });
    }
    return new TypeRuntime(type, {
      ...{ host, clock, log, view: this.view, deadlines: this.#deadlines, lane: this.#lane },
      journal: journaled ? journal : undefined,
      live: () => this.#session.term() !== undefined,
      release: (kind, shard, epoch) => this.#releases.add(kind, shard, epoch),
    });
  }

  #activate(): void {
    if (this.#timer !== undefined) return;
    const { clock } = this.#components;
    this.#timer = clock.repeat(SHARDING_DEFAULTS.tickMs, () => this.#tick());
    this.#session.onChange((term) => {
      for (const runtime of this.#types.values()) runtime.session(term?.epoch);
      this.#changed();
    });
    this.#office.onChange((term) => {
      this.#coordinator.elected(term?.epoch);
      this.#plan();
    });
    this.#follower.start();
    this.#session.start();
    this.#office.start();
  }

  #serve(): void {
    const { host } = this.#components;
    host.handle(PROCEDURES.deliver, (request) => {
      const delivery = readDelivery(request);
      return this.#known(delivery[0]).receive(delivery);
    });
    host.handle(PROCEDURES.stage, (request, { peer }) => {
      const part = read(STAGE, request);
      this.#known(part.type).receivePart(part, request.bytes ?? EMPTY, peer);
      return DONE;
    });
    host.handle(PROCEDURES.released, (request, { peer }) => {
      const { type, shards } = read(RELEASED, request);
      const entries = this.view.tables.get(type)?.entries;
      // Of others, and of what is not known here yet, it is not heard: an owner repeats it.
      const own = shards.filter(([shard, epoch]) => {
        const entry = entries?.[shard];
        return entry?.owner === peer && entry.epoch === epoch;
      });
      for (const [shard, epoch] of own) this.#coordinator.released(type, shard, epoch);
      if (own.length > 0) this.#plan();
      return DONE;
    });
    host.handle(PROCEDURES.describe, () => ({
      body: { types: [...this.#types.values()].map((runtime) => runtime.describe()) },
    }));
  }

  #known(type: string): TypeRuntime {
    const runtime = this.#types.get(type);
    // One that has stopped owns nothing, and refuses what comes late.
    if (runtime !== undefined) return runtime;
    const message = `${this.#components.host.name} does not host the type ${type.slice(0, 80)}`;
    throw new FlotillaError('type_unknown', message, { details: { type: type.slice(0, 80) } });
  }

  #tick(): void {
    for (const runtime of this.#types.values()) runtime.tick();
    this.#reportLost();
    this.#register();
    this.#plan();
  }

  /** Takes what the store says. A record that cannot be read must not keep the others out. */
  #heard(take: () => unknown): void {
    let changed: unknown = true;
    try {
      changed = take();
    } catch (error) {
      this.#components.log.error({ err: error }, 'a record of shards cannot be read');
    }
    if (changed !== false) this.#changed();
  }

  #changed(): void {
    if (this.#state !== 'running') return;
    for (const runtime of this.#types.values()) runtime.changed();
    this.#register();
    this.#plan();
  }

  #register(): void {
    const { session } = this;
    if (session === undefined || this.#state !== 'running') return;
    const wanted = { session, draining: this.#draining };
    for (const { type } of this.#types.values()) this.#registrations.put(type, wanted);
  }

  /** It has nothing, and the store knows that it wants nothing. */
  #isDrained(): boolean {
    const { name } = this.#components.host;
    const { session } = this;
    if (session === undefined) return false;
    const wanted = { session, draining: this.#draining };
    for (const { type } of this.#types.values()) {
      if (!this.#registrations.has(type, wanted)) return false;
      for (const { owner, move } of this.view.tables.get(type.name)?.entries ?? []) {
        if (owner === name || move?.node === name) return false;
      }
    }
    return true;
  }

  /** Writes what the coordinator wants written now. */
  #plan(): void {
    if (this.#state !== 'running') return;
    const term = this.#office.term()?.epoch;
    if (term !== this.#coordinator.term) this.#coordinator.elected(term);
    for (const write of this.#coordinator.plan(this.#components.clock.now())) {
      void this.#write(write);
    }
  }

  async #write({ type, compares, table }: TableWrite): Promise<void> {
    const { store, clock, log } = this.#components;
    const key = tableKey(type);
    const value = encodeTable(table);
    let outcome: WriteOutcome = 'unknown';
    try {
      const { ok, revision } = await store.compareAndSwap(compares, [{ put: key, value }]);
      outcome = ok ? 'done' : 'refused';
      log.debug({ type, revision, ok }, 'table written');
      if (ok) this.view.apply({ type: 'put', key, value, revision });
    } catch (error) {
      const level = hasCode(error, 'store_unavailable') ? 'debug' : 'error';
      log[level]({ type, err: error }, 'a table was not written');
    }
    this.#coordinator.written(type, outcome, clock.now());
    this.#changed();
  }

  #strategyOf(type: string, wanted: string) {
    const allocation = this.#types.get(type)?.type.allocation;
    return allocation?.name === wanted ? allocation.strategy : undefined;
  }

  #loadOf(node: string): number | undefined {
    const known = this.#components.load?.(node);
    return known?.record === undefined ? undefined : loadScore(known.record, known.outstanding);
  }

  #lost(type: string, entity: string, error: unknown): void {
    this.#lostTells++;
    this.#lastLost = { type, entity, err: error };
  }

  /** One line for all of a tick: whoever loses one message may lose a million. */
  #reportLost(): void {
    if (this.#lastLost === undefined) return;
    const { log } = this.#components;
    log.warn({ ...this.#lastLost, lost: this.#lostTells }, 'messages without an answer were lost');
    this.#lastLost = undefined;
  }
}

const DONE = { body: {} };
const EMPTY = new Uint8Array(0);

/** How often a draining node looks whether its shards are gone. */
const DRAIN_LOOK_MS = 20;
