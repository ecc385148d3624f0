// A journal in the store itself, for fleets whose store is etcd: it outlives every node. One key
// for each entity, and one for each shard with the epoch that was opened last, which every write
// compares: an earlier owner's comes to nothing, however late it arrives.
import { createHash } from 'node:crypto';
import { FlotillaError } from '../core/index.ts';
import { EpochFence } from '../store/index.ts';
import { JOURNAL_DEFAULTS } from './defaults.ts';
import { stateTooLarge } from './errors.ts';
import { checkId } from './extractor.ts';
import { checkShardKey } from './journal.ts';
import type { Entry, RecordStore } from '../store/index.ts';
import type { Journal, ShardKey } from './journal.ts';

/** Beside `sharding/`, which every node watches. */
const PREFIX = 'entities/';

interface Fence {
  readonly epoch: number;
  /** At which the store has it. */
  readonly revision: number;
}

export class StoreJournal implements Journal {
  readonly #store: RecordStore;
  /** Of the shards that this node opened. */
  readonly #fences = new Map<string, Fence>();
  /** At which the store has the states that this node read or wrote; 0 for none. */
  readonly #revisions = new Map<string, number>();

  constructor(store: RecordStore) {
    this.#store = store;
  }

  async open(key: ShardKey): Promise<readonly string[]> {
    this.#fences.delete(folderOf(key));
    await this.#admit(key);
    const ids = await this.#store.list(`${folderOf(key)}ids/`);
    return ids.map(({ value }) => Buffer.from(value).toString());
  }

  async load(key: ShardKey, id: string): Promise<Uint8Array | undefined> {
    checkId(id);
    const { revision } = await this.#admit(key);
    const place = stateKey(key, id);
    const [entry, fence] = await Promise.all([
      this.#store.get(place),
      this.#store.get(fenceKey(key)),
    ]);
    if (fence?.revision !== revision) throw await this.#replaced(key, id);
    this.#known(place, entry?.revision ?? 0);
    return entry?.value;
  }

  async append(key: ShardKey, id: string, state: Uint8Array): Promise<void> {
    checkId(id);
    const limit = JOURNAL_DEFAULTS.maxStoredStateBytes;
    if (state.length > limit) throw stateTooLarge(id, state.length, limit);
    const { revision } = await this.#admit(key);
    const place = stateKey(key, id);
    const base = this.#revisions.get(place) ?? (await this.#store.get(place))?.revision ?? 0;
    // A write of which nothing is heard may come late: by then the state has another revision.
    this.#revisions.delete(place);
    const compares = [
      { key: fenceKey(key), revision },
      { key: place, revision: base },
    ];
    const writes = [{ put: place, value: state }];
    if (base === 0) writes.push({ put: idKey(key, id), value: Buffer.from(id) });
    const result = await this.#store.compareAndSwap(compares, writes);
    if (!result.ok) throw await this.#replaced(key, id);
    this.#known(place, result.revision);
  }

  /** Makes the shard this epoch's. Errors: `epoch_stale`. */
  async #admit(key: ShardKey): Promise<Fence> {
    checkShardKey(key);
    const folder = folderOf(key);
    for (;;) {
      const known = this.#fences.get(folder) ?? fenceOf(await this.#store.get(fenceKey(key)));
      new EpochFence(known.epoch).admit(key.epoch);
      if (known.epoch === key.epoch && known.revision > 0) {
        this.#fences.set(folder, known);
        return known;
      }
      this.#fences.delete(folder);
      const { ok, revision } = await this.#store.compareAndSwap(
        [{ key: fenceKey(key), revision: known.revision }],
        [{ put: fenceKey(key), value: Buffer.from(String(key.epoch)) }],
      );
      if (ok) this.#fences.set(folder, { epoch: key.epoch, revision });
    }
  }

  /** Why a compare did not hold: another epoch, or an earlier write of this one that came late. */
  async #replaced(key: ShardKey, id: string): Promise<FlotillaError> {
    this.#fences.delete(folderOf(key));
    await this.#admit(key);
    const message = `the state of ${id} has changed meanwhile`;
    return new FlotillaError('journal_unavailable', message, { details: { entity: id } });
  }

  #known(place: string, revision: number): void {
    if (this.#revisions.size >= KNOWN_REVISIONS) this.#revisions.clear();
    this.#revisions.set(place, revision);
  }
}

/** Of one that is not known any more, the revision is read. */
const KNOWN_REVISIONS = 65_536;

const folderOf = ({ type, shard }: ShardKey) => `${PREFIX}${type}/${shard}/`;
const fenceKey = (key: ShardKey) => `${folderOf(key)}epoch`;
/** Ids may be longer than keys, and have any characters. */
const digestOf = (id: string) => createHash('sha256').update(id).digest('base64url');
const stateKey = (key: ShardKey, id: string) => `${folderOf(key)}states/${digestOf(id)}`;
const idKey = (key: ShardKey, id: string) => `${folderOf(key)}ids/${digestOf(id)}`;

function fenceOf(entry: Entry | undefined): Fence {
  if (entry === undefined) return { epoch: 0, revision: 0 };
  const epoch = Number(Buffer.from(entry.value).toString());
  if (Number.isSafeInteger(epoch) && epoch >= 0) return { epoch, revision: entry.revision };
  const message = `the store has no epoch at ${entry.key}`;
  throw new FlotillaError('journal_corrupt', message, { details: { key: entry.key } });
}
