// A small fleet in one process: hosts that call each other directly, a store in memory, real tables
// and kernels.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { silentLogger, systemClock } from '../../src/core/index.ts';
import { Kernels } from '../../src/devices/index.ts';
import { TableService } from '../../src/tables/index.ts';
import { Models, Trainer } from '../../src/training/index.ts';
import { InProcessNetwork } from '../support/in-process-network.ts';
import { MemoryStore } from '../support/memory-store.ts';

export interface TestNode {
  readonly name: string;
  readonly kernels: Kernels;
  readonly tables: TableService;
  readonly trainer: Trainer;
  readonly models: Models;
}

export interface TestFleet extends AsyncDisposable {
  readonly directory: string;
  /** Stops the nodes and keeps what they wrote. */
  stop(): Promise<void>;
  readonly nodes: readonly TestNode[];
  readonly network: InProcessNetwork;
  readonly store: MemoryStore;
}

/** Starts `count` nodes, node-0 first; on what an earlier fleet left, when there is one. */
export async function startFleet(
  count: number,
  earlier?: Pick<TestFleet, 'directory' | 'store'>,
): Promise<TestFleet> {
  const directory = earlier?.directory ?? mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  const network = new InProcessNetwork();
  const store = earlier?.store ?? new MemoryStore();
  const names = Array.from({ length: count }, (_, i) => `node-${i}`);
  const coordinator = {
    registry: {
      healthyNodes: () => names.filter((name) => network.hosts.has(name)).map((id) => ({ id })),
    },
  };
  const nodes: TestNode[] = [];
  for (const name of names) {
    const kernels = await Kernels.create();
    const shared = { host: network.host(name), coordinator, store, kernels };
    const common = { ...shared, clock: systemClock, log: silentLogger };
    const tables = new TableService(common, { directory: path.join(directory, name) });
    await tables.start();
    const trainer = new Trainer({ ...common, tables });
    await trainer.start();
    nodes.push({ name, kernels, tables, trainer, models: new Models({ tables, store }) });
  }
  const stop = async () => {
    for (const { trainer, tables } of nodes.splice(0)) {
      await trainer.stop();
      await tables.stop();
    }
  };
  return {
    nodes,
    network,
    store,
    directory,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
