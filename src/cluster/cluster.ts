// Membership on real connections: feeds the machine with what peers say and with time, does what it
// asks for, and keeps the coordinator's view true. It decides nothing about members itself.
import { defined, messageOf, sleep } from '../core/index.ts';
import { eventOf } from './cluster-events.ts';
import { CLUSTER_DEFAULTS, MEMBERSHIP_PRESETS } from './defaults.ts';
import { Dials } from './dials.ts';
import { Joining } from './joining.ts';
import { checkMetadata, hasEnded } from './member.ts';
import { Membership } from './membership.ts';
import {
  EXCHANGE,
  encodeMessage,
  encodeView,
  MEMBERSHIP,
  readMessage,
  readView,
} from './messages.ts';
import { TrafficWatch } from './traffic-watch.ts';
import type { Clock, Logger, Prng, Timer } from '../core/index.ts';
import type { ClusterEvent, ClusterListener } from './cluster-events.ts';
import type { ClusterHost } from './cluster-host.ts';
import type { Coordinator } from './coordinator.ts';
import type { MembershipPreset } from './defaults.ts';
import type { Member, MemberMetadata } from './member.ts';
import type { MembershipEffect, MembershipEvent, MembershipOptions } from './membership-types.ts';

export interface ClusterComponents {
  readonly host: ClusterHost;
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
}

export interface ClusterOptions {
  /** Where peers reach this node, `host:port`. */
  readonly address: string;
  /** The member that founded the cluster; learnt from the seed when absent. */
  readonly founder?: string;
  /** What lies between the nodes. @default "local" */
  readonly preset?: MembershipPreset;
  /** In place of single values of the preset. */
  readonly membership?: Partial<MembershipOptions>;
  /** What others are told of this node; small. @default {} */
  readonly metadata?: MemberMetadata;
}

export class Cluster {
  readonly #components: ClusterComponents;
  readonly #options: MembershipOptions;
  readonly #membership: Membership;
  readonly #joining: Joining;
  readonly #dials: Dials;
  readonly #traffic: TrafficWatch;
  readonly #listeners = new Set<ClusterListener>();
  #founder: string | undefined;
  #timer: Timer | undefined;
  #dueMs = Infinity;
  #state: 'new' | 'running' | 'stopped' = 'new';

