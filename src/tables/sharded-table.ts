// The caller's end of a table, the same on every node: splits each operation by owner and puts the
// answers together. It keeps no rows; those of this node are reached without the network.
import { FlotillaError, invalidOption } from '../core/index.ts';
import { shardOf } from '../hash/index.ts';
import { TABLE_LIMITS, TABLE_TUNING } from './defaults.ts';
import { gradientNotFinite, gradientWidth, requestInvalid } from './errors.ts';
import { NO_ROW, allFinite } from './hosted-table.ts';
import { BODIES, ByteReader, PROCEDURES, bytesOf, joinBytes, parseBody } from './messages.ts';
import { Owners } from './owners.ts';
import { floatsOf, forEachSlice, handlesOf, placeOf } from './row-groups.ts';
import { pullRows, pushRows } from './row-transfer.ts';
import { byScore } from './top-rows.ts';
import type { Payload, RpcHost } from '../peer/index.ts';
import type { Transfer } from './row-transfer.ts';
import type { Metric } from './scan.ts';
import type { TableRecord, TableSpec } from './spec.ts';
import type { TableHost } from './table-host.ts';
import type {
  CallLimits,
  PushOptions,
  RankRequest,
  Ranks,
  RowHandle,
  RowHandles,
  Table,
} from './table.ts';
import type { RankedRow } from './top-rows.ts';

const FLOAT = Float32Array.BYTES_PER_ELEMENT;

/** Ids for one owner, small enough for one request. */
interface IdBatch {
  readonly owner: number;
  readonly shard: number;
  readonly ids: string[];
  readonly positions: number[];
  characters: number;
}

export class ShardedTable implements Table {
  readonly name: string;
  readonly spec: Required<TableSpec>;
  readonly generation: number;
  readonly owners: readonly string[];
  readonly #owners: Owners;
  readonly #tableHost: TableHost;

  constructor(components: { host: RpcHost; tableHost: TableHost }, record: TableRecord) {
    this.name = record.name;
    this.spec = record.spec;
    this.generation = record.generation;
    this.#owners = new Owners(components.host, record);
    this.owners = this.#owners.names;
    this.#tableHost = components.tableHost;
  }

  insert(ids: readonly string[], limits: CallLimits = {}): Promise<RowHandles> {
    return this.#handles(PROCEDURES.insert, ids, limits);
  }

  async resolve(ids: readonly string[], limits: CallLimits = {}): Promise<RowHandles> {
    const handles = await this.#handles(PROCEDURES.find, ids, limits);
    const unknown = ids.filter((_, position) => handles[2 * position + 1] === NO_ROW);
    if (unknown.length === 0) return handles;
    const first = unknown.slice(0, TABLE_LIMITS.maxIdsInError);
    throw new FlotillaError(
      'row_unknown',
      `table ${this.name} has no ${unknown.length === 1 ? 'row' : 'rows'} ${first.join(', ')}` +
        (unknown.length > first.length ? ` and ${unknown.length - first.length} more` : ''),
      { details: { table: this.name, ids: first, unknown: unknown.length } },
    );
  }

  async lookup(
    ids: readonly string[],
    limits: CallLimits = {},
  ): Promise<(RowHandle | undefined)[]> {
    const handles = await this.#handles(PROCEDURES.find, ids, limits);
    return ids.map((_, position) => {
      const row = handles[2 * position + 1]!;
      return row === NO_ROW ? undefined : [handles[2 * position]!, row];
    });
  }

