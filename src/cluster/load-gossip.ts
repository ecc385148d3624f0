// Tells every member how busy this node is, each second, and takes in what they tell. What it
// learns is the coordinator's to keep; who is a member, the cluster's to say.
import { invalidOption, messageOf } from '../core/index.ts';
import { LOAD_DEFAULTS, MAX_BATCH, readNodeLoad } from '../load/index.ts';
import { CLUSTER_DEFAULTS } from './defaults.ts';
import { Dials } from './dials.ts';
import { encodeLoads, LOAD, loadsOf, readLoad } from './load-messages.ts';
import { listenersOf } from './load-relays.ts';
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
  /**
   * Up to as many other members are told directly; in a larger fleet members also pass on what they
   * hear. More is sooner there, and costs a message each. @default 20
   */
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
  /** What others said of themselves since this node last spoke: it passes it on. */
  readonly #firstHand = new Map<string, NodeLoad>();
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

  /** To everybody while they are few; else to some, with what was heard of others first-hand. */
  #tell(record: NodeLoad): void {
    const { cluster } = this.#components;
    const self = record.node;
    const members = new Map<string, Member>();
    for (const member of cluster.members()) {
      if (member.name !== self && !hasEnded(member.status)) members.set(member.name, member);
    }
    const names = [...members.keys()];
    const tell = (told: readonly string[], records: readonly NodeLoad[]) => {
      const body = encodeLoads(records);
      for (const name of told) this.#send(members.get(name)!, body);
    };
    const firstHand = [...this.#firstHand.values()];
    this.#firstHand.clear();
    if (names.length <= this.#options.maxDirectPushes) {
      tell(names, [record]);
      return;
    }
    tell(listenersOf(self, [...names, self].sort()), [record, ...firstHand].slice(0, MAX_BATCH));
  }

  #send({ name, address }: Member, body: unknown): void {
    this.#dials.send(name, address, body);
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
      const outcome = coordinator.load.publish(record);
      if (record.node !== peer) return;
      if (outcome === 'stored') this.#firstHand.set(peer, record);
      coordinator.registry.touch(peer, clock.wallTime());
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
