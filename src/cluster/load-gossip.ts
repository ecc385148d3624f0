// Tells every member how busy this node is, each second, and takes in what they tell. What it
// learns is the coordinator's to keep; who is a member, the cluster's to say.
import { invalidOption, messageOf } from '../core/index.ts';
import { LOAD_DEFAULTS, MAX_BATCH, readNodeLoad } from '../load/index.ts';
import { CLUSTER_DEFAULTS } from './defaults.ts';
import { Dials } from './dials.ts';
import { encodeLoads, LOAD, loadsOf, readLoad } from './load-messages.ts';
import { hasEnded } from './member.ts';
import type { Clock, Logger, Prng, Timer } from '../core/index.ts';
import type { NodeLoad, Probe } from '../load/index.ts';
import type { Cluster } from './cluster.ts';
import type { ClusterHost } from './cluster-host.ts';
import type { Coordinator } from './coordinator.ts';
import type { Member } from './member.ts';

export interface LoadGossipComponents {
  readonly host: ClusterHost;
  readonly cluster: Pick<Cluster, 'self' | 'members' | 'member' | 'watch'>;
  readonly coordinator: Coordinator;
  /** Stopped with the gossip. */
  readonly probe: Probe;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
}

export interface LoadGossipOptions {
  /** How often this node samples itself and tells others. @default 1000 */
  readonly sampleIntervalMs?: number;
  /** Members that are told directly; the others hear from those. @default 128 */
  readonly maxDirectPushes?: number;
}

export class LoadGossip {
  readonly #components: LoadGossipComponents;
  readonly #options: Required<LoadGossipOptions>;
  readonly #dials: Dials;
  /** Samples are timed from here: a wall clock that jumps does not reorder them. */
  readonly #originMs: number;
  readonly #stopWatching: () => void;
  #timer: Timer | undefined;
  #running = false;
  #mayLogAtMs = -Infinity;

  /** Errors: `invalid_option`. */
  constructor(components: LoadGossipComponents, options: LoadGossipOptions = {}) {
    const { clock, cluster, coordinator } = components;
    const { sampleIntervalMs } = LOAD_DEFAULTS;
    const { maxDirectPushes } = CLUSTER_DEFAULTS;
    this.#components = components;
    this.#options = { sampleIntervalMs, maxDirectPushes, ...options };
    for (const name of ['sampleIntervalMs', 'maxDirectPushes'] as const) {
      const value = this.#options[name];
      if (!(value > 0 && Number.isFinite(value))) {
        throw invalidOption(name, 'above 0 and finite', value);
      }
    }
    this.#dials = new Dials(components, LOAD);
    this.#originMs = clock.wallTime() - clock.now();
    this.#stopWatching = cluster.watch(({ type, member }) => {
      if (type !== 'removed' && !hasEnded(member.status)) return;
      coordinator.load.remove(member.name, member.incarnation);
    });
  }

  /** Samples, and tells and listens from now on. */
  start(): void {
    const { host } = this.#components;
    this.#running = true;
    host.onControl(LOAD, (body, peer) => {
      if (this.#running) this.#receive(body, peer);
    });
    this.#beat();
  }

  stop(): void {
    this.#running = false;
    this.#timer?.cancel();
    this.#stopWatching();
    this.#components.probe.stop();
  }

  #beat(): void {
    const { clock, coordinator, prng } = this.#components;
    const { sampleIntervalMs } = this.#options;
    // Up to a tenth early: nodes that started together do not all speak at once.
    const delayMs = sampleIntervalMs * (1 - CLUSTER_DEFAULTS.loadJitter * prng.next());
    this.#timer = clock.schedule(delayMs, () => this.#beat());
    const record = this.#sample();
    coordinator.load.expire();
    if (record !== undefined) this.#tell(record);
  }

  /** Undefined when this machine cannot be measured: then nothing is told. */
  #sample(): NodeLoad | undefined {
    const { clock, cluster, coordinator, probe } = this.#components;
    const { name: node, incarnation } = cluster.self;
    const timestampMs = this.#originMs + clock.now();
    try {
      const record = readNodeLoad({ ...probe.sample(), node, incarnation, timestampMs });
      coordinator.load.publish(record);
      coordinator.registry.touch(node, clock.wallTime());
      return record;
    } catch (error) {
      this.#refuse(node, error);
      return undefined;
    }
  }

  /** To everybody while they are few; else to some, and what others told lately to fewer still. */
  #tell(record: NodeLoad): void {
    const { cluster, coordinator } = this.#components;
    const { maxDirectPushes } = this.#options;
    const self = record.node;
    const others = cluster.members().filter(({ name, status }) => {
      return name !== self && !hasEnded(status);
    });
    const push = encodeLoads([record]);
    if (others.length <= maxDirectPushes) {
      for (const member of others) this.#send(member, push);
      return;
    }
    for (const member of this.#draw(others, maxDirectPushes)) this.#send(member, push);
    const batch = encodeLoads(coordinator.load.newest(MAX_BATCH));
    for (const member of this.#draw(others, CLUSTER_DEFAULTS.loadBatchMembers)) {
      this.#send(member, batch);
    }
  }

  #send({ name, address }: Member, body: unknown): void {
    this.#dials.send(name, address, body);
  }

  /** The first `count` of `members` after they were shuffled that far. */
  #draw(members: Member[], count: number): Member[] {
    const { prng } = this.#components;
    for (let i = 0; i < count && i < members.length - 1; i++) {
      const j = i + prng.int(members.length - i);
      [members[i], members[j]] = [members[j]!, members[i]!];
    }
    return members.slice(0, count);
  }

  #receive(body: unknown, peer: string): void {
    try {
      for (const part of loadsOf(body)) this.#take(part, peer);
    } catch (error) {
      this.#refuse(peer, error);
    }
  }

  /** One bad record spoils neither those beside it nor anything that is known. */
  #take(part: unknown, peer: string): void {
    const { clock, cluster, coordinator } = this.#components;
    try {
      const record = readLoad(part);
      // Nobody knows this node better than itself.
      if (record.node === cluster.self.name) return;
      if (!this.#isOfMember(record)) {
        coordinator.load.refuse();
        return;
      }
      coordinator.load.publish(record);
      if (record.node === peer) coordinator.registry.touch(peer, clock.wallTime());
    } catch (error) {
      this.#refuse(peer, error);
    }
  }

  /** Of a member that lives, and not of an earlier life of it. */
  #isOfMember({ node, incarnation }: NodeLoad): boolean {
    const member = this.#components.cluster.member(node);
    return member !== undefined && !hasEnded(member.status) && incarnation >= member.incarnation;
  }

  #refuse(peer: string, error: unknown): void {
    const { clock, coordinator, log } = this.#components;
    coordinator.load.refuse();
    const now = clock.now();
    if (now < this.#mayLogAtMs) return;
    this.#mayLogAtMs = now + CLUSTER_DEFAULTS.loadLogMs;
    const { refused } = coordinator.load.counters;
    log.warn({ peer, refused, err: error }, `a load record was refused: ${messageOf(error)}`);
  }
}
