// Compares queries with every row that this node has of a table: ranks, nearest rows, single
// scores. One matrix product per block of rows; between blocks it lets the event loop run.
import { setImmediate } from 'node:timers/promises';

import { assert } from '../core/index.ts';
import { TABLE_TUNING } from './defaults.ts';
import { TopRows } from './top-rows.ts';
import type { Clock } from '../core/index.ts';
import type { HostedTable } from './hosted-table.ts';
import type { Segment, Shard } from './shard.ts';
import type { RankedRow } from './top-rows.ts';

export type Metric = 'dot' | 'cosine';

const FLOAT = Float32Array.BYTES_PER_ELEMENT;
const WORD = Uint32Array.BYTES_PER_ELEMENT;
const TRANSPOSED_ROWS = { transB: true } as const;
/** Rows of a `Segment`, so that a row and its segment have the same key in `Masks`. */
const MASK_ROWS = TABLE_TUNING.chunkRows;

/** Rows copied side by side, and where each piece of them came from. */
interface Block {
  readonly rows: number;
  readonly pieces: readonly Segment[];
}

interface Memory {
  readonly queries: number;
  readonly rows: number;
  readonly scores: number;
  readonly targets: number;
  readonly greater: number;
  readonly equal: number;
  /** Floats between the scores of one query and the next. */
  readonly ldScores: number;
}

export interface RankQuery {
  /** Queries × dim floats. */
  readonly queries: Float32Array;
  readonly targets: Float32Array;
  /** Where each query's handles begin in `excluded`, in handles; one more entry than queries. */
  readonly offsets: Uint32Array;
  readonly excluded: Uint32Array;
}

/** Counts per query the rows that score above its target, and those that equal it. */
export async function rankRows(
  table: HostedTable,
  clock: Clock,
  request: RankQuery,
): Promise<{ greater: Uint32Array<ArrayBuffer>; equal: Uint32Array<ArrayBuffer> }> {
  const { queries, targets } = request;
  const count = targets.length;
  const masks = new Masks(table, request);
  return withMemory(table, count, async (memory) => {
    const { kernels } = table;
    kernels.floats(memory.queries, queries.length).set(queries);
    kernels.floats(memory.targets, count).set(targets);
    kernels.words(memory.greater, count).fill(0);
    kernels.words(memory.equal, count).fill(0);
    for await (const block of blocksOf(table, clock, memory)) {
      product(table, memory, count, block.rows);
      const scores = kernels.floats(memory.scores, count * memory.ldScores);
      masks.apply(block, scores, memory.ldScores);
      kernels.countGreaterRows(
        count,
        block.rows,
        memory.scores,
        memory.ldScores,
        memory.targets,
        memory.greater,
        memory.equal,
      );
    }
    const greater = new Uint32Array(kernels.words(memory.greater, count));
    masks.correctUnordered(greater);
    return { greater, equal: new Uint32Array(kernels.words(memory.equal, count)) };
  });
}

/** The `k` rows that score highest against `query`, best first; equal scores by id. */
export async function nearestRows(
  table: HostedTable,
  clock: Clock,
  request: { query: Float32Array; k: number; metric: Metric; exclude: Uint32Array },
): Promise<RankedRow[]> {
  const { kernels } = table;
  const { dim } = table.record.spec;
  const { query, metric, exclude } = request;
  const offsets = Uint32Array.of(0, exclude.length / 2);
  const targets = new Float32Array(1);
  const masks = new Masks(table, { queries: query, targets, offsets, excluded: exclude });
  const best = new TopRows(request.k);
  await withMemory(table, 1, async (memory) => {
    kernels.floats(memory.queries, dim).set(query);
    const length = Math.sqrt(kernels.dot(dim, memory.queries, memory.queries));
    for await (const block of blocksOf(table, clock, memory)) {
      product(table, memory, 1, block.rows);
      const scores = kernels.floats(memory.scores, memory.ldScores);
      if (metric === 'cosine') {
        for (let row = 0; row < block.rows; row++) {
          const at = memory.rows + row * dim * FLOAT;
          const both = length * Math.sqrt(kernels.dot(dim, at, at));
          scores[row] = both > 0 ? scores[row]! / both : 0;
        }
      }
      masks.apply(block, scores, memory.ldScores);
      let column = 0;
      for (const { shard, firstRow, rows } of block.pieces) {
        const home: Shard = table.shard(shard);
        for (let row = firstRow; row < firstRow + rows; row++) {
          const score = scores[column++]!;
          if (best.wants(score)) best.offer(home.idOf(row) ?? '', score);
        }
      }
    }
  });
  return best.sorted();
}

/** out[i] = queries[i] · row of handle i, to the bit what `rankRows` compares. */
export function scoreRows(
  table: HostedTable,
  handles: Uint32Array,
  queries: Float32Array,
): Float32Array<ArrayBuffer> {
  const { kernels } = table;
  const { dim } = table.record.spec;
  const count = handles.length / 2;
  if (count === 0) return new Float32Array(0);
  const pointers = new Uint32Array(count);
  table.locate(handles, pointers);
  const memory = kernels.alloc((count * dim + count) * FLOAT);
  try {
    const out = memory + count * dim * FLOAT;
    kernels.floats(memory, count * dim).set(queries);
    for (const [i, row] of pointers.entries()) {
      const query = memory + i * dim * FLOAT;
      kernels.sgemm(TRANSPOSED_ROWS, 1, 1, dim, query, dim, row, dim, out + i * FLOAT, 1);
    }
    return new Float32Array(kernels.floats(out, count));
  } finally {
    kernels.free(memory);
  }
}

