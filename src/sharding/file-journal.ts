// A journal on this machine's disk: all shards in one file, so that all who wait share one flush.
// The last state of each entity counts; what is outdated is left out when the file is written anew.
import { rm } from 'node:fs/promises';
import { defined, FlotillaError } from '../core/index.ts';
import { EpochFence } from '../store/index.ts';
import { JOURNAL_DEFAULTS } from './defaults.ts';
import { encodeRecord, JournalLog } from './journal-log.ts';
import type { Logger } from '../core/index.ts';
import type { Journal, ShardKey } from './journal.ts';
import type { JournalRecord, Place } from './journal-log.ts';

interface KeptShard {
  readonly type: string;
  readonly shard: number;
  readonly fence: EpochFence;
  readonly states: Map<string, KeptState>;
}

/** On disk, or still on its way there: then a reader gets what will be there. */
interface KeptState {
  place: Place | undefined;
  pending: Uint8Array | undefined;
  /** Counts its appends. */
  version: number;
}

interface Waiting {
  readonly bytes: Uint8Array;
  readonly stateAt: number;
  readonly state: KeptState | undefined;
  readonly version: number;
  resolve(): void;
  reject(error: unknown): void;
}

export interface FileJournalOptions {
  /** The file is written anew when more of it than this is outdated, and more than half. */
  readonly compactBytes?: number;
}

const NO_STATE = new Uint8Array(0);

export class FileJournal implements Journal {
  readonly #shards: Map<string, KeptShard>;
  readonly #log: Logger;
  readonly #compactBytes: number;
  #file: JournalLog;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #broken: unknown;
  /** Bytes of records that still count. */
  #liveBytes = 0;

  private constructor(
    file: JournalLog,
    shards: Map<string, KeptShard>,
    { log, compactBytes }: { log: Logger; compactBytes: number },
  ) {
    this.#file = file;
    this.#shards = shards;
    this.#log = log;
    this.#compactBytes = compactBytes;
    for (const { states } of shards.values()) {
      for (const { place } of states.values()) this.#liveBytes += place?.recordBytes ?? 0;
    }
  }

  /** Opens the journal at `file`. Errors: `journal_corrupt`. */
  static async open(
    file: string,
    { log }: { log: Logger },
    options: FileJournalOptions = {},
  ): Promise<FileJournal> {
    const { compactBytes = JOURNAL_DEFAULTS.compactBytes } = options;
    const shards = new Map<string, KeptShard>();
    await rm(`${file}.new`, { force: true });
    const opened = await JournalLog.open(file, (record, place) => {
      const kept = shardOf(shards, record);
      if (record.epoch >= kept.fence.current) kept.fence.admit(record.epoch);
      if (record.id !== '') kept.states.set(record.id, { place, pending: undefined, version: 0 });
    });
    return new FileJournal(opened, shards, { log, compactBytes });
  }

