// Who owns which shard of a type, and since which epoch: one value of the store, and the only truth
// about it. How it comes to change is the coordinator's, who obeys it the regions'.
import { z } from 'zod';
import { FlotillaError, messageOf } from '../core/index.ts';
import { MAX_SHARDS } from './defaults.ts';

/**
 * One shard. Its epoch grows by one whenever its owner changes, and also when a handoff is called
 * off and the owner goes on: what was frozen at an epoch never runs at that epoch again.
 */
export interface ShardEntry {
  /** Empty before the first grant. */
  readonly owner: string;
  /** The owner's session: the revision of its key. Another session of the same node is not it. */
  readonly session: number;
  readonly epoch: number;
  /** The owner shall freeze the shard and hand it to this session. */
  readonly move?: Session;
}

export interface Session {
  readonly node: string;
  readonly session: number;
}

export type ShardTable = readonly ShardEntry[];

export const VACANT: ShardEntry = Object.freeze({ owner: '', session: 0, epoch: 0 });

const count = z.int().nonnegative();
const SCHEMA = z.object({
  /** `[name, session]`; the columns below name them by place. */
  sessions: z.array(z.tuple([z.string(), count])),
  owners: z.array(z.int().min(-1)).min(1).max(MAX_SHARDS),
  epochs: z.array(count),
  /** `[shard, session]` */
  moves: z.array(z.tuple([count, count])),
});

/** As columns: a table of 256 shards takes 2 KiB. */
export function encodeTable(table: ShardTable): Uint8Array {
  const places = new Map<string, number>();
  const sessions: [string, number][] = [];
  const placeOf = (node: string, session: number) => {
    const key = `${session} ${node}`;
    let place = places.get(key);
    if (place === undefined) {
      place = sessions.push([node, session]) - 1;
      places.set(key, place);
    }
    return place;
  };
  const moves: [number, number][] = [];
  const owners = table.map(({ owner, session, move }, shard) => {
    if (move !== undefined) moves.push([shard, placeOf(move.node, move.session)]);
    return owner === '' ? -1 : placeOf(owner, session);
  });
  const epochs = table.map(({ epoch }) => epoch);
  return Buffer.from(JSON.stringify({ sessions, owners, epochs, moves }));
}

/** Errors: `shard_message_invalid`. */
export function decodeTable(value: Uint8Array): ShardTable {
  const { sessions, owners, epochs, moves } = parseRecord(SCHEMA, value);
  if (epochs.length !== owners.length) throw invalidRecord('its columns differ in length');
  const targets = new Map(moves);
  const sessionAt = (place: number) => {
    const found = sessions[place];
    if (found === undefined) throw invalidRecord(`it has no session ${place}`);
    return found;
  };
  return owners.map((place, shard): ShardEntry => {
    const epoch = epochs[shard]!;
    if (place === -1) return { owner: '', session: 0, epoch };
    const [owner, session] = sessionAt(place);
    const target = targets.get(shard);
    if (target === undefined) return { owner, session, epoch };
    const [node, targetSession] = sessionAt(target);
    return { owner, session, epoch, move: { node, session: targetSession } };
  });
}

export function parseRecord<T>(schema: z.ZodType<T>, value: Uint8Array): T {
  let record: unknown;
  try {
    record = JSON.parse(Buffer.from(value).toString());
  } catch (error) {
    throw invalidRecord(messageOf(error));
  }
  const { data, error } = schema.safeParse(record);
  if (error === undefined) return data;
  throw invalidRecord(error.issues[0]?.message ?? 'unknown');
}

function invalidRecord(reason: string): FlotillaError {
  return new FlotillaError('shard_message_invalid', `a record of shards is invalid: ${reason}`);
}
