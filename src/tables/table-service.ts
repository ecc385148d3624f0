// Tables of a fleet as one node sees them: creates, opens, lists and drops them, and hosts the
// shards that are placed on this node. Placement is decided once, at creation, and kept in the
// store.
import { mkdir } from 'node:fs/promises';

import { FlotillaError, hasCode, messageOf } from '../core/index.ts';
import { TABLE_TUNING } from './defaults.ts';
import { tableUnknown } from './errors.ts';
import { PROCEDURES } from './messages.ts';
import { explain } from './owners.ts';
import { placeShards } from './placement.ts';
import { ShardedTable } from './sharded-table.ts';
import { checkTableName, decodeRecord, encodeRecord, resolveSpec } from './spec.ts';
import { RECORD_PREFIX, TableHost } from './table-host.ts';
import type { Clock, Logger } from '../core/index.ts';
import type { Kernels } from '../devices/index.ts';
import type { Payload, RpcHost } from '../peer/index.ts';
import type { RecordStore } from '../store/index.ts';
import type { HealthyMembers } from '../cluster/index.ts';
import type { TableRecord, TableSpec } from './spec.ts';
import type { Table } from './table.ts';

export interface TableServiceComponents {
  readonly host: RpcHost;
  readonly coordinator: HealthyMembers;
  readonly store: RecordStore;
  readonly kernels: Kernels;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface TableServiceOptions {
  /** Where checkpoints are kept; made when it is missing. No two nodes share one. */
  readonly directory: string;
}

export interface TableInfo {
  readonly name: string;
  readonly spec: Required<TableSpec>;
  readonly generation: number;
  /** How many shards each node owns. */
  readonly shards: Readonly<Record<string, number>>;
}

/** Raises, besides what `Table` does, `table_exists`, `table_unknown` and `no_healthy_member`. */
export class TableService {
  readonly #components: TableServiceComponents;
  readonly #directory: string;
  readonly #tableHost: TableHost;
  /** Opened tables by name, as of the generation last seen. */
  readonly #open = new Map<string, ShardedTable>();

  constructor(components: TableServiceComponents, options: TableServiceOptions) {
    this.#components = components;
    this.#directory = options.directory;
    this.#tableHost = new TableHost(components, options.directory);
  }

  /**
   * Loads this node's shards of every table from their checkpoints. A table that cannot be loaded
   * is logged; what is asked of it fails with the same reason, and the other tables are served.
   */
  async start(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    const { store, host, log } = this.#components;
    for (const { key, value } of await store.list(RECORD_PREFIX)) {
      try {
        const record = decodeRecord(key, value);
        if (record.placement.includes(host.name)) await this.#tableHost.load(record);
      } catch (error) {
        if (!hasCode(error)) throw error;
        log.warn({ key, code: error.code }, `table not loaded: ${error.message}`);
      }
    }
  }

  /** Forgets the tables of this node. What was not checkpointed is lost. */
  async stop(): Promise<void> {
    this.#open.clear();
    await this.#tableHost.stop();
  }

  /** Makes an empty table, its shards spread evenly over the healthy nodes. */
  async create(name: string, spec: TableSpec): Promise<Table> {
    checkTableName(name);
    const resolved = resolveSpec(spec);
    const { coordinator, store } = this.#components;
    if ((await store.get(RECORD_PREFIX + name)) !== undefined) throw tableExists(name);
    const members = coordinator.registry.healthyNodes().map(({ id }) => id);
    if (members.length === 0) {
      throw new FlotillaError('no_healthy_member', `no node can own shards of table ${name}`);
    }
    const placement = placeShards({ table: name, shards: resolved.shards, members });
    const generation = await store.epoch('tables');
    const record: TableRecord = { name, generation, spec: resolved, placement };
    // The owners first: once the record stands, anybody may use the table.
    const value = encodeRecord(record);
    try {
      await this.#tellOwners(record, { procedure: PROCEDURES.create, bytes: value });
      const { ok } = await store.compareAndSwap(
        [{ key: RECORD_PREFIX + name, revision: 0 }],
        [{ put: RECORD_PREFIX + name, value }],
      );
      if (!ok) throw tableExists(name);
    } catch (error) {
      // When the store did not answer, the record may stand: its owners must keep their shards.
      if (!hasCode(error, 'store_unavailable')) await this.#forget(record);
      throw error;
    }
    return this.#tableOf(record);
  }

  /** The table of that name. Raises `table_unknown`. */
  async open(name: string): Promise<Table> {
    return this.#tableOf(await this.#record(name));
  }

  /** Removes a table and its checkpoints. An owner that is away keeps a file that nobody reads. */
  async drop(name: string): Promise<void> {
    const { store } = this.#components;
    const key = RECORD_PREFIX + name;
    const stored = await store.get(key);
    if (stored === undefined) throw tableUnknown(name);
    const { ok } = await store.compareAndSwap(
      [{ key, revision: stored.revision }],
      [{ delete: key }],
    );
    if (!ok) throw tableUnknown(name);
    this.#open.delete(name);
    await this.#forget(decodeRecord(key, stored.value));
  }

  /** All tables, by name. */
  async list(): Promise<TableInfo[]> {
    const entries = await this.#components.store.list(RECORD_PREFIX);
    const records = entries.map(({ key, value }) => decodeRecord(key, value));
    return records.map(infoOf).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async #record(name: string): Promise<TableRecord> {
    const key = RECORD_PREFIX + name;
    const stored = await this.#components.store.get(key);
    if (stored === undefined) throw tableUnknown(name);
    return decodeRecord(key, stored.value);
  }

  #tableOf(record: TableRecord): ShardedTable {
    const known = this.#open.get(record.name);
    if (known?.generation === record.generation) return known;
    const { host } = this.#components;
    const table = new ShardedTable({ host, tableHost: this.#tableHost }, record);
    this.#open.set(record.name, table);
    return table;
  }

  async #tellOwners(
    { name: table, generation, placement }: TableRecord,
    { procedure, bytes }: { procedure: string; bytes?: Uint8Array },
  ): Promise<void> {
    const body = { table, generation };
    const request: Payload = bytes === undefined ? { body } : { body, bytes };
    const options = { timeoutMs: TABLE_TUNING.requestTimeoutMs };
    const tell = async (node: string) => {
      try {
        await this.#components.host.call(node, procedure, request, options);
      } catch (error) {
        throw explain(error, { table, shard: placement.indexOf(node), node });
      }
    };
    await Promise.all([...new Set(placement)].map(tell));
  }

  /** Frees what owners keep of a table whose record is gone. */
  async #forget(record: TableRecord): Promise<void> {
    try {
      await this.#tellOwners(record, { procedure: PROCEDURES.drop });
    } catch (error) {
      const { name } = record;
      this.#components.log.warn({ table: name }, `an owner keeps its part: ${messageOf(error)}`);
    }
  }
}

function infoOf({ name, spec, generation, placement }: TableRecord): TableInfo {
  const shards: Record<string, number> = {};
  for (const node of placement) shards[node] = (shards[node] ?? 0) + 1;
  return { name, spec, generation, shards };
}

function tableExists(name: string): FlotillaError {
  return new FlotillaError('table_exists', `there is a table ${name} already`, {
    details: { table: name },
  });
}