  async open(key: ShardKey): Promise<readonly string[]> {
    const kept = shardOf(this.#shards, key);
    const known = kept.fence.current;
    kept.fence.admit(key.epoch);
    // On disk before anybody relies on it: a restart must not let an earlier owner in again.
    if (key.epoch > known) await this.#write({ ...key, id: '', state: NO_STATE }, undefined);
    return [...kept.states.keys()];
  }

  async load(key: ShardKey, id: string): Promise<Uint8Array | undefined> {
    const kept = shardOf(this.#shards, key);
    kept.fence.admit(key.epoch);
    const state = kept.states.get(id);
    if (state === undefined) return undefined;
    if (state.pending !== undefined) return state.pending;
    return this.#file.read(defined(state.place, 'what is not pending is in the file'));
  }

  append(key: ShardKey, id: string, state: Uint8Array): Promise<void> {
    const kept = shardOf(this.#shards, key);
    try {
      kept.fence.admit(key.epoch);
      if (this.#broken !== undefined) throw this.#broken;
    } catch (error) {
      return Promise.reject(error);
    }
    let entry = kept.states.get(id);
    if (entry === undefined) {
      entry = { place: undefined, pending: state, version: 0 };
      kept.states.set(id, entry);
    }
    entry.version++;
    entry.pending = state;
    return this.#write({ ...key, id, state }, entry);
  }

  /** Waits for what is being written, and closes the file. */
  async close(): Promise<void> {
    await this.#writing;
    this.#broken ??= closed();
    await this.#file.close();
  }

  #write(record: JournalRecord, state: KeptState | undefined): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      const version = state?.version ?? 0;
      this.#waiting.push({ ...encodeRecord(record), state, version, resolve, reject });
      this.#writing ??= this.#run();
    });
  }

  /** Writes in turns: all that came during one flush share the next. */
  async #run(): Promise<void> {
    // Those of the same tick belong together.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0 && this.#broken === undefined) {
      const batch = this.#waiting;
      this.#waiting = [];
      await this.#flush(batch);
    }
    this.#writing = undefined;
  }

  async #flush(batch: readonly Waiting[]): Promise<void> {
    let at = this.#file.size;
    try {
      await this.#file.append(Buffer.concat(batch.map(({ bytes }) => bytes)));
    } catch (error) {
      // What is on disk now nobody knows: until it was read again, nothing can be promised.
      this.#broken = error;
      this.#log.error({ err: error, file: this.#file.file }, 'the journal cannot be written');
      for (const { reject } of [...batch, ...this.#waiting.splice(0)]) reject(error);
      return;
    }
    for (const { bytes, stateAt, state, version, resolve } of batch) {
      if (state !== undefined) {
        this.#liveBytes += bytes.length - (state.place?.recordBytes ?? 0);
        const length = bytes.length - stateAt;
        state.place = { at: at + stateAt, length, recordBytes: bytes.length };
        if (state.version === version) state.pending = undefined;
      }
      at += bytes.length;
      resolve();
    }
    const garbage = this.#file.size - this.#liveBytes;
    if (garbage > this.#compactBytes && garbage > this.#liveBytes) await this.#compact();
  }

  /** Writes the file anew with what counts. A failure leaves the old one. */
  async #compact(): Promise<void> {
    const name = `${this.#file.file}.new`;
    try {
      await rm(name, { force: true });
      const fresh = await JournalLog.open(name, () => {});
      const places = new Map<KeptState, Place>();
      let pieces: Uint8Array[] = [];
      let bytes = 0;
      const put = async (record: JournalRecord, state?: KeptState) => {
        const encoded = encodeRecord(record);
        if (state !== undefined) {
          const at = fresh.size + bytes + encoded.stateAt;
          const recordBytes = encoded.bytes.length;
          places.set(state, { at, length: record.state.length, recordBytes });
        }
        pieces.push(encoded.bytes);
        bytes += encoded.bytes.length;
        if (bytes < JOURNAL_DEFAULTS.compactPartBytes) return;
        await fresh.append(Buffer.concat(pieces));
        pieces = [];
        bytes = 0;
      };
      for (const { type, shard, fence, states } of this.#shards.values()) {
        const epoch = fence.current;
        await put({ type, shard, epoch, id: '', state: NO_STATE });
        for (const [id, state] of states) {
          if (state.place === undefined) continue;
          await put({ type, shard, epoch, id, state: await this.#file.read(state.place) }, state);
        }
      }
      if (bytes > 0) await fresh.append(Buffer.concat(pieces));
      const old = this.#file;
      this.#file = await fresh.replace(old);
      // Nothing was written meanwhile: what came waits for this to be done.
      for (const [state, place] of places) state.place = place;
      this.#liveBytes = this.#file.size;
      // After those who still read from it.
      await old.close();
    } catch (error) {
      this.#log.warn({ err: error }, 'the journal was not compacted');
    }
  }
}

function shardOf(
  shards: Map<string, KeptShard>,
  { type, shard }: Pick<ShardKey, 'type' | 'shard'>,
): KeptShard {
  const name = `${type}/${shard}`;
  let kept = shards.get(name);
  if (kept === undefined) {
    kept = { type, shard, fence: new EpochFence(), states: new Map() };
    shards.set(name, kept);
  }
  return kept;
}

function closed(): FlotillaError {
  return new FlotillaError('queue_closed', 'the journal is closed');
}
