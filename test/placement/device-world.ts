// Nodes with mock devices on one simulated clock and network, and a store that all of them reach:
// what `fleet.devices` is made of, without the rest of a node.
import { createPrng, silentLogger } from '../../src/core/index.ts';
import { Device } from '../../src/devices/index.ts';
import { DeviceRegions, FleetDevices, NodeDevices } from '../../src/placement/index.ts';
import { Sharding } from '../../src/sharding/index.ts';
import { SimulatedFleet } from '../../src/testing/index.ts';
import { MockBackend } from '../devices/mock-backend.ts';
import { MemoryStore } from '../support/memory-store.ts';
import type { Cluster } from '../../src/cluster/index.ts';
import type { PeerHost } from '../../src/peer/index.ts';

export interface WorldNode {
  readonly name: string;
  readonly host: PeerHost;
  readonly backends: readonly MockBackend[];
  readonly own: NodeDevices;
  readonly sharding: Sharding;
  readonly devices: FleetDevices;
}

const log = silentLogger;

export class DeviceWorld implements AsyncDisposable {
  readonly fleet = new SimulatedFleet();
  readonly store: MemoryStore;
  readonly nodes = new Map<string, WorldNode>();
  readonly strangers: string[] = [];
  /** Calls between nodes by procedure. */
  readonly calls = new Map<string, number>();
  /** What members are, where it is not `up`. */
  readonly statuses = new Map<string, string>();
  #seed = 1;

  constructor() {
    this.store = new MemoryStore(this.fleet.clock);
  }

  async add(name: string, count: number): Promise<WorldNode> {
    const host = await this.fleet.start(name);
    const clock = this.fleet.network.clock(name);
    const backends = Array.from({ length: count }, () => new MockBackend());
    const made = backends.map(
      (backend, i) => new Device({ backend, clock }, { address: `${name}/mock-${i}` }),
    );
    const own = new NodeDevices({ clock, log }, made);
    own.serve(host);
    const prng = createPrng(this.#seed++);
    const sharding = new Sharding({ host, store: this.store, clock, prng, log });
    sharding.start();
    const regions = new DeviceRegions({
      ...{ store: this.store, sharding, devices: own },
      ...{ clock, log },
    });
    const cluster = { members: () => this.#members() } as unknown as Cluster;
    const counted = { name, call: this.#counted(host) };
    const devices = new FleetDevices({ host: counted, cluster, own, regions, clock, log });
    devices.start();
    const node = { name, host, backends, own, sharding, devices };
    this.nodes.set(name, node);
    return node;
  }

  /** A member that answers for its devices in its own way. */
  async addStranger(name: string, devices: readonly unknown[]): Promise<void> {
    const host = await this.fleet.start(name);
    host.handle('devices.list', () => ({ body: { devices } }));
    this.strangers.push(name);
  }

  /** Ends a node as its process would; its name is free for another life. */
  async remove(name: string): Promise<void> {
    const node = this.nodes.get(name)!;
    this.nodes.delete(name);
    node.devices.stop();
    await this.settle(node.sharding.stop());
    await this.settle(node.own.stop());
    await this.settle(node.host.stop());
  }

  settle<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    return this.fleet.settle(promise, limitMs);
  }

  until(condition: () => boolean, limitMs = 120_000): Promise<void> {
    return this.fleet.until(condition, limitMs);
  }

  run(ms: number): Promise<void> {
    return this.fleet.clock.run(ms);
  }

  /** Owners of a region's shards, once each has one and none moves. */
  async owners(region: string, view = [...this.nodes.values()][0]!): Promise<string[]> {
    const entries = () => view.sharding.view.tables.get(`devices.${region}`)?.entries ?? [];
    const { sessions } = view.sharding.view;
    await this.until(() => {
      const all = entries();
      const still = all.every((each) => {
        return each.move === undefined && sessions.get(each.owner) === each.session;
      });
      return all.length > 0 && still;
    });
    return entries().map(({ owner }) => owner);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.nodes.keys()]) await this.remove(name);
    await this.fleet[Symbol.asyncDispose]();
    await this.store.close();
  }

  #members() {
    return [...this.nodes.keys(), ...this.strangers].map((name) => {
      const status = this.statuses.get(name) ?? 'up';
      return { name, status, declared: status };
    });
  }

  #counted(host: PeerHost): PeerHost['call'] {
    return (name, procedure, request, options) => {
      if (name !== host.name) this.calls.set(procedure, (this.calls.get(procedure) ?? 0) + 1);
      return host.call(name, procedure, request, options);
    };
  }
}
