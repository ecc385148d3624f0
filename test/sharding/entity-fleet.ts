// A few nodes with entities, on the simulated clock and network and one store: for tests of what a
// user sees of them.
import { after } from 'node:test';
import { createPrng, silentLogger } from '../../src/core/index.ts';
import { Sharding } from '../../src/sharding/index.ts';
import { SimulatedFleet } from '../../src/testing/index.ts';
import { MemoryStore } from '../support/memory-store.ts';
import type { AnyEntityType, Journal, ShardKey } from '../../src/sharding/index.ts';

/** One journal for a fleet, in memory. */
export class SharedJournal implements Journal {
  readonly states = new Map<string, Uint8Array>();

  async open({ type, shard }: ShardKey): Promise<readonly string[]> {
    const start = `${type}/${shard}/`;
    return [...this.states.keys()]
      .filter((name) => name.startsWith(start))
      .map((name) => name.slice(start.length));
  }

  async load({ type, shard }: ShardKey, id: string): Promise<Uint8Array | undefined> {
    return this.states.get(`${type}/${shard}/${id}`);
  }

  async append({ type, shard }: ShardKey, id: string, state: Uint8Array): Promise<void> {
    this.states.set(`${type}/${shard}/${id}`, state);
  }
}

export class EntityFleet {
  readonly fleet = new SimulatedFleet();
  readonly store = new MemoryStore(this.fleet.clock);
  readonly journal: Journal;
  readonly nodes = new Map<string, Sharding>();

  constructor(journal: Journal = new SharedJournal()) {
    this.journal = journal;
  }

  async start(
    name: string,
    type: unknown,
    { journal = this.journal }: { readonly journal?: Journal } = {},
  ): Promise<Sharding> {
    const host = await this.fleet.start(name);
    const sharding = new Sharding({
      ...{ host, store: this.store, journal, log: silentLogger },
      ...{ clock: this.fleet.network.clock(name), prng: createPrng(this.nodes.size + 1) },
    });
    sharding.start();
    sharding.register(type as AnyEntityType);
    this.nodes.set(name, sharding);
    return sharding;
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return this.fleet.settle(promise);
  }

  /** Entities in the memory of all nodes. */
  async active(): Promise<number> {
    const [node] = this.nodes.values();
    const shards = await this.settle(node!.describe());
    return shards.reduce((sum, { entities }) => sum + entities, 0);
  }

  /** Until `nodes` have all shards of the type between them. */
  async spread(type: string, ...nodes: readonly string[]): Promise<void> {
    const table = () => this.nodes.get(nodes[0]!)!.view.tables.get(type)?.entries ?? [];
    await this.fleet.until(() => {
      const owners = new Set(table().map(({ owner }) => owner));
      const still = table().every(({ move }) => move === undefined);
      return still && owners.size === nodes.length && nodes.every((node) => owners.has(node));
    });
  }

  crash(name: string): void {
    this.fleet.crash(name);
    this.nodes.delete(name);
  }

  async stop(): Promise<void> {
    for (const sharding of this.nodes.values()) await this.settle(sharding.stop());
    await this.fleet[Symbol.asyncDispose]();
  }
}

const fleets: EntityFleet[] = [];
after(async () => {
  for (const fleet of fleets) await fleet.stop();
});

/** Stopped at the end of the file. */
export function newFleet(journal?: Journal): EntityFleet {
  const fleet = new EntityFleet(journal);
  fleets.push(fleet);
  return fleet;
}
