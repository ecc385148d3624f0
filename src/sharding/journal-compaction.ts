// Writes a journal anew with what still counts, while others go on writing to the old file: it
// follows them in turns, and only the last turn holds them up. Who takes which turn is
// `FileJournal`'s.
import { assert } from '../core/index.ts';
import { JOURNAL_DEFAULTS } from './defaults.ts';
import { JournalLog, recordBytesOf } from './journal-log.ts';
import type { EpochFence } from '../store/index.ts';
import type { Disk } from './disk.ts';
import type { JournalRecord, Place } from './journal-log.ts';

export interface KeptShard {
  readonly type: string;
  readonly shard: number;
  readonly fence: EpochFence;
  readonly states: Map<string, KeptState>;
}

export interface KeptState {
  /** In the file, and on disk; undefined before the first flush. */
  place: Place | undefined;
  /** Appends of it that are on their way. */
  pending: number;
}

const NO_STATE = new Uint8Array(0);

export class JournalCompaction {
  readonly #old: JournalLog;
  readonly #disk: Disk;
  readonly #shards: ReadonlyMap<string, KeptShard>;
  /** Where states are in the new file. */
  readonly #places = new Map<KeptState, Place>();
  #fresh: JournalLog | undefined;
  /** Up to where the old file was copied. */
  #copied = 0;
  #abandoned = false;
  #running: Promise<void> | undefined;
  /** What is left is for `finish`. */
  ready = false;

  constructor(old: JournalLog, disk: Disk, shards: ReadonlyMap<string, KeptShard>) {
    this.#old = old;
    this.#disk = disk;
    this.#shards = shards;
  }

  /** All turns but the last. */
  copy(): Promise<void> {
    this.#running = this.#copy();
    return this.#running;
  }

  /** The last turn, while nobody writes: now the new file has all that the old one has. */
  async finish(): Promise<void> {
    const fresh = this.#fresh!;
    await this.#follow(fresh);
    const fences = [...this.#shards.values()].map(({ type, shard, fence }) => {
      return { type, shard, epoch: fence.current, id: '', state: NO_STATE };
    });
    if (fences.length > 0) await fresh.write(fences);
    for (const { states } of this.#shards.values()) {
      for (const state of states.values()) {
        const known = state.place === undefined || this.#places.has(state);
        assert(known, 'a compaction has every state');
      }
    }
    await fresh.sync();
  }

  /** Puts the new file in the place of the old one. An error leaves open which of them is there. */
  async replace(): Promise<JournalLog> {
    const file = await this.#fresh!.replace(this.#old);
    for (const [state, place] of this.#places) state.place = place;
    return file;
  }

  /** The old file stays. */
  async abandon(): Promise<void> {
    this.#abandoned = true;
    await this.#running?.catch(() => {});
    await this.#fresh?.close().catch(() => {});
    this.#fresh = undefined;
  }

  async #copy(): Promise<void> {
    const name = `${this.#old.file}.new`;
    await this.#disk.remove(name);
    const fresh = await JournalLog.open(name, this.#disk, () => {});
    this.#fresh = fresh;
    for (let turn = 0; turn < JOURNAL_DEFAULTS.compactTurns; turn++) {
      await this.#follow(fresh);
      if (this.#old.size - this.#copied < JOURNAL_DEFAULTS.readBytes) break;
    }
    // So that the last turn has little to bring to the disk.
    await fresh.sync();
    this.ready = !this.#abandoned;
  }

  /** Copies what counts of what was written since the last turn. */
  async #follow(fresh: JournalLog): Promise<void> {
    const to = this.#old.size;
    let records: JournalRecord[] = [];
    let states: KeptState[] = [];
    let bytes = 0;
    const flush = async () => {
      const taken = states;
      const places = await fresh.write(records);
      for (const [index, state] of taken.entries()) this.#places.set(state, places[index]!);
      records = [];
      states = [];
      bytes = 0;
    };
    while (this.#copied < to && !this.#abandoned) {
      this.#copied = await this.#old.readSome({ from: this.#copied, to }, (record, place) => {
        const kept = this.#shards.get(`${record.type}/${record.shard}`);
        const state = kept?.states.get(record.id);
        if (state?.place?.at !== place.at) return;
        records.push(record);
        states.push(state);
        bytes += recordBytesOf(record);
      });
      if (bytes >= JOURNAL_DEFAULTS.readBytes) await flush();
    }
    if (records.length > 0) await flush();
  }
}
