// Three and more table services in one process over a network of function calls: bodies go through
// MessagePack and bytes are copied, as on a real connection, and nodes can die.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { pack, unpack } from 'msgpackr';
import { FlotillaError, silentLogger, systemClock } from '../../src/core/index.ts';
import { Kernels } from '../../src/devices/index.ts';
import { TableService } from '../../src/tables/index.ts';
import type { Handler, Payload, RpcHost } from '../../src/peer/index.ts';
import type { RecordStore } from '../../src/store/index.ts';

/** Hosts that call each other directly. */
export class FakeNetwork {
  readonly hosts = new Map<string, FakeHost>();
  /** Calls over the network, by procedure; a node's calls to itself are not among them. */
  readonly calls = new Map<string, number>();

  host(name: string): FakeHost {
    const host = new FakeHost(this, name);
    this.hosts.set(name, host);
    return host;
  }

  kill(name: string): void {
    this.hosts.delete(name);
  }
}

export class FakeHost implements RpcHost {
  readonly name: string;
  readonly handlers = new Map<string, Handler>();
  readonly #network: FakeNetwork;

  constructor(network: FakeNetwork, name: string) {
    this.#network = network;
    this.name = name;
  }

  handle(procedure: string, handler: Handler): void {
    this.handlers.set(procedure, handler);
  }

  async call(name: string, procedure: string, request: Payload): Promise<Payload> {
    const target = this.#network.hosts.get(name);
    const handler = target?.handlers.get(procedure);
    if (target !== this) {
      const { calls } = this.#network;
      calls.set(procedure, (calls.get(procedure) ?? 0) + 1);
      await setImmediate();
    }
    if (handler === undefined) {
      throw new FlotillaError('peer_unreachable', `no connection to ${name}`);
    }
    const context = { peer: this.name, signal: new AbortController().signal };
    const reply = travelled(await handler(travelled(request), context));
    if (this.#network.hosts.get(name) === target) return reply;
    throw new FlotillaError('peer_disconnected', `${name} went away`);
  }
}

/** The payload at the other end: nothing is shared, and bytes may begin at an odd place. */
function travelled({ body, bytes }: Payload): Payload {
  const copy: unknown = unpack(pack(body));
  if (bytes === undefined) return { body: copy };
  const frame = new Uint8Array(bytes.length + 3);
  frame.set(bytes, 3);
  return { body: copy, bytes: frame.subarray(3) };
}

/** A store of one process. */
export class MemoryStore implements RecordStore {
  readonly entries = new Map<string, { key: string; value: Uint8Array; revision: number }>();
  #revision = 0;
  #epoch = 0;

  async get(key: string) {
    return this.entries.get(key);
  }

  async list(prefix: string) {
    return [...this.entries.values()].filter(({ key }) => key.startsWith(prefix));
  }

  async compareAndSwap(...[compares, writes]: Parameters<RecordStore['compareAndSwap']>) {
    const holds = compares.every(
      ({ key, revision }) => (this.entries.get(key)?.revision ?? 0) === revision,
    );
    if (!holds) return { ok: false, revision: this.#revision };
    this.#revision++;
    for (const write of writes) {
      if ('delete' in write) this.entries.delete(write.delete);
      else {
        const { put: key, value } = write;
        this.entries.set(key, { key, value, revision: this.#revision });
      }
    }
    return { ok: true, revision: this.#revision };
  }

  async epoch() {
    return ++this.#epoch;
  }
}

export interface FakeNode {
  readonly service: TableService;
  readonly kernels: Kernels;
}

/** Nodes `node-0` … with a store and directories that outlive them. */
export class FakeFleet implements AsyncDisposable {
  readonly network = new FakeNetwork();
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
    this.network.kill(name);
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
