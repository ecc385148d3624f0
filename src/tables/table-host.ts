// The owner's end of tables: the shards that this node holds, and the procedures by which every
// node, itself included, works on them. What is asked of a table that is not in memory loads it
// first.
import { rm } from 'node:fs/promises';

import { FlotillaError } from '../core/index.ts';
import { checkpointFile, readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import {
  gradientNotFinite,
  gradientWidth,
  requestInvalid,
  tableStale,
  tableUnknown,
} from './errors.ts';
import { HostedTable, allFinite } from './hosted-table.ts';
import { BODIES, ByteReader, PROCEDURES, bytesOf, joinBytes, parseBody } from './messages.ts';
import { nearestRows, rankRows, scoreRows } from './scan.ts';
import { Scratch } from './scratch.ts';
import { decodeRecord } from './spec.ts';
import type { z } from 'zod';
import type { Clock, Logger } from '../core/index.ts';
import type { Kernels } from '../devices/index.ts';
import type { Payload, RpcHost } from '../peer/index.ts';
import type { RecordStore } from '../store/index.ts';
import type { TableRecord } from './spec.ts';

export interface TableHostComponents {
  readonly host: RpcHost;
  readonly store: RecordStore;
  readonly kernels: Kernels;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Key of a table's record in the store. */
export const RECORD_PREFIX = 'tables/';

interface Named {
  readonly table: string;
  readonly generation: number;
}

const DONE: Payload = { body: {} };

export class TableHost {
  readonly #components: TableHostComponents;
  readonly #directory: string;
  readonly #scratch: Scratch;
  /** By generation, which no two tables share. */
  readonly #tables = new Map<number, HostedTable>();
  readonly #loading = new Map<number, Promise<HostedTable>>();
  /** The last checkpoint of each table, so that two never write one file at a time. */
  readonly #writing = new Map<number, Promise<unknown>>();
  #stopped = false;

  constructor(components: TableHostComponents, directory: string) {
    this.#components = components;
    this.#directory = directory;
    this.#scratch = new Scratch(components.kernels);
    this.#register();
  }

  /** The table if this node has it in memory. */
  loaded(generation: number): HostedTable | undefined {
    return this.#tables.get(generation);
  }

  /** Loads this node's shards of a table from their checkpoint, unless they are in memory. */
  load(record: TableRecord): Promise<HostedTable> {
    const { generation } = record;
    const hosted = this.#tables.get(generation);
    if (hosted !== undefined) return Promise.resolve(hosted);
    const running = this.#loading.get(generation);
    if (running !== undefined) return running;
    const loading = this.#read(record).finally(() => this.#loading.delete(generation));
    this.#loading.set(generation, loading);
    return loading;
  }

  /** Forgets all tables. Checkpoints that are being written are finished first. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.allSettled([...this.#writing.values(), ...this.#loading.values()]);
    for (const table of this.#tables.values()) table.close();
    this.#tables.clear();
    this.#scratch.release();
  }

  #register(): void {
    const { host, clock } = this.#components;
    host.handle(PROCEDURES.create, (request) => this.#create(request));
    host.handle(PROCEDURES.drop, (request) => this.#drop(request));
    this.#serve(PROCEDURES.insert, BODIES.ids, (table, { ids }) => {
      return { body: {}, bytes: bytesOf(table.insert(ids)) };
    });
    this.#serve(PROCEDURES.find, BODIES.ids, (table, { ids }) => {
      return { body: {}, bytes: bytesOf(table.find(ids)) };
    });
    this.#serve(PROCEDURES.names, BODIES.table, (table, _, reader) => {
      return { body: { ids: table.names(reader.handles()) } };
    });
    this.#serve(PROCEDURES.pull, BODIES.table, (table, _, reader) => {
      const handles = reader.handles();
      const rows = new Float32Array((handles.length / 2) * table.record.spec.dim);
      table.pull(handles, rows);
      return { body: {}, bytes: bytesOf(rows) };
    });
    this.#serve(PROCEDURES.push, BODIES.push, applyPush);
    this.#serve(PROCEDURES.rank, BODIES.rank, async (table, { queries, excluded }, reader) => {
      const ranks = await rankRows(table, clock, {
        targets: reader.floats(queries),
        queries: reader.floats(queries * table.record.spec.dim),
        offsets: offsetsOf(reader.words(queries + 1), excluded),
        excluded: lastOf(reader, excluded * 2),
      });
      return { body: {}, bytes: joinBytes(ranks.greater, ranks.equal) };
    });
    this.#serve(PROCEDURES.nearest, BODIES.nearest, async (table, { k, metric }, reader) => {
      const query = reader.floats(table.record.spec.dim);
      const exclude = reader.handles();
      const rows = await nearestRows(table, clock, { query, k, metric, exclude });
      const scores = Float32Array.from(rows, ({ score }) => score);
      return { body: { ids: rows.map(({ id }) => id) }, bytes: bytesOf(scores) };
    });
    this.#serve(PROCEDURES.score, BODIES.score, (table, { rows }, reader) => {
      const handles = reader.words(rows * 2);
      const queries = reader.floats(rows * table.record.spec.dim);
      reader.end();
      const scores = scoreRows(table, handles, queries);
      return { body: {}, bytes: bytesOf(scores) };
    });
    this.#serve(PROCEDURES.checkpoint, BODIES.table, async (table) => {
      return { body: { rows: await this.#checkpoint(table) } };
    });
    this.#serve(PROCEDURES.count, BODIES.table, (table) => {
      for (const shard of table.ownedShards()) table.shard(shard);
      return { body: { rows: table.rows } };
    });
  }

  /** Registers a procedure on a table that is loaded if need be; at once when it is in memory. */
  #serve<T extends Named>(
    procedure: string,
    schema: z.ZodType<T>,
    run: (table: HostedTable, body: T, reader: ByteReader) => Payload | Promise<Payload>,
  ): void {
    this.#components.host.handle(procedure, (request) => {
      const body = parseBody(schema, request.body);
      const reader = new ByteReader(request);
      const table = this.#tables.get(body.generation);
      if (table !== undefined) return run(table, body, reader);
      return this.#loadNamed(body).then((loaded) => run(loaded, body, reader));
    });
  }

  async #loadNamed({ table, generation }: Named): Promise<HostedTable> {
    const key = RECORD_PREFIX + table;
    const stored = await this.#components.store.get(key);
    if (stored === undefined) throw tableUnknown(table);
    const record = decodeRecord(key, stored.value);
    if (record.generation !== generation) throw tableStale(table);
    return this.load(record);
  }

  async #read(record: TableRecord): Promise<HostedTable> {
    this.#assertRunning();
    const table = this.#newTable(record);
    try {
      await readCheckpoint(table, checkpointFile(this.#directory, record.name));
      this.#assertRunning();
      // Fails with the reason when the checkpoint is absent, or lacks a shard of this node.
      for (const shard of table.ownedShards()) table.shard(shard);
    } catch (error) {
      table.close();
      throw error;
    }
    this.#tables.set(record.generation, table);
    this.#components.log.info(
      { table: record.name, rows: table.rows, shards: table.ownedShards().length },
      'table loaded from its checkpoint',
    );
    return table;
  }

  #newTable(record: TableRecord): HostedTable {
    const { kernels, host } = this.#components;
    return new HostedTable({ kernels, scratch: this.#scratch }, record, host.name);
  }

  #create(request: Payload): Payload {
    this.#assertRunning();
    const record = decodeRecord(PROCEDURES.create, request.bytes ?? new Uint8Array(0));
    if (this.#tables.has(record.generation)) return DONE;
    const table = this.#newTable(record);
    for (const shard of table.ownedShards()) table.addShard(shard);
    this.#tables.set(record.generation, table);
    return DONE;
  }

  async #drop(request: Payload): Promise<Payload> {
    const { table: name, generation } = parseBody(BODIES.table, request.body);
    await this.#writing.get(generation);
    this.#tables.get(generation)?.close();
    this.#tables.delete(generation);
    const stored = await this.#components.store.get(RECORD_PREFIX + name);
    // A new table may have the name, and the file, by now.
    if (stored === undefined) {
      await rm(checkpointFile(this.#directory, name), { force: true });
    }
    return DONE;
  }

  async #checkpoint(table: HostedTable): Promise<number> {
    const { name, generation } = table.record;
    const file = checkpointFile(this.#directory, name);
    const before = this.#writing.get(generation) ?? Promise.resolve();
    const written = before.then(() => writeCheckpoint(table, file));
    const settled = written.catch(() => {});
    this.#writing.set(generation, settled);
    await written;
    if (this.#writing.get(generation) === settled) this.#writing.delete(generation);
    return table.rows;
  }

  #assertRunning(): void {
    if (!this.#stopped) return;
    const { name } = this.#components.host;
    throw new FlotillaError('owner_unreachable', `${name} is stopping`, {
      details: { node: name },
    });
  }
}

function applyPush(
  table: HostedTable,
  { rows, rate }: z.infer<typeof BODIES.push>,
  reader: ByteReader,
): Payload {
  const { name, spec } = table.record;
  const handles = reader.words(rows * 2);
  const floats = Math.floor(reader.left / 4);
  if (floats !== rows * spec.dim) throw gradientWidth(name, { rows, dim: spec.dim, floats });
  const gradients = reader.floats(rows * spec.dim);
  if (!allFinite(gradients)) throw gradientNotFinite(name);
  table.push(handles, gradients, rate);
  return DONE;
}

/** The words that must be the last of a request. */
function lastOf(reader: ByteReader, words: number): Uint32Array {
  const last = reader.words(words);
  reader.end();
  return last;
}

/** Offsets that begin at 0, never fall, and end at `total`. */
function offsetsOf(offsets: Uint32Array, total: number): Uint32Array {
  let last = 0;
  let rising = offsets[0] === 0 && offsets[offsets.length - 1] === total;
  for (const offset of offsets) {
    rising &&= offset >= last;
    last = offset;
  }
  if (!rising) throw requestInvalid('offsets of excluded rows do not rise to their number');
  return offsets;
}
