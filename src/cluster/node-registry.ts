// The nodes that requests can be routed to, on a ring. It keeps unhealthy nodes listed, so that
// their keys come back to them, and skips them when it routes. Who is healthy is decided elsewhere.
import { HashRing } from '../ring/index.ts';
import { CLUSTER_DEFAULTS } from './defaults.ts';
import type { RingOptions } from '../ring/index.ts';

export interface NodeInfo {
  readonly id: string;
  /** Where peers reach the node: `host:port`. */
  readonly addr: string;
  /** Where clients reach its HTTP server: `host:port`; empty when it has none. */
  readonly httpAddr: string;
  readonly healthy: boolean;
  /** 0 (idle) to 1 (saturated), as the node reports it. */
  readonly load: number;
  /** Wall time of the last sign of life, milliseconds since 1970. */
  readonly lastSeenMs: number;
  /** How much it can do compared with others. @default 1 */
  readonly capacity?: number;
}

/**
 * @see SEEDS: the registry of oxibonsai. Unknown ids are no-ops, and a node is on the ring once.
 */
export class NodeRegistry {
  readonly ring: HashRing;
  readonly #nodes = new Map<string, NodeInfo>();
  #version = 0;
  readonly #isHealthy = (id: string) => this.#nodes.get(id)?.healthy === true;

  constructor(options: RingOptions = {}) {
    this.ring = new HashRing({ replicas: CLUSTER_DEFAULTS.replicas, ...options });
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** Another after each change of who is listed, healthy, or how capable. */
  get version(): number {
    return this.#version;
  }

  /** Adds a node, or replaces what is known of it. */
  register(node: NodeInfo): void {
    this.#nodes.set(node.id, { ...node, load: clampLoad(node.load) ?? 0 });
    this.ring.addNode(node.id);
    this.#version++;
  }

  deregister(id: string): void {
    if (!this.#nodes.delete(id)) return;
    this.ring.removeNode(id);
    this.#version++;
  }

  /** True when this changed the node's health. */
  markHealthy(id: string, healthy: boolean): boolean {
    const node = this.#nodes.get(id);
    if (node === undefined || node.healthy === healthy) return false;
    this.#nodes.set(id, { ...node, healthy });
    this.#version++;
    return true;
  }

  /** Records a load, clamped to [0, 1]. A load that is not a number changes nothing. */
  updateLoad(id: string, load: number): void {
    const node = this.#nodes.get(id);
    const clamped = clampLoad(load);
    if (node !== undefined && clamped !== undefined)
      this.#nodes.set(id, { ...node, load: clamped });
  }

  /** Records a sign of life. */
  touch(id: string, lastSeenMs: number): void {
    const node = this.#nodes.get(id);
    if (node !== undefined) this.#nodes.set(id, { ...node, lastSeenMs });
  }

  get(id: string): NodeInfo | undefined {
    return this.#nodes.get(id);
  }

  /** Every node, by id. */
  allNodes(): NodeInfo[] {
    return [...this.#nodes.values()].sort(byId);
  }

  healthyNodes(): NodeInfo[] {
    return this.allNodes().filter((node) => node.healthy);
  }

  /** The first healthy node clockwise from the key. */
  route(key: string): NodeInfo | undefined {
    const id = this.ring.walk(key, this.#isHealthy);
    return id === undefined ? undefined : this.#nodes.get(id);
  }

  /** Up to `count` distinct healthy nodes clockwise from the key. */
  routeMany(key: string, count: number): NodeInfo[] {
    const nodes: NodeInfo[] = [];
    for (const id of this.ring.getNodes(key, this.size)) {
      if (nodes.length >= count) break;
      const node = this.#nodes.get(id);
      if (node?.healthy) nodes.push(node);
    }
    return nodes;
  }
}

function clampLoad(load: number): number | undefined {
  return Number.isNaN(load) ? undefined : Math.min(1, Math.max(0, load));
}

function byId(a: NodeInfo, b: NodeInfo): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
