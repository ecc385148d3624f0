// Membership on real connections: joins through a seed, sends and hears heartbeats, and keeps the
// coordinator's view true. Decisions are `HeartbeatDetector`'s; the connections are the peer
// host's.
import { defined, FlotillaError, hasCode, messageOf } from '../core/index.ts';
import { CLUSTER_DEFAULTS } from './defaults.ts';
import { HeartbeatDetector } from './heartbeat-detector.ts';
import { HEARTBEAT, JOIN, NODE_LEFT, readJoinAnswer, readMember } from './messages.ts';
import type { Clock, Logger, Timer } from '../core/index.ts';
import type { PeerHost } from '../peer/index.ts';
import type { Coordinator } from './coordinator.ts';
import type { HealthChange, MemberRecord } from './heartbeat-detector.ts';
import type { JoinAnswer } from './messages.ts';

export interface ClusterComponents {
  readonly host: PeerHost;
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly log: Logger;
  /** This node's load now, 0 to 1. */
  readonly load: () => number;
}

export interface ClusterOptions {
  /** Where peers reach this node, `host:port`. */
  readonly address: string;
  /** The member that founded the cluster; learnt from the seed when absent. */
  readonly founder?: string;
  readonly heartbeatIntervalMs?: number;
  readonly healthTimeoutMs?: number;
}

export class Cluster {
  readonly #components: ClusterComponents;
  readonly #options: Required<Omit<ClusterOptions, 'founder'>>;
  readonly #detector: HeartbeatDetector;
  readonly #incarnation: number;
  #httpAddress = '';
  readonly #dialling = new Set<string>();
  #founder: string | undefined;
  #timer: Timer | undefined;

  constructor(components: ClusterComponents, options: ClusterOptions) {
    const { founder, ...rest } = options;
    this.#components = components;
    this.#options = { ...CLUSTER_DEFAULTS, ...rest };
    this.#founder = founder;
    this.#detector = new HeartbeatDetector(this.#options);
    this.#incarnation = components.clock.wallTime();
  }

