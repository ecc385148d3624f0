// Three and more table services in one process over a network of function calls; nodes can die.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { silentLogger, systemClock } from '../../src/core/index.ts';
import { Kernels } from '../../src/devices/index.ts';
import { TableService } from '../../src/tables/index.ts';
import { InProcessNetwork } from '../support/in-process-network.ts';
import { MemoryStore } from '../support/memory-store.ts';

export interface FakeNode {
  readonly service: TableService;
  readonly kernels: Kernels;
}

/** Nodes `node-0` … with a store and directories that outlive them. */
export class FakeFleet implements AsyncDisposable {
  readonly network = new InProcessNetwork();
  readonly store = new MemoryStore();
  readonly directory = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  readonly nodes = new Map<string, FakeNode>();
  readonly names: string[];

  constructor(size: number) {
    this.names = Array.from({ length: size }, (_, i) => `node-${i}`);
  }

  static async start(size = 3): Promise<FakeFleet> {
    const fleet = new FakeFleet(size);
    for (const name of fleet.names) await fleet.startNode(name);
    return fleet;
  }

  async startNode(name: string): Promise<FakeNode> {
    const kernels = await Kernels.create({ maxBytes: 2 ** 28 });
    const healthyNodes = () => this.names.map((id) => ({ id }));
    const service = new TableService(
      {
        host: this.network.host(name),
        coordinator: { registry: { healthyNodes } },
        store: this.store,
        kernels,
        clock: systemClock,
        log: silentLogger,
      },
      { directory: this.directoryOf(name) },
    );
    await service.start();
    const node = { service, kernels };
    this.nodes.set(name, node);
    return node;
  }

  async kill(name: string): Promise<void> {
    this.network.cut(name);
    await this.nodes.get(name)?.service.stop();
    this.nodes.delete(name);
  }

  service(index: number): TableService {
    const node = this.nodes.get(`node-${index}`);
    if (node === undefined) throw new Error(`node-${index} is dead`);
    return node.service;
  }

  directoryOf(name: string): string {
    return path.join(this.directory, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.nodes.keys()]) await this.kill(name);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function idsOf(count: number, prefix = 'word'): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
}

/** Numbers that look random and are the same in every run. */
export function noise(length: number, seed = 1): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