/** scores = queries · rowsᵀ */
function product(table: HostedTable, memory: Memory, queries: number, rows: number): void {
  const { dim } = table.record.spec;
  const { scores, ldScores } = memory;
  table.kernels.sgemm(
    TRANSPOSED_ROWS,
    queries,
    rows,
    dim,
    memory.queries,
    dim,
    memory.rows,
    dim,
    scores,
    ldScores,
  );
}

/** All rows of the table in blocks, copied to `memory.rows`. Lets the event loop run in between. */
async function* blocksOf(
  table: HostedTable,
  clock: Clock,
  memory: Memory,
): AsyncGenerator<Block, void, undefined> {
  const rowBytes = table.record.spec.dim * FLOAT;
  let pieces: Segment[] = [];
  let filled = 0;
  let sliceStart = clock.now();
  // A copy of the list, as a wait may see shards being added or dropped.
  for (const shard of [...table.shards()]) {
    for (const segment of shard.segments()) {
      if (filled + segment.rows > memory.ldScores) {
        yield { rows: filled, pieces };
        [pieces, filled] = [[], 0];
        if (clock.now() - sliceStart > TABLE_TUNING.sliceMs) {
          await setImmediate();
          sliceStart = clock.now();
        }
        table.assertOpen();
      }
      const bytes = segment.rows * rowBytes;
      const target = table.kernels.bytes(memory.rows + filled * rowBytes, bytes);
      target.set(table.kernels.bytes(segment.pointer, bytes));
      pieces.push(segment);
      filled += segment.rows;
    }
  }
  if (filled > 0) yield { rows: filled, pieces };
}

/** Runs `work` with memory for `queries` queries; other scans may run meanwhile with their own. */
async function withMemory<T>(
  table: HostedTable,
  queries: number,
  work: (memory: Memory) => Promise<T>,
): Promise<T> {
  const { dim } = table.record.spec;
  const { chunkRows, scanRows, scanFloats } = TABLE_TUNING;
  const ldScores = Math.min(scanRows, Math.max(chunkRows, Math.floor(scanFloats / dim)));
  const sizes = [
    queries * dim * FLOAT,
    ldScores * dim * FLOAT,
    queries * ldScores * FLOAT,
    queries * FLOAT,
    queries * WORD,
    queries * WORD,
  ].map((bytes) => Math.ceil(bytes / 64) * 64);
  const start = table.kernels.alloc(sizes.reduce((sum, bytes) => sum + bytes, 0));
  let next = start;
  const [first, rows, scores, targets, greater, equal] = sizes.map((bytes) => {
    next += bytes;
    return next - bytes;
  });
  assert(equal !== undefined, 'every part of the memory has a size');
  try {
    return await work({
      queries: first!,
      rows: rows!,
      scores: scores!,
      targets: targets!,
      greater: greater!,
      equal,
      ldScores,
    });
  } finally {
    table.kernels.free(start);
  }
}

/** The rows that do not count, by the piece of a shard that they lie in. */
class Masks {
  readonly #table: HostedTable;
  /** Piece → pairs of query and row. */
  readonly #byPiece = new Map<number, number[]>();
  /** Distinct excluded rows of queries whose target is NaN, which every row beats. */
  readonly #unordered = new Map<number, Set<string>>();

  constructor(table: HostedTable, request: RankQuery) {
    this.#table = table;
    const { offsets, excluded, targets } = request;
    table.locate(excluded, new Uint32Array(excluded.length / 2));
    for (let query = 0; query < targets.length; query++) {
      const unordered = Number.isNaN(targets[query]!) ? new Set<string>() : undefined;
      if (unordered !== undefined) this.#unordered.set(query, unordered);
      for (let at = offsets[query]!; at < offsets[query + 1]!; at++) {
        const [shard, row] = [excluded[2 * at]!, excluded[2 * at + 1]!];
        unordered?.add(`${shard} ${row}`);
        const piece = this.#pieceOf(shard, row);
        const pairs = this.#byPiece.get(piece);
        if (pairs === undefined) this.#byPiece.set(piece, [query, row]);
        else pairs.push(query, row);
      }
    }
  }

  /** Makes the scores of excluded rows NaN, which no comparison counts. */
  apply(block: Block, scores: Float32Array, ldScores: number): void {
    if (this.#byPiece.size === 0) return;
    let column = 0;
    for (const { shard, firstRow, rows } of block.pieces) {
      const pairs = this.#byPiece.get(this.#pieceOf(shard, firstRow)) ?? [];
      for (let i = 0; i < pairs.length; i += 2) {
        scores[pairs[i]! * ldScores + column + pairs[i + 1]! - firstRow] = Number.NaN;
      }
      column += rows;
    }
  }

  /** Takes the excluded rows out of the counts of queries whose target is NaN. */
  correctUnordered(greater: Uint32Array): void {
    for (const [query, rows] of this.#unordered) greater[query]! -= rows.size;
  }

  #pieceOf(shard: number, row: number): number {
    return Math.floor(row / MASK_ROWS) * this.#table.record.spec.shards + shard;
  }
}