  /** The member that holds the store. Known once `start` is done. */
  get founder(): string {
    return defined(this.#founder, 'the founder is known after start');
  }

  /** Tells everyone where clients reach this node, `host:port`. */
  announceHttp(httpAddress: string): void {
    this.#httpAddress = httpAddress;
    this.#components.coordinator.registerSelf(httpAddress);
    if (this.#timer !== undefined) this.#beat();
  }

  /**
   * Starts to answer joins and to exchange heartbeats; joins through the first seed that answers.
   */
  async start(seeds: readonly string[] = []): Promise<void> {
    const { host, coordinator, clock } = this.#components;
    coordinator.registerSelf();
    host.handle(JOIN, (request, { peer }) => {
      this.#heard(readMember(request.body, peer, 'itself'));
      return { body: this.#answerJoin() };
    });
    host.onControl(HEARTBEAT, (body, peer) => this.#receive(peer, body));
    host.onControl(NODE_LEFT, (body, peer) => {
      const { name, incarnation } = readMember(body, peer, 'itself');
      this.#apply(this.#detector.left(name, incarnation));
    });
    if (seeds.length > 0) await this.#joinThrough(seeds);
    const { heartbeatIntervalMs } = this.#options;
    const checks = CLUSTER_DEFAULTS.checksPerHeartbeat;
    let check = 0;
    this.#timer = clock.repeat(heartbeatIntervalMs / checks, () => {
      this.#apply(this.#detector.tick(clock.now()));
      check = (check + 1) % checks;
      if (check === 0) this.#beat();
    });
    this.#beat();
  }

  /** Says good-bye to everyone and stops. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const record = this.#selfRecord();
    for (const { name } of this.#detector.members()) {
      this.#components.host.sendControl(name, NODE_LEFT, record);
    }
  }

  async #joinThrough(seeds: readonly string[]): Promise<void> {
    const failures: unknown[] = [];
    for (const seed of seeds) {
      try {
        this.#join(await this.#askSeed(seed));
        return;
      } catch (error) {
        failures.push(error);
      }
    }
    const [cause] = failures;
    if (hasCode(cause)) throw cause;
    throw new FlotillaError('join_refused', `no seed answered: ${messageOf(cause)}`, {
      details: { seeds },
      cause,
    });
  }

  async #askSeed(seed: string): Promise<JoinAnswer> {
    const { host } = this.#components;
    const { name } = await host.connect(seed);
    host.learn(name, seed);
    const timeoutMs = CLUSTER_DEFAULTS.joinTimeoutMs;
    const { body } = await host.call(name, JOIN, { body: this.#selfRecord() }, { timeoutMs });
    return readJoinAnswer(body, name);
  }

  #join({ founder, members }: JoinAnswer): void {
    this.#founder ??= founder;
    const now = this.#components.clock.now();
    for (const member of members) {
      if (member.name === this.#components.host.name) continue;
      this.#apply(this.#detector.introduced(member, now));
    }
  }

  #answerJoin(): JoinAnswer {
    if (this.#detector.size > CLUSTER_DEFAULTS.maxMembers) {
      throw new FlotillaError(
        'join_refused',
        `the cluster is full: ${this.#detector.size} members`,
      );
    }
    const founder = this.#founder ?? this.#components.host.name;
    return { founder, members: [this.#selfRecord(), ...this.#detector.members()] };
  }

  #beat(): void {
    const { clock, coordinator, host } = this.#components;
    const record = this.#selfRecord();
    coordinator.updatePeerLoad(host.name, record.load);
    coordinator.registry.touch(host.name, clock.wallTime());
    for (const { name } of this.#detector.members()) this.#sendHeartbeat(name, record);
  }

  #sendHeartbeat(name: string, record: MemberRecord): void {
    const { host, log } = this.#components;
    if (host.sendControl(name, HEARTBEAT, record) || this.#dialling.has(name)) return;
    const address = this.#components.coordinator.registry.get(name)?.addr;
    if (address === undefined) return;
    this.#dialling.add(name);
    host
      .connect(address)
      .then(() => host.sendControl(name, HEARTBEAT, this.#selfRecord()))
      .catch((error: unknown) => log.debug({ peer: name, err: error }, 'heartbeat not sent'))
      .finally(() => this.#dialling.delete(name));
  }

  #receive(peer: string, body: unknown): void {
    try {
      this.#heard(readMember(body, peer, 'itself'));
    } catch (error) {
      this.#components.log.warn({ peer, err: error }, 'heartbeat refused');
    }
  }

  #heard(record: MemberRecord): void {
    const { clock, coordinator } = this.#components;
    this.#apply(this.#detector.heard(record, clock.now()));
    coordinator.updatePeerLoad(record.name, record.load);
    coordinator.registry.touch(record.name, clock.wallTime());
  }

  #apply(changes: readonly HealthChange[]): void {
    for (const change of changes) {
      if ('member' in change) this.#found(change);
      else this.#lost(change);
    }
  }

  #lost({ type, name }: Extract<HealthChange, { name: string }>): void {
    const { coordinator, host, log } = this.#components;
    log.warn({ peer: name }, `member ${type}`);
    if (type === 'failed') {
      coordinator.setPeerHealth(name, false);
    } else {
      coordinator.removePeer(name);
      host.forget(name);
    }
  }

  #found(change: Extract<HealthChange, { member: MemberRecord }>): void {
    const { coordinator, host, log } = this.#components;
    const { name, address, httpAddress } = change.member;
    log.info({ peer: name, address }, `member ${change.type}`);
    host.learn(name, address);
    coordinator.addPeer(address, name, httpAddress);
    if (change.type === 'joined' && !change.healthy) coordinator.setPeerHealth(name, false);
    // An answer at once, so that both ends know of each other without waiting for the next beat.
    this.#sendHeartbeat(name, this.#selfRecord());
  }

  #selfRecord(): MemberRecord {
    const { host, load } = this.#components;
    return {
      name: host.name,
      address: this.#options.address,
      httpAddress: this.#httpAddress,
      incarnation: this.#incarnation,
      load: load(),
    };
  }
}