  async names(handles: RowHandles, limits: CallLimits = {}): Promise<string[]> {
    const names = new Array<string>(handles.length / 2);
    await forEachSlice(
      { owners: this.#owners, handles, rowsPerRequest: TABLE_TUNING.idsPerRequest, limits },
      (slice) => {
        const rows = slice.to - slice.from;
        const bytes = bytesOf(handlesOf(slice, handles).slice());
        const receive = (reply: Payload) => {
          const { ids } = parseBody(BODIES.named, reply.body);
          if (ids.length !== rows) throw requestInvalid(`${ids.length} names of ${rows} rows`);
          for (const [i, id] of ids.entries()) names[placeOf(slice, i)] = id;
        };
        return { call: { procedure: PROCEDURES.names, bytes }, receive };
      },
    );
    return names;
  }

  async pull(
    rows: readonly string[] | RowHandles,
    into?: Float32Array,
    limits: CallLimits = {},
  ): Promise<Float32Array> {
    const handles = rows instanceof Uint32Array ? rows : await this.resolve(rows, limits);
    const floats = (handles.length / 2) * this.spec.dim;
    if (into !== undefined && into.length < floats) {
      throw this.#wrongWidth(`${into.length} floats are too few for`, handles.length / 2);
    }
    const target = into ?? new Float32Array(floats);
    await pullRows(this.#transfer(handles, limits), target);
    return target;
  }

  async push(
    rows: readonly string[] | RowHandles,
    gradients: Float32Array,
    options: PushOptions,
  ): Promise<void> {
    const { rate } = options;
    if (!Number.isFinite(rate) || rate < 0) throw invalidOption('rate', 'a number ≥ 0', rate);
    const count = rows instanceof Uint32Array ? rows.length / 2 : rows.length;
    const { dim } = this.spec;
    if (gradients.length !== count * dim) {
      throw gradientWidth(this.name, { rows: count, dim, floats: gradients.length });
    }
    if (!allFinite(gradients)) throw gradientNotFinite(this.name);
    const handles = rows instanceof Uint32Array ? rows : await this.resolve(rows, options);
    await pushRows(this.#transfer(handles, options), gradients, rate);
  }

  async rank(request: RankRequest, limits: CallLimits = {}): Promise<Ranks> {
    const { queries, targets, excluded } = request;
    const count = targets.length;
    if (queries.length !== count * this.spec.dim || excluded.length !== count) {
      throw this.#wrongWidth(
        `${queries.length} floats and ${excluded.length} lists are not`,
        count,
      );
    }
    const greater = new Uint32Array(count);
    const equal = new Uint32Array(count);
    await this.#everyOwner(async (owner) => {
      for (let from = 0; from < count; from += this.#queriesPerRequest) {
        const to = Math.min(from + this.#queriesPerRequest, count);
        const reader = new ByteReader(await this.#rankAt(owner, request, { from, to, limits }));
        for (const sums of [greater, equal]) {
          const counts = reader.words(to - from);
          for (const [i, rows] of counts.entries()) sums[from + i]! += rows;
        }
      }
    });
    return { greater, equal };
  }

  async score(
    rows: RowHandles,
    queries: Float32Array,
    limits: CallLimits = {},
  ): Promise<Float32Array> {
    const { dim } = this.spec;
    const count = rows.length / 2;
    if (queries.length !== count * dim) {
      throw this.#wrongWidth(`${queries.length} floats are not`, count);
    }
    const scores = new Float32Array(count);
    await forEachSlice(
      { owners: this.#owners, handles: rows, rowsPerRequest: this.#queriesPerRequest, limits },
      (slice) => {
        const asked = slice.to - slice.from;
        const bytes = joinBytes(handlesOf(slice, rows), floatsOf(slice, queries, dim));
        const receive = (reply: Payload) => {
          const own = new ByteReader(reply).floats(asked);
          for (const [i, score] of own.entries()) scores[placeOf(slice, i)] = score;
        };
        return { call: { procedure: PROCEDURES.score, body: { rows: asked }, bytes }, receive };
      },
    );
    return scores;
  }

  async nearest(
    query: Float32Array,
    request: { k: number; metric: Metric; exclude?: RowHandles },
    limits: CallLimits = {},
  ): Promise<RankedRow[]> {
    const { k, metric, exclude = new Uint32Array(0) } = request;
    if (!Number.isInteger(k) || k < 1 || k > TABLE_LIMITS.maxNearest) {
      throw invalidOption('k', `an integer from 1 to ${TABLE_LIMITS.maxNearest}`, k);
    }
    if (query.length !== this.spec.dim) throw this.#wrongWidth(`${query.length} floats are not`, 1);
    const found: RankedRow[] = [];
    await this.#everyOwner(async (owner) => {
      const reply = await this.#owners.call(
        {
          owner,
          shard: this.#owners.anyShardOf(owner),
          procedure: PROCEDURES.nearest,
          body: { k, metric },
          bytes: joinBytes(query, Uint32Array.from(this.#owners.only(owner, exclude))),
        },
        limits,
      );
      const { ids } = parseBody(BODIES.named, reply.body);
      const scores = new ByteReader(reply).floats(ids.length);
      for (const [i, id] of ids.entries()) found.push({ id, score: scores[i]! });
    });
    return found.sort(byScore).slice(0, k);
  }

  ownerOf(id: string): string {
    return this.owners[this.#owners.ofShard(shardOf(id, this.spec.shards))]!;
  }

  ownersOf(handles: RowHandles, into = new Uint32Array(handles.length / 2)): Uint32Array {
    for (let i = 0; i < handles.length; i += 2) {
      into[i / 2] = this.#owners.ofShard(handles[i]!, handles[i + 1]);
    }
    return into;
  }

  checkpoint(limits: CallLimits = {}): Promise<number> {
    return this.#sumRows(PROCEDURES.checkpoint, {
      timeoutMs: TABLE_TUNING.checkpointTimeoutMs,
      ...limits,
    });
  }

  count(limits: CallLimits = {}): Promise<number> {
    return this.#sumRows(PROCEDURES.count, limits);
  }

  /** Queries of one scan that fit one request. */
  get #queriesPerRequest(): number {
    const { rowBytesPerRequest, scanQueries } = TABLE_TUNING;
    return Math.min(scanQueries, Math.max(1, Math.floor(rowBytesPerRequest / this.#rowBytes)));
  }

  get #rowBytes(): number {
    return this.spec.dim * FLOAT;
  }

  #transfer(handles: RowHandles, limits: CallLimits): Transfer {
    const local = this.#tableHost.loaded(this.generation);
    return { owners: this.#owners, dim: this.spec.dim, local, handles, limits };
  }

  /** Handles of ids; the row is `NO_ROW` where there is none. */
  async #handles(
    procedure: string,
    ids: readonly string[],
    limits: CallLimits,
  ): Promise<RowHandles> {
    const handles = new Uint32Array(2 * ids.length);
    const ask = async (batches: readonly IdBatch[]) => {
      for (const { owner, shard, ids: asked, positions } of batches) {
        const call = { owner, shard, procedure, body: { ids: asked } };
        const rows = new ByteReader(await this.#owners.call(call, limits)).words(asked.length);
        for (const [i, row] of rows.entries()) handles[2 * positions[i]! + 1] = row;
      }
    };
    await Promise.all(this.#batches(ids, handles).map(ask));
    return handles;
  }

  /** Cuts ids into requests, by owner. Notes each id's shard in `handles`. */
  #batches(ids: readonly string[], handles: RowHandles): IdBatch[][] {
    const { idsPerRequest, idCharactersPerRequest } = TABLE_TUNING;
    const batches: IdBatch[][] = this.owners.map(() => []);
    for (const [position, id] of ids.entries()) {
      const shard = shardOf(id, this.spec.shards);
      handles[2 * position] = shard;
      const owner = this.#owners.ofShard(shard);
      const own = batches[owner]!;
      let batch = own.at(-1);
      const full =
        batch === undefined ||
        batch.ids.length === idsPerRequest ||
        batch.characters + id.length > idCharactersPerRequest;
      if (batch === undefined || full) {
        batch = { owner, shard, ids: [], positions: [], characters: 0 };
        own.push(batch);
      }
      batch.ids.push(id);
      batch.positions.push(position);
      batch.characters += id.length;
    }
    return batches;
  }

  /** Ranks queries `from` to `to` among the rows of one owner. */
  #rankAt(
    owner: number,
    { queries, targets, excluded }: RankRequest,
    { from, to, limits }: { from: number; to: number; limits: CallLimits },
  ): Promise<Payload> {
    const { dim } = this.spec;
    const offsets = new Uint32Array(to - from + 1);
    const own: number[] = [];
    for (let query = from; query < to; query++) {
      for (const word of this.#owners.only(owner, excluded[query]!)) own.push(word);
      offsets[query - from + 1] = own.length / 2;
    }
    const bytes = joinBytes(
      targets.subarray(from, to),
      queries.subarray(from * dim, to * dim),
      offsets,
      Uint32Array.from(own),
    );
    const body = { queries: to - from, excluded: own.length / 2 };
    const shard = this.#owners.anyShardOf(owner);
    return this.#owners.call({ owner, shard, procedure: PROCEDURES.rank, body, bytes }, limits);
  }

  async #everyOwner(ask: (owner: number) => Promise<void>): Promise<void> {
    await Promise.all(this.owners.map((_, owner) => ask(owner)));
  }

  async #sumRows(procedure: string, limits: CallLimits): Promise<number> {
    let sum = 0;
    await this.#everyOwner(async (owner) => {
      const shard = this.#owners.anyShardOf(owner);
      const { body } = await this.#owners.call({ owner, shard, procedure }, limits);
      sum += parseBody(BODIES.counted, body).rows;
    });
    return sum;
  }

  #wrongWidth(what: string, rows: number): FlotillaError {
    const { dim } = this.spec;
    return new FlotillaError('dimension_invalid', `${what} ${rows} rows of ${dim}`, {
      details: { table: this.name, rows, dim },
    });
  }
}
