// The journals there are, for the suite that each of them passes.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { silentLogger, systemClock } from '../../src/core/index.ts';
import { tableKey } from '../../src/sharding/ownership-view.ts';
import { encodeTable } from '../../src/sharding/shard-table.ts';
import {
  FileJournal,
  RemoteJournal,
  serveJournal,
  StoreJournal,
} from '../../src/sharding/index.ts';
import { EmbeddedStore, EtcdStore } from '../../src/store/index.ts';
import { ETCD, EtcdServers } from '../store/etcd-servers.ts';
import type { Handler, Payload } from '../../src/peer/index.ts';
import type { Journal, ShardKey } from '../../src/sharding/index.ts';
import type { RecordStore } from '../../src/store/index.ts';

export interface JournalBench {
  /** As a node has it: each has its own way to what is kept. */
  of(node: string): Journal;
  /** Whatever keeps it is started again. */
  restart(): Promise<void>;
  /** Lets a node own a shard, for journals that look. */
  grant(node: string, key: ShardKey): Promise<void>;
  stop(): Promise<void>;
}

export interface JournalKind {
  readonly name: string;
  readonly skip: string | false;
  start(): Promise<JournalBench>;
}

const log = silentLogger;

function folderOf(): { path: string; remove: () => void } {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'flotilla-journal-'));
  return { path: folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Calls of named nodes to one set of handlers. */
export class Wire {
  readonly handlers = new Map<string, Handler>();

  handle(procedure: string, handler: Handler): void {
    this.handlers.set(procedure, handler);
  }

  of(node: string) {
    return {
      call: async (_: string, procedure: string, request: Payload): Promise<Payload> => {
        const { signal } = new AbortController();
        return this.handlers.get(procedure)!(request, { peer: node, signal });
      },
    };
  }
}

/** Who owns what, as a table in a store would have it. */
export class Grants {
  readonly #tables = new Map<string, { owner: string; session: number; epoch: number }[]>();
  #revision = 0;

  grant(node: string, { type, shard, epoch }: ShardKey): void {
    const vacant = { owner: '', session: 0, epoch: 0 };
    const table = this.#tables.get(type) ?? Array.from({ length: 64 }, () => vacant);
    table[shard] = { owner: node, session: 1, epoch };
    this.#tables.set(type, table);
    this.#revision++;
  }

  readonly store = {
    get: async (key: string) => {
      const found = [...this.#tables].find(([type]) => tableKey(type) === key);
      if (found === undefined) return undefined;
      return { key, value: encodeTable(found[1]), revision: this.#revision };
    },
  };
}

async function fileBench(remote: boolean): Promise<JournalBench> {
  const folder = folderOf();
  const file = path.join(folder.path, 'journal');
  let journal = await FileJournal.open(file, { log });
  const wire = new Wire();
  const grants = new Grants();
  const serve = () => serveJournal(wire, journal, grants.store);
  serve();
  return {
    of: (node) => (remote ? new RemoteJournal(wire.of(node), 'keeper') : journal),
    async restart() {
      await journal.close();
      journal = await FileJournal.open(file, { log });
      serve();
    },
    grant: async (node, key) => grants.grant(node, key),
    async stop() {
      await journal.close();
      folder.remove();
    },
  };
}

function storeBench(store: RecordStore, stop: () => Promise<void>): JournalBench {
  return {
    of: () => new StoreJournal(store),
    restart: async () => {},
    grant: async () => {},
    stop,
  };
}

export const JOURNALS: readonly JournalKind[] = [
  { name: 'file', skip: false, start: () => fileBench(false) },
  { name: 'file, over the network', skip: false, start: () => fileBench(true) },
  {
    name: 'embedded store',
    skip: false,
    async start() {
      const folder = folderOf();
      const store = await EmbeddedStore.open(path.join(folder.path, 'store.sqlite'), {
        clock: systemClock,
      });
      return storeBench(store, async () => {
        await store.close();
        folder.remove();
      });
    },
  },
  {
    name: 'etcd',
    skip: ETCD.skip,
    async start() {
      etcd ??= EtcdServers.start(1);
      const { hosts } = await etcd;
      const store = await EtcdStore.open(systemClock, { hosts, prefix: `test-${++benches}/` });
      return storeBench(store, () => store.close());
    },
  },
];

/** One for all, since its start takes a second. */
let etcd: Promise<EtcdServers> | undefined;
let benches = 0;
after(async () => (await etcd)?.stop());
