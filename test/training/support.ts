// A small fleet in one process: hosts that call each other directly, a store in memory, real tables
// and kernels.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { FlotillaError, silentLogger, systemClock } from '../../src/core/index.ts';
import { Kernels } from '../../src/devices/index.ts';
import { TableService } from '../../src/tables/index.ts';
import { Models, Trainer } from '../../src/training/index.ts';
import type { CallOptions, Handler, Payload } from '../../src/peer/index.ts';
import type { Compare, Entry, RecordStore, SwapResult, Write } from '../../src/store/index.ts';
import type { JobHost } from '../../src/training/worker.ts';

/** Hosts by name. A host that is cut off cannot be called, and its peers are told. */
export class MemoryNetwork {
  readonly hosts = new Map<string, MemoryHost>();
  /** Every call, `caller>node procedure`. */
  readonly calls: string[] = [];

  host(name: string): MemoryHost {
    const host = new MemoryHost(this, name);
    this.hosts.set(name, host);
    return host;
  }

  cut(name: string): void {
    this.hosts.delete(name);
    for (const host of this.hosts.values()) host.tellDisconnect(name);
  }
}

export class MemoryHost implements JobHost {
  readonly name: string;
  readonly #network: MemoryNetwork;
  readonly #handlers = new Map<string, Handler>();
  readonly #listeners: ((peer: { readonly name: string }) => void)[] = [];

  constructor(network: MemoryNetwork, name: string) {
    this.#network = network;
    this.name = name;
  }

  handle(procedure: string, handler: Handler): void {
    this.#handlers.set(procedure, handler);
  }

  onDisconnect(listener: (peer: { readonly name: string }) => void): void {
    this.#listeners.push(listener);
  }

  tellDisconnect(name: string): void {
    for (const listener of this.#listeners) listener({ name });
  }

  async call(
    name: string,
    procedure: string,
    request: Payload,
    options: CallOptions = {},
  ): Promise<Payload> {
    options.signal?.throwIfAborted();
    this.#network.calls.push(`${this.name}>${name} ${procedure}`);
    const target = this.#network.hosts.get(name);
    if (target === undefined) {
      throw new FlotillaError('peer_unreachable', `${name} is gone`, { details: { peer: name } });
    }
    const handler = target.#handlers.get(procedure);
    if (handler === undefined) throw new FlotillaError('unknown_procedure', procedure);
    const signal = options.signal ?? new AbortController().signal;
    const reply = await handler(copy(request), { peer: this.name, signal });
    if (!this.#network.hosts.has(name)) {
      throw new FlotillaError('peer_disconnected', `${name} is gone`, { details: { peer: name } });
    }
    options.signal?.throwIfAborted();
    return copy(reply);
  }
}

function copy({ body, bytes }: Payload): Payload {
  const copied = structuredClone(body);
  return bytes === undefined ? { body: copied } : { body: copied, bytes: bytes.slice() };
}

export class MemoryStore implements RecordStore {
  readonly #entries = new Map<string, Entry>();
  #revision = 0;

  async get(key: string): Promise<Entry | undefined> {
    return this.#entries.get(key);
  }

  async list(prefix: string): Promise<Entry[]> {
    return [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix));
  }

  async compareAndSwap(
    compares: readonly Compare[],
    writes: readonly Write[],
  ): Promise<SwapResult> {
    const holds = ({ key, revision }: Compare) =>
      (this.#entries.get(key)?.revision ?? 0) === revision;
    if (!compares.every(holds)) return { ok: false, revision: this.#revision };
    this.#revision++;
    for (const write of writes) {
      if ('delete' in write) this.#entries.delete(write.delete);
      else {
        const { put: key, value } = write;
        this.#entries.set(key, { key, value, revision: this.#revision });
      }
    }
    return { ok: true, revision: this.#revision };
  }

  async epoch(): Promise<number> {
    return ++this.#revision;
  }
}

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
  readonly network: MemoryNetwork;
  readonly store: MemoryStore;
}

/** Starts `count` nodes, node-0 first; on what an earlier fleet left, when there is one. */
export async function startFleet(
  count: number,
  earlier?: Pick<TestFleet, 'directory' | 'store'>,
): Promise<TestFleet> {
  const directory = earlier?.directory ?? mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  const network = new MemoryNetwork();
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
