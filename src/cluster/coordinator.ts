// One node's view of the cluster, for routing: which member serves a key, and why. It is fed by
// `Cluster` from membership; it sends nothing itself.
import { createPrng, invalidOption } from '../core/index.ts';
import { fnv1a64 } from '../hash/index.ts';
import { isRoutable } from './member.ts';
import { LoadBoard } from './load-board.ts';
import { LoadRouter } from './load-router.ts';
import { NodeRegistry } from './node-registry.ts';
import type { Clock, Prng } from '../core/index.ts';
import type { BalancerName, RoutingViewOptions } from '../load/index.ts';
import type { RingOptions } from '../ring/index.ts';
import type { Member } from './member.ts';
import type { DispatchedRequest, RouteExplanation } from './load-router.ts';
import type { NodeInfo } from './node-registry.ts';

export interface CoordinatorOptions {
  readonly nodeId: string;
  /** @default "127.0.0.1:8080" */
  readonly bindAddr?: string;
  readonly ring?: RingOptions;
  /** What room is measured by, and when a node is overloaded. */
  readonly routing?: RoutingViewOptions;
}

/** Who is healthy: what placement needs of a `Coordinator`. */
export interface HealthyMembers {
  readonly registry: { healthyNodes(): readonly { readonly id: string }[] };
}

export interface CoordinatorComponents {
  readonly clock: Clock;
  /** Breaks ties of balancers. @default one seeded by the node's name */
  readonly prng?: Prng;
}

export class Coordinator {
  readonly nodeId: string;
  readonly registry: NodeRegistry;
  /** What is known of everybody's load. */
  readonly load: LoadBoard;
  readonly #bindAddr: string;
  readonly #clock: Clock;
  readonly #prng: Prng;
  #router: LoadRouter | undefined;
  readonly #listeners = new Set<() => void>();

  constructor({ clock, prng }: CoordinatorComponents, options: CoordinatorOptions) {
    if (options.nodeId === '') throw invalidOption('nodeId', 'a non-empty name', '""');
    this.nodeId = options.nodeId;
    this.#bindAddr = options.bindAddr ?? '127.0.0.1:8080';
    this.#clock = clock;
    this.#prng = prng ?? createPrng(fnv1a64(options.nodeId, { hi: 0, lo: 0 }).lo);
    this.registry = new NodeRegistry(options.ring);
    this.load = new LoadBoard({ registry: this.registry, clock }, options.routing);
  }

  /** Puts this node itself on the ring. */
  registerSelf(httpAddr = ''): void {
    this.#register({ id: this.nodeId, addr: this.#bindAddr, httpAddr });
  }

  addPeer(addr: string, id: string, httpAddr = ''): void {
    this.#register({ id, addr, httpAddr });
  }

  /** Takes what membership says of a member: listed, and healthy while requests may go to it. */
  follow(member: Member): void {
    const { name: id, address: addr, httpAddress: httpAddr, metadata } = member;
    const { capacity } = metadata;
    const known = this.registry.get(id);
    const healthy = isRoutable(member);
    const sameAddress = known?.addr === addr && known.httpAddr === httpAddr;
    if (sameAddress && known.healthy === healthy && known.capacity === capacity) return;
    const load = known?.load ?? 0;
    const lastSeenMs = known?.lastSeenMs ?? this.#clock.wallTime();
    const node = { id, addr, httpAddr, healthy, load, lastSeenMs };
    this.registry.register(capacity === undefined ? node : { ...node, capacity });
    this.#changed();
  }

  removePeer(id: string): void {
    if (this.registry.get(id) === undefined) return;
    this.registry.deregister(id);
    this.load.remove(id);
    this.#changed();
  }

  setPeerHealth(id: string, healthy: boolean): void {
    if (this.registry.markHealthy(id, healthy)) this.#changed();
  }

  updatePeerLoad(id: string, load: number): void {
    this.registry.updateLoad(id, load);
  }

  /** The healthy member that `key` belongs to, however busy; undefined when there is none. */
  route(key: string): NodeInfo | undefined {
    return this.registry.route(key);
  }

  /** Up to `count` distinct healthy members, in the order to try them. */
  routeMany(key: string, count: number): NodeInfo[] {
    return this.registry.routeMany(key, count);
  }

  /**
   * Sends a request with a key: to its owner, or clockwise past those that are overloaded or have
   * their share of what is in flight. Counts it there until it is settled. Undefined when no
   * candidate is healthy.
   * @param among the members that can serve it. Default: all
   */
  dispatch(key: string, among?: readonly string[]): DispatchedRequest | undefined {
    return this.#routing().dispatch(key, among);
  }

  /** Sends a request that belongs nowhere in particular, by a balancer; else like `dispatch`. */
  balance(name: BalancerName, among?: readonly string[]): DispatchedRequest | undefined {
    return this.#routing().balance(name, among);
  }

  /** Where `dispatch` would send a request with this key now, and why. */
  explain(key: string): RouteExplanation {
    return this.#routing().explain(key);
  }

  clusterSize(): number {
    return this.registry.size;
  }

  healthyCount(): number {
    return this.registry.healthyNodes().length;
  }

  /** For example `cluster[nodes=3 healthy=2 vnodes=450 self=node-0]`. */
  topologySummary(): string {
    const { size, ring } = this.registry;
    const counts = `nodes=${size} healthy=${this.healthyCount()} vnodes=${ring.vnodeCount}`;
    return `cluster[${counts} self=${this.nodeId}]`;
  }

  /** Calls `listener` after members came, went, or changed health. Returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Made when it is first needed, like the columns that it reads. */
  #routing(): LoadRouter {
    const { load: board, registry } = this;
    this.#router ??= new LoadRouter({ board, registry, clock: this.#clock, prng: this.#prng });
    return this.#router;
  }

  #register(node: Pick<NodeInfo, 'id' | 'addr' | 'httpAddr'>): void {
    const lastSeenMs = this.#clock.wallTime();
    this.registry.register({ ...node, healthy: true, load: 0, lastSeenMs });
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
