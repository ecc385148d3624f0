// From the id of an entity to its shard: the same in every process, version and language
// (`test/hash/vectors.json`). Who owns the shard is the table's business.
import { FlotillaError, invalidOption } from '../core/index.ts';
import { shardOf } from '../hash/index.ts';
import { MAX_ID_LENGTH, MAX_SHARDS } from './defaults.ts';

/** A message and whom it is for. */
export interface Envelope<M = unknown> {
  readonly entityId: string;
  readonly message: M;
}

/** Which shard an id belongs to. One for each type, since a type's number of shards is its own. */
export class Extractor {
  readonly shards: number;
  /** Shards of ids that were asked for lately: hashing is 20 times a look-up. */
  readonly #recent = new Map<string, number>();

  /** Errors: `invalid_option`. */
  constructor(shards: number) {
    if (!(Number.isInteger(shards) && shards >= 1 && shards <= MAX_SHARDS)) {
      throw invalidOption('shards', `an integer from 1 to ${MAX_SHARDS}`, shards);
    }
    this.shards = shards;
  }

  /** Errors: `entity_id_invalid`. */
  shardOf(entityId: string): number {
    const known = this.#recent.get(entityId);
    if (known !== undefined) return known;
    checkId(entityId);
    const shard = shardOf(entityId, this.shards);
    if (this.#recent.size >= RECENT_IDS) this.#recent.clear();
    this.#recent.set(entityId, shard);
    return shard;
  }

  /** For example `shard-17`. */
  shardIdOf({ entityId }: Envelope): string {
    return shardName(this.shardOf(entityId));
  }
}

const RECENT_IDS = 65_536;

/** How a shard is called where people read it. */
export function shardName(shard: number): string {
  return `shard-${shard}`;
}

export function checkId(id: string): void {
  if (typeof id === 'string' && id !== '' && id.length <= MAX_ID_LENGTH && id.isWellFormed()) {
    return;
  }
  const shown = JSON.stringify(String(id).slice(0, 80));
  const rule = `1 to ${MAX_ID_LENGTH} characters of well-formed text`;
  throw new FlotillaError('entity_id_invalid', `an entity's id is ${rule}, not ${shown}`);
}
