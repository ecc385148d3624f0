// One node's view of the cluster, for routing: which member serves a key, and why. It is fed by
// `Cluster` from real heartbeats; it sends nothing itself.
import { invalidOption } from '../core/index.ts';
import { NodeRegistry } from './node-registry.ts';
import type { Clock } from '../core/index.ts';
import type { RingOptions } from '../ring/index.ts';
import type { NodeInfo } from './node-registry.ts';

export interface CoordinatorOptions {
  readonly nodeId: string;
  /** @default "127.0.0.1:8080" */
  readonly bindAddr?: string;
  readonly ring?: RingOptions;
}

/** Who is healthy: what placement needs of a `Coordinator`. */
export interface HealthyMembers {
  readonly registry: { healthyNodes(): readonly { readonly id: string }[] };
}

/** Why a key goes where it goes. */
export interface RouteExplanation {
  readonly key: string;
  readonly node: string | undefined;
  /** Every member in the ring's order from the key, with the reason it was taken or passed over. */
  readonly candidates: readonly { readonly node: string; readonly reason: string }[];
}

export class Coordinator {
  readonly nodeId: string;
  readonly registry: NodeRegistry;
  readonly #bindAddr: string;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();

  constructor(components: { clock: Clock }, options: CoordinatorOptions) {
    if (options.nodeId === '') throw invalidOption('nodeId', 'a non-empty name', '""');
    this.nodeId = options.nodeId;
    this.#bindAddr = options.bindAddr ?? '127.0.0.1:8080';
    this.#clock = components.clock;
    this.registry = new NodeRegistry(options.ring);
  }

  /** Puts this node itself on the ring. */
  registerSelf(httpAddr = ''): void {
    this.#register({ id: this.nodeId, addr: this.#bindAddr, httpAddr });
  }

  addPeer(addr: string, id: string, httpAddr = ''): void {
    this.#register({ id, addr, httpAddr });
  }

  removePeer(id: string): void {
    if (this.registry.get(id) === undefined) return;
    this.registry.deregister(id);
    this.#changed();
  }

  setPeerHealth(id: string, healthy: boolean): void {
    if (this.registry.markHealthy(id, healthy)) this.#changed();
  }

  updatePeerLoad(id: string, load: number): void {
    this.registry.updateLoad(id, load);
  }

  /** The healthy member that serves `key`; undefined when there is none. */
  route(key: string): NodeInfo | undefined {
    return this.registry.route(key);
  }

  /** Up to `count` distinct healthy members, in the order to try them. */
  routeMany(key: string, count: number): NodeInfo[] {
    return this.registry.routeMany(key, count);
  }

  explain(key: string): RouteExplanation {
    let node: string | undefined;
    const candidates = this.registry.ring.getNodes(key, this.registry.size).map((id) => {
      const healthy = this.registry.get(id)?.healthy === true;
      const reason = !healthy
        ? 'unhealthy'
        : node === undefined
          ? 'serves the key'
          : 'next in line';
      if (healthy) node ??= id;
      return { node: id, reason };
    });
    return { key, node, candidates };
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

  #register(node: Pick<NodeInfo, 'id' | 'addr' | 'httpAddr'>): void {
    const lastSeenMs = this.#clock.wallTime();
    this.registry.register({ ...node, healthy: true, load: 0, lastSeenMs });
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