  /** Errors: `invalid_option`, `metadata_too_large`. */
  constructor(components: ClusterComponents, options: ClusterOptions) {
    const { host, clock, prng } = components;
    const { address, preset = 'local', metadata = {} } = options;
    this.#components = components;
    this.#options = { ...MEMBERSHIP_PRESETS[preset], ...options.membership };
    this.#founder = options.founder;
    const incarnation = clock.wallTime();
    const record = { name: host.name, address, httpAddress: '', incarnation };
    const self = { ...record, metadata: checkMetadata(metadata) };
    this.#membership = new Membership(self, this.#options, prng);
    this.#dials = new Dials(components, MEMBERSHIP);
    this.#traffic = new TrafficWatch(host);
    this.#joining = new Joining({
      host,
      clock,
      membership: this.#membership,
      options: this.#options,
      founder: () => this.#founder ?? host.name,
      step: (event) => this.#step(event),
    });
  }

  /** The member that holds the CA. Known once `start` is done. */
  get founder(): string {
    return defined(this.#founder, 'the founder is known after start');
  }

  get self(): Member {
    return this.#membership.self;
  }

  /** This node, every live or suspected member, and the dead until they are forgotten; by name. */
  members(): Member[] {
    return this.#membership.members().sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  member(name: string): Member | undefined {
    return this.#membership.member(name);
  }

  /** Lifeguard's local health of this node: 0 is well, the preset's `maxAwareness` is worst. */
  get awareness(): number {
    return this.#membership.awareness;
  }

  /** Calls `listener` with everything that changes from now on. Returns how to stop that. */
  watch(listener: ClusterListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells everyone where clients reach this node, `host:port`. */
  announceHttp(httpAddress: string): void {
    this.#step({ type: 'describe', httpAddress });
  }

  /** Tells everyone what this node is. Errors: `metadata_too_large`. */
  describe(metadata: MemberMetadata): void {
    this.#step({ type: 'describe', metadata: checkMetadata(metadata) });
  }

  /**
   * Joins through the first seed that answers, or stands for itself without seeds; up afterwards.
   * Errors: `join_refused`, `name_conflict`, `peer_unreachable`.
   */
  async start(seeds: readonly string[] = []): Promise<void> {
    const { host, coordinator, log } = this.#components;
    this.#state = 'running';
    coordinator.follow(this.self);
    this.#joining.serve();
    host.handle(EXCHANGE, (request, { peer }) => {
      this.#merge(peer, request.body);
      return { body: encodeView(this.#membership.view()) };
    });
    host.onControl(MEMBERSHIP, (body, peer) => {
      try {
        this.#receive(peer, body);
      } catch (error) {
        log.warn({ peer, err: error }, `a message was refused: ${messageOf(error)}`);
      }
    });
    host.onDisconnect(({ name }) => this.#step({ type: 'disconnected', name }));
    try {
      if (seeds.length > 0) await this.#join(seeds);
    } catch (error) {
      this.#end();
      throw error;
    }
    this.#founder ??= host.name;
    this.#step({ type: 'declare', status: 'up' });
  }

  /** Meets members that were there before: what a founder without seeds does when it is back. */
  async rejoin(addresses: readonly string[]): Promise<void> {
    await this.#join(addresses);
  }

  /** Takes no more requests: routing passes this node over, its links and shards stay. */
  drain(): void {
    this.#step({ type: 'declare', status: 'leaving' });
  }

  /** Takes requests again after `drain`. */
  undrain(): void {
    this.#step({ type: 'declare', status: 'up' });
  }

  /** Drains, and gives the news time to travel. */
  async drainOut(): Promise<void> {
    this.drain();
    await sleep(this.#components.clock, CLUSTER_DEFAULTS.leaveMs);
  }

  /** Drains, gives the news time to travel, and stops. */
  async leave(): Promise<void> {
    await this.drainOut();
    this.stop();
  }

  /** Says good-bye to everyone, who then end their connections to this node, and stops. */
  stop(): void {
    if (this.#state !== 'running') return;
    this.#step({ type: 'declare', status: 'left' });
    this.#end();
  }

  async #join(seeds: readonly string[]): Promise<void> {
    const founder = await this.#joining.join(seeds);
    this.#founder ??= founder;
  }

  #end(): void {
    this.#state = 'stopped';
    this.#timer?.cancel();
  }

  #receive(peer: string, body: unknown): void {
    const message = readMessage(body, peer);
    const { clock, coordinator } = this.#components;
    this.#step({ type: 'message', from: peer, message });
    coordinator.registry.touch(peer, clock.wallTime());
  }

  #merge(peer: string, body: unknown): void {
    const { maxMembers, maxTombstones } = this.#options;
    const members = readView(body, peer, maxMembers + maxTombstones);
    this.#step({ type: 'merge', from: peer, members });
  }

  /** Every event goes through here. */
  #step(event: MembershipEvent): void {
    if (this.#state !== 'running') return;
    const now = this.#components.clock.now();
    this.#noticeStall(now);
    this.#apply(this.#membership.step(event, now));
    this.#schedule(now);
  }

  /** A timer that is overdue says how late the event loop is, before anything is judged by it. */
  #noticeStall(now: number): void {
    const lateMs = now - this.#dueMs;
    if (lateMs <= this.#options.stallMs) return;
    this.#dueMs = Infinity;
    this.#apply(this.#membership.step({ type: 'stalled', forMs: lateMs }, now));
  }

  #schedule(now: number): void {
    const dueMs = this.#membership.nextTickAt();
    if (dueMs >= this.#dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = this.#components.clock.schedule(Math.max(0, dueMs - now), () => this.#tick());
  }

  #tick(): void {
    if (this.#state !== 'running') return;
    const now = this.#components.clock.now();
    this.#noticeStall(now);
    this.#dueMs = Infinity;
    if (this.#traffic.isDue(now, this.#options.probeIntervalMs)) {
      for (const from of this.#traffic.heardFrom(now)) {
        this.#apply(this.#membership.step({ type: 'traffic', from }, now));
      }
    }
    this.#step({ type: 'tick' });
  }

  #apply(effects: readonly MembershipEffect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case 'send':
          this.#dials.send(effect.to, effect.address, encodeMessage(effect.message));
          break;
        case 'exchange':
          void this.#exchange(effect.with);
          break;
        case 'changed':
        case 'forgotten':
          this.#changed(eventOf(effect));
          break;
      }
    }
  }

  async #exchange(name: string): Promise<void> {
    const { host, log } = this.#components;
    const request = { body: encodeView(this.#membership.view()) };
    const timeoutMs = CLUSTER_DEFAULTS.exchangeTimeoutMs;
    try {
      const { body } = await host.call(name, EXCHANGE, request, { timeoutMs });
      this.#merge(name, body);
    } catch (error) {
      log.debug({ peer: name, err: error }, 'views were not exchanged');
    }
  }

  #changed(event: ClusterEvent): void {
    const { coordinator, host, log } = this.#components;
    const { member } = event;
    const { name, address, status } = member;
    if (event.type !== 'updated') log.info({ peer: name, address, status }, `member ${status}`);
    if (event.type === 'removed') {
      coordinator.removePeer(name);
      if (name !== host.name) host.forget(name);
    } else {
      if (name !== host.name) host.learn(name, address);
      coordinator.follow(member);
    }
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        log.error({ err: error }, `a watcher of the cluster failed: ${messageOf(error)}`);
      }
    }
    this.#cutOff(event);
  }

  /** Whoever waits for an answer of a member that ended waits for nothing. */
  #cutOff({ type, member: { name, status } }: ClusterEvent): void {
    const { host } = this.#components;
    if (type === 'updated' || !hasEnded(status) || name === host.name) return;
    host.disconnect(name, status === 'dead' ? 'it was found dead' : 'it has left');
  }
}
