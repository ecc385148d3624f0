// What other owners hand over before their shards are granted to this node: parts until they are
// whole, wholes until the table has decided. Who may hand over is checked by `TypeRuntime`.
import { FlotillaError } from '../core/index.ts';
import { shardMoved } from './errors.ts';
import { invalidMessage, unpackEntities } from './messages.ts';
import type { EntityRecord } from './entities.ts';
import type { StagedPart } from './messages.ts';

export interface StagingOptions {
  /** Of all shards together, as they came. A sender that gets `buffer_full` tries again. */
  readonly stagedBytes: number;
  readonly stagePartBytes: number;
}

interface Staged {
  readonly epoch: number;
  isWhole: boolean;
  readonly entities: EntityRecord[];
  next: number;
  bytes: number;
}

export class Staging {
  readonly #options: StagingOptions;
  readonly #shards = new Map<number, Staged>();
  #bytes = 0;

  constructor(options: StagingOptions) {
    this.#options = options;
  }

  /** Bytes that wait, of all shards. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The next part of a shard, or its first one anew. `isHere` tells whether an id is of that shard.
   * Errors: `shard_moved` (the sender begins anew), `buffer_full`, `shard_message_invalid`.
   */
  add(part: StagedPart, bytes: Uint8Array, isHere: (id: string) => boolean): void {
    const { shard, epoch } = part;
    if (part.part === 0) this.#delete(shard);
    let staged = this.#shards.get(shard);
    if (part.part === 0) staged = { epoch, isWhole: false, entities: [], next: 0, bytes: 0 };
    const isNext = staged?.next === part.part && !staged.isWhole;
    if (!isNext || staged?.epoch !== epoch) throw shardMoved(shard);
    const { stagedBytes, stagePartBytes } = this.#options;
    if (this.#bytes + bytes.length > stagedBytes) throw full(shard, stagedBytes);
    const entities = unpackEntities(bytes, stagePartBytes);
    for (const { id } of entities) {
      if (!isHere(id)) throw invalidMessage(`${id} is not in shard ${shard}`);
    }
    this.#shards.set(shard, staged);
    for (const entity of entities) staged.entities.push(entity);
    staged.next++;
    staged.isWhole = part.isLast;
    staged.bytes += bytes.length;
    this.#bytes += bytes.length;
  }

  /** What was handed over for a grant, all of it; nothing when parts are missing. Once. */
  take(shard: number, epoch: number): readonly EntityRecord[] {
    const staged = this.#shards.get(shard);
    this.forget(shard, epoch);
    return staged?.epoch === epoch && staged.isWhole ? staged.entities : [];
  }

  /** The grant was followed by the next before anybody took what it was about. */
  goOn(shard: number, epoch: number): void {
    const staged = this.#shards.get(shard);
    if (staged?.epoch === epoch - 1) this.#shards.set(shard, { ...staged, epoch });
  }

  /** The shard is at that epoch: whatever was meant for it or an earlier one is of no use. */
  forget(shard: number, epoch: number): void {
    const staged = this.#shards.get(shard);
    if (staged !== undefined && staged.epoch <= epoch) this.#delete(shard);
  }

  clear(): void {
    this.#shards.clear();
    this.#bytes = 0;
  }

  #delete(shard: number): void {
    this.#bytes -= this.#shards.get(shard)?.bytes ?? 0;
    this.#shards.delete(shard);
  }
}

function full(shard: number, limit: number): FlotillaError {
  const message = `${limit} bytes of moving shards wait already; shard ${shard} has to wait`;
  return new FlotillaError('buffer_full', message, { details: { shard, limit } });
}
