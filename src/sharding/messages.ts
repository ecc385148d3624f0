// What nodes say to each other about shards, checked where it arrives.
import { z } from 'zod';
import { FlotillaError, messageOf } from '../core/index.ts';
import { decodeBody, encodeBody } from '../wire/index.ts';
import { MAX_TIMEOUT_MS } from './defaults.ts';
import { SHARD_PHASES } from './hosted-shard.ts';
import type { ErrorDetails } from '../core/index.ts';
import type { Payload } from '../peer/index.ts';
import type { EntityRecord } from './entities.ts';
import type { Outgoing } from './outgoing.ts';

export const PROCEDURES = {
  deliver: 'sharding.deliver',
  stage: 'sharding.stage',
  released: 'sharding.released',
  describe: 'sharding.describe',
} as const;

/**
 * `[type, shard, epoch, id, handler, remaining ms, argument]`, without the last for a message that
 * has none: an array, since it is hot.
 */
export type Delivery = readonly [string, number, number, string, string, number, unknown?];

export function packDelivery(type: string, message: Outgoing, leftMs: number): Payload {
  const { shard, epoch, id, handler, argument } = message;
  if (argument === undefined) return { body: [type, shard, epoch, id, handler, leftMs] };
  return { body: [type, shard, epoch, id, handler, leftMs, argument] };
}

/** By hand: this is once for every message. Errors: `shard_message_invalid`. */
export function readDelivery({ body }: Payload): Delivery {
  if (Array.isArray(body) && (body.length === 6 || body.length === 7)) {
    const [type, shard, epoch, id, handler, leftMs] = body as unknown[];
    const texts = typeof type === 'string' && typeof id === 'string' && typeof handler === 'string';
    if (texts && isCount(shard) && isCount(epoch) && isTimeout(leftMs)) {
      return body as unknown as Delivery;
    }
  }
  throw invalidMessage('a delivery');
}

/** What became of a message that was delivered: its answer, or what its entity says is wrong. */
export function packAnswer(reply: unknown): Payload {
  return { body: reply === undefined ? [] : [reply] };
}

export function packFailure(error: unknown): Payload {
  const known = error instanceof FlotillaError;
  const { code, details } = known ? error : { code: 'internal', details: {} };
  return { body: [null, { code, message: messageOf(error).slice(0, MAX_MESSAGE), details }] };
}

/** Settles `message` as the answer says. Errors: `shard_message_invalid`. */
export function readOutcome({ body }: Payload, message: Outgoing): void {
  if (!Array.isArray(body) || body.length > 2) throw invalidMessage('an answer');
  if (body.length < 2) {
    message.arrive(body[0]);
    return;
  }
  const { code, message: text, details } = read(FAILURE, { body: body[1] });
  message.fail(new FlotillaError(code, text, { details: details as ErrorDetails }));
}

/** Characters of an entity's error. */
const MAX_MESSAGE = 4_096;

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Written so that NaN is none. */
export function isTimeout(value: unknown): boolean {
  return typeof value === 'number' && value > 0 && value <= MAX_TIMEOUT_MS;
}

const count = z.int().nonnegative();

const detail = z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]);
const FAILURE = z.object({
  code: z.string().min(1).max(64),
  message: z.string(),
  details: z.record(z.string(), detail).catch({}),
});

/** Entities travel in parts, in the bytes beside it; one after the other, from part 0. */
export const STAGE = z.object({
  type: z.string(),
  shard: count,
  epoch: count,
  part: count,
  isLast: z.boolean(),
});

export type StagedPart = z.output<typeof STAGE>;

export const RELEASED = z.object({ type: z.string(), shards: z.array(z.tuple([count, count])) });

/** What a node says of one of its types: `[shard, epoch, phase, entities]`. */
export const DESCRIPTION = z.object({
  types: z.array(
    z.object({
      type: z.string(),
      shards: z.array(z.tuple([count, count, z.enum(SHARD_PHASES), count])),
      waiting: count,
      entities: count,
    }),
  ),
});

export type NodeDescription = z.output<typeof DESCRIPTION>;

/** Errors: `shard_message_invalid`. */
export function read<T>(schema: z.ZodType<T>, { body }: Payload): T {
  const { data, error } = schema.safeParse(body);
  if (error === undefined) return data;
  const [issue] = error.issues;
  throw invalidMessage(`${issue?.path.join('.') || 'a body'}: ${issue?.message ?? 'unknown'}`);
}

/**
 * Parts of entities, of about `partBytes` each; one at least. They are made as they are taken, so
 * that a large shard holds nobody up. What cannot be encoded is left out.
 */
export function* packEntities(
  entities: readonly EntityRecord[],
  partBytes: number,
  onUnfit: (id: string, error: unknown) => void,
): Generator<Uint8Array, undefined> {
  let pieces: Uint8Array[] = [];
  let bytes = 0;
  let isFirst = true;
  for (const { id, state } of entities) {
    try {
      const { buffer, start, end } = encodeBody([id, state]);
      const size = end - start;
      const piece = new Uint8Array(4 + size);
      new DataView(piece.buffer).setUint32(0, size, true);
      piece.set(buffer.subarray(start, end), 4);
      pieces.push(piece);
      bytes += piece.length;
    } catch (error) {
      onUnfit(id, error);
    }
    if (bytes < partBytes) continue;
    yield Buffer.concat(pieces);
    [pieces, bytes, isFirst] = [[], 0, false];
  }
  if (bytes > 0 || isFirst) yield Buffer.concat(pieces);
  return undefined;
}

/** What `packEntities` made. Errors: `shard_message_invalid`, `frame_invalid`. */
export function unpackEntities(bytes: Uint8Array, partBytes: number): EntityRecord[] {
  const entities: EntityRecord[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at < bytes.length) {
    if (at + 4 > bytes.length) throw invalidMessage('a part is cut off');
    // So that many small entities, which take far more memory than bytes, come a part at a time.
    if (at >= partBytes) throw invalidMessage('a part is too large');
    const end = at + 4 + view.getUint32(at, true);
    if (end > bytes.length) throw invalidMessage('a part is cut off');
    const record = decodeBody(bytes, at + 4, end);
    const [id, state] = Array.isArray(record) ? (record as unknown[]) : [];
    if (typeof id !== 'string') throw invalidMessage('an entity without an id');
    entities.push({ id, state });
    at = end;
  }
  return entities;
}

/** As if it had crossed a connection, so that neither side can tell the difference. */
export function copyOf(value: unknown): unknown {
  if (value === undefined || value === null || PLAIN.has(typeof value)) return value;
  const { buffer, start, end } = encodeBody(value);
  return decodeBody(buffer, start, end);
}

const PLAIN: ReadonlySet<string> = new Set(['string', 'number', 'boolean']);

/** The encoded state, to keep. */
export function encodeState(state: unknown): Uint8Array {
  const { buffer, start, end } = encodeBody(state);
  return new Uint8Array(buffer.subarray(start, end));
}

export function decodeState(bytes: Uint8Array): unknown {
  return decodeBody(bytes, 0, bytes.length);
}

export function invalidMessage(reason: string): FlotillaError {
  return new FlotillaError('shard_message_invalid', `a sharding message is invalid: ${reason}`);
}
