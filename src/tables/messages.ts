// What tables say to each other: the procedures, the shapes of their bodies, and how arrays travel
// beside them as raw little-endian bytes.
import { z } from 'zod';

import { requestInvalid } from './errors.ts';
import type { Payload } from '../peer/index.ts';

export const PROCEDURES = {
  /** Record → nothing. The owner makes its shards, empty. */
  create: 'tables.create',
  /** Nothing → nothing. The owner forgets its shards and their checkpoint. */
  drop: 'tables.drop',
  /** Ids → rows. Makes what is missing. */
  insert: 'tables.insert',
  /** Ids → rows, or `NO_ROW`. */
  find: 'tables.find',
  /** Handles → ids. */
  names: 'tables.names',
  /** Handles → floats. */
  pull: 'tables.pull',
  /** Handles, then floats → nothing. */
  push: 'tables.push',
  /** Targets, queries, offsets, excluded handles → counts above, counts equal. */
  rank: 'tables.rank',
  /** Query, excluded handles → ids; scores. */
  nearest: 'tables.nearest',
  /** Handles, queries → scores. */
  score: 'tables.score',
  /** Nothing → rows written. */
  checkpoint: 'tables.checkpoint',
  /** Nothing → rows. */
  count: 'tables.count',
} as const;

const table = { table: z.string(), generation: z.number() };

export const BODIES = {
  table: z.object(table),
  ids: z.object({ ...table, ids: z.array(z.string()) }),
  push: z.object({ ...table, rows: z.int().min(0), rate: z.number().min(0) }),
  rank: z.object({ ...table, queries: z.int().min(1), excluded: z.int().min(0) }),
  nearest: z.object({
    ...table,
    k: z.int().min(1),
    metric: z.enum(['dot', 'cosine']),
  }),
  score: z.object({ ...table, rows: z.int().min(0) }),
  named: z.object({ ids: z.array(z.string()) }),
  counted: z.object({ rows: z.number() }),
} as const;

/** Checks a body that came from another node. Raises `request_invalid`. */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw requestInvalid(`${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'wrong shape'}`);
}

/** Takes arrays out of received bytes one after the other; a view where alignment allows. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(payload: Payload) {
    const bytes = payload.bytes ?? new Uint8Array(0);
    this.#bytes = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  }

  get left(): number {
    return this.#bytes.length - this.#offset;
  }

  words(length: number): Uint32Array {
    return new Uint32Array(this.#bytes.buffer, this.#take(length), length);
  }

  floats(length: number): Float32Array {
    return new Float32Array(this.#bytes.buffer, this.#take(length), length);
  }

  /** All that is left as pairs of words. */
  handles(): Uint32Array {
    if (this.left % 8 !== 0) throw requestInvalid(`${this.left} bytes are no whole row handles`);
    return this.words(this.left / 4);
  }

  end(): void {
    if (this.left > 0) throw requestInvalid(`${this.left} bytes too many`);
  }

  #take(length: number): number {
    if (length * 4 > this.left) throw requestInvalid(`${length * 4 - this.left} bytes too few`);
    const start = this.#bytes.byteOffset + this.#offset;
    this.#offset += length * 4;
    return start;
  }
}

/** The bytes of arrays one after the other. */
export function joinBytes(...arrays: readonly (Uint32Array | Float32Array)[]): Uint8Array {
  const joined = new Uint8Array(arrays.reduce((sum, array) => sum + array.byteLength, 0));
  let offset = 0;
  for (const array of arrays) {
    joined.set(bytesOf(array), offset);
    offset += array.byteLength;
  }
  return joined;
}

/** The bytes of an array, without a copy. */
export function bytesOf(array: Uint32Array | Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
