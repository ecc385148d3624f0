// Clusters on a simulated network whose nodes gossip a load that the test sets.
import { Cluster, Coordinator, LoadGossip } from '../../src/cluster/index.ts';
import { createPrng, silentLogger } from '../../src/core/index.ts';
import { StaticProbe } from '../../src/load/index.ts';
import { SimulatedFleet } from '../../src/testing/index.ts';
import type { LoadGossipOptions } from '../../src/cluster/index.ts';
import type { PeerHost } from '../../src/peer/index.ts';
import type { SimulatedFleetOptions } from '../../src/testing/index.ts';

export interface LoadNode {
  readonly name: string;
  readonly host: PeerHost;
  readonly address: string;
  readonly cluster: Cluster;
  readonly coordinator: Coordinator;
  readonly probe: StaticProbe;
  readonly gossip: LoadGossip;
  /** What was logged as a warning. */
  readonly warnings: string[];
}

export class LoadFleet implements AsyncDisposable {
  readonly sim: SimulatedFleet;
  readonly #nodes = new Map<string, LoadNode>();
  readonly #options: LoadGossipOptions;
  #addresses = 0;

  constructor(sim: SimulatedFleet, options: LoadGossipOptions = {}) {
    this.sim = sim;
    this.#options = options;
  }

  /** `count` nodes that know each other; they gossip from `gossip` on. */
  static async of(
    count: number,
    options: SimulatedFleetOptions & { readonly gossip?: LoadGossipOptions } = {},
  ): Promise<LoadFleet> {
    const { gossip, ...rest } = options;
    const fleet = new LoadFleet(new SimulatedFleet(rest), gossip);
    for (let i = 0; i < count; i++) await fleet.join(`n${i}`);
    await fleet.until(({ coordinator }) => coordinator.healthyCount() === count);
    return fleet;
  }

  get nodes(): LoadNode[] {
    return [...this.#nodes.values()];
  }

  at(name: string): LoadNode {
    return this.#nodes.get(name)!;
  }

  /** Starts a node, or its next life, without its gossip. */
  async join(name: string): Promise<LoadNode> {
    const seed = this.nodes.find((node) => node.name !== name);
    const node = await this.#create(name);
    this.#nodes.set(name, node);
    await this.sim.settle(node.cluster.start(seed === undefined ? [] : [seed.address]));
    return node;
  }

  gossip(): void {
    for (const { gossip } of this.nodes) gossip.start();
  }

  run(ms: number): Promise<void> {
    return this.sim.clock.run(ms);
  }

  until(holds: (node: LoadNode) => boolean, limitMs = 60_000): Promise<void> {
    return this.sim.until(() => this.nodes.every(holds), limitMs);
  }

  async #create(name: string): Promise<LoadNode> {
    const host = await this.sim.start(name);
    const address = this.#nodes.get(name)?.address ?? `10.0.0.${++this.#addresses}:7400`;
    const clock = this.sim.network.clock(name);
    const coordinator = new Coordinator({ clock }, { nodeId: name, bindAddr: address });
    const prng = createPrng(this.sim.seed, this.#addresses);
    const warnings: string[] = [];
    const warn = (_fields: object, message: string) => warnings.push(message);
    const log = { ...silentLogger, warn };
    const shared = { host, coordinator, clock, prng, log };
    const cluster = new Cluster(shared, { address });
    const probe = new StaticProbe();
    const gossip = new LoadGossip({ ...shared, cluster, probe }, this.#options);
    return { name, host, address, cluster, coordinator, probe, gossip, warnings };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { gossip, cluster } of this.nodes) {
      gossip.stop();
      cluster.stop();
    }
    await this.sim[Symbol.asyncDispose]();
  }
}
