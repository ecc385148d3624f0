// Who owns which rows of a table: sorts batches by owner, calls owners, and turns a lost connection
// into an error that says which node and shard are gone.
import { FlotillaError, hasCode } from '../core/index.ts';
import { TABLE_TUNING } from './defaults.ts';
import { rowOutOfRange } from './errors.ts';
import type { Payload, RpcHost } from '../peer/index.ts';
import type { RowGroup } from './row-groups.ts';
import type { TableRecord } from './spec.ts';
import type { CallLimits } from './table.ts';

export interface OwnerCall {
  readonly owner: number;
  /** Some shard that the call is about, to name in errors. */
  readonly shard: number;
  readonly procedure: string;
  /** Added to the body beside the table's name and generation. */
  readonly body?: object;
  readonly bytes?: Uint8Array;
}

export class Owners {
  readonly names: readonly string[];
  /** Index of this node among the owners; −1 when it owns nothing. */
  readonly self: number;
  readonly #host: RpcHost;
  readonly #record: TableRecord;
  readonly #byShard: Uint32Array;
  /** Working memory of `group`. */
  readonly #counts: Uint32Array;
  readonly #starts: Uint32Array;
  readonly #runs: Uint32Array;

  constructor(host: RpcHost, record: TableRecord) {
    this.names = [...new Set(record.placement)].sort();
    this.self = this.names.indexOf(host.name);
    this.#host = host;
    this.#record = record;
    this.#byShard = Uint32Array.from(record.placement, (node) => this.names.indexOf(node));
    this.#counts = new Uint32Array(this.names.length);
    this.#starts = new Uint32Array(this.names.length);
    this.#runs = new Uint32Array(this.names.length);
  }

  /** Index of the owner of a shard. Raises `row_out_of_range`. */
  ofShard(shard: number, row = 0): number {
    const owner = this.#byShard[shard];
    if (owner === undefined) throw rowOutOfRange(this.#record.name, shard, row);
    return owner;
  }

  /** Some shard of an owner. */
  anyShardOf(owner: number): number {
    return this.#byShard.indexOf(owner);
  }

  /** Sorts handles by owner. Groups whose rows are side by side cost no memory. */
  group(handles: Uint32Array): RowGroup[] {
    const counts = this.#counts.fill(0);
    const runs = this.#runs.fill(0);
    let last = -1;
    for (let i = 0; i < handles.length; i += 2) {
      const owner = this.#byShard[handles[i]!] ?? this.ofShard(handles[i]!, handles[i + 1]);
      if (owner !== last) {
        if (counts[owner] === 0) this.#starts[owner] = i / 2;
        runs[owner]!++;
        last = owner;
      }
      counts[owner]!++;
    }
    const groups: RowGroup[] = [];
    for (const [owner, count] of counts.entries()) {
      if (count === 0) continue;
      const start = this.#starts[owner]!;
      const positions = runs[owner] === 1 ? undefined : this.#positions(handles, owner, count);
      groups.push({ owner, count, start, positions, shard: handles[2 * start]! });
    }
    return groups;
  }

  /** Those of `handles` that `owner` has, in order. */
  only(owner: number, handles: Uint32Array): number[] {
    const own: number[] = [];
    for (let i = 0; i < handles.length; i += 2) {
      const [shard, row] = [handles[i]!, handles[i + 1]!];
      if (this.ofShard(shard, row) === owner) own.push(shard, row);
    }
    return own;
  }

  /** Calls a procedure at an owner, for this table. */
  async call(call: OwnerCall, limits: CallLimits = {}): Promise<Payload> {
    const { name: table, generation } = this.#record;
    const node = this.names[call.owner] ?? '';
    const body = { table, generation, ...call.body };
    const payload = call.bytes === undefined ? { body } : { body, bytes: call.bytes };
    const { signal, timeoutMs = TABLE_TUNING.requestTimeoutMs } = limits;
    const options = signal === undefined ? { timeoutMs } : { timeoutMs, signal };
    try {
      return await this.#host.call(node, call.procedure, payload, options);
    } catch (error) {
      throw explain(error, { table, shard: call.shard, node });
    }
  }

  #positions(handles: Uint32Array, owner: number, count: number): Uint32Array {
    const positions = new Uint32Array(count);
    let next = 0;
    for (let i = 0; i < handles.length; i += 2) {
      if (this.#byShard[handles[i]!] === owner) positions[next++] = i / 2;
    }
    return positions;
  }
}

const GONE: Readonly<Record<string, string>> = {
  peer_disconnected: 'is gone',
  peer_unreachable: 'is gone',
  deadline_exceeded: 'does not answer',
  unknown_procedure: 'does not serve tables yet',
};

/** An error that names the owner when the connection failed; any other one as it is. */
export function explain(
  error: unknown,
  { table, shard, node }: { table: string; shard: number; node: string },
): unknown {
  if (!hasCode(error, ...Object.keys(GONE))) return error;
  return new FlotillaError(
    'owner_unreachable',
    `${node}, which owns shard ${shard} of table ${table}, ${GONE[error.code]}`,
    { details: { table, shard, node }, cause: error },
  );
}
