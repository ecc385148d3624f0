// A journal on this machine's disk: all shards in one file, so that all who wait share one flush.
// The last state of each entity counts. What is outdated is left out when the file is written anew,
// beside those who go on writing (`JournalCompaction`).
import { FlotillaError, hasCode, messageOf } from '../core/index.ts';
import { EpochFence } from '../store/index.ts';
import { JOURNAL_DEFAULTS } from './defaults.ts';
import { nodeDisk } from './disk.ts';
import { stateTooLarge } from './errors.ts';
import { checkId } from './extractor.ts';
import { checkShardKey } from './journal.ts';
import { JournalCompaction } from './journal-compaction.ts';
import { JournalLog, recordBytesOf } from './journal-log.ts';
import type { Logger } from '../core/index.ts';
import type { Disk } from './disk.ts';
import type { Journal, ShardKey } from './journal.ts';
import type { KeptShard } from './journal-compaction.ts';
import type { JournalRecord } from './journal-log.ts';

/** Waits for its record to be on disk, or, without one, for what came before it. */
interface Waiting {
  readonly record: JournalRecord | undefined;
  readonly kept: KeptShard;
  resolve(): void;
  reject(error: unknown): void;
}

export interface FileJournalComponents {
  readonly log: Logger;
  readonly disk?: Disk;
}

export interface FileJournalOptions {
  /** The file is written anew when more of it than this is outdated, and more than half. */
  readonly compactBytes?: number;
  readonly maxStateBytes?: number;
}

const NO_STATE = new Uint8Array(0);

export class FileJournal implements Journal {
  readonly #shards: Map<string, KeptShard>;
  readonly #log: Logger;
  readonly #disk: Disk;
  readonly #options: Required<FileJournalOptions>;
  #file: JournalLog;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #compaction: JournalCompaction | undefined;
  #broken: FlotillaError | undefined;
  /** Bytes of records that still count. */
  #liveBytes = 0;

  private constructor(
    file: JournalLog,
    { log, disk = nodeDisk, shards }: FileJournalComponents & { shards: Map<string, KeptShard> },
    options: Required<FileJournalOptions>,
  ) {
    this.#file = file;
    this.#shards = shards;
    this.#log = log;
    this.#disk = disk;
    this.#options = options;
    this.#liveBytes = liveBytesOf(shards);
  }

  /** Opens the journal at `file`. Errors: `journal_corrupt`. */
  static async open(
    file: string,
    components: FileJournalComponents,
    options: FileJournalOptions = {},
  ): Promise<FileJournal> {
    const { log, disk = nodeDisk } = components;
    const shards = new Map<string, KeptShard>();
    // Of a compaction that did not come to its end.
    await disk.remove(`${file}.new`);
    const opened = await JournalLog.open(file, disk, (record, place) => {
      const kept = shardOf(shards, record);
      if (record.epoch >= kept.fence.current) kept.fence.admit(record.epoch);
      if (record.id !== '') kept.states.set(record.id, { place, pending: 0 });
    });
    const { cutBytes } = opened;
    if (cutBytes > 0) log.warn({ file, cutBytes }, 'the torn end of the journal was cut off');
    return new FileJournal(opened, { log, disk, shards }, { ...JOURNAL_DEFAULTS, ...options });
  }

  async open(key: ShardKey): Promise<readonly string[]> {
    const kept = shardOf(this.#shards, key);
    const known = kept.fence.current;
    kept.fence.admit(key.epoch);
    // On disk before anybody relies on it: a restart must not let an earlier owner in again.
    if (key.epoch > known) await this.#write(kept, { ...key, id: '', state: NO_STATE });
    else await this.#write(kept, undefined);
    return [...kept.states.keys()];
  }

  async load(key: ShardKey, id: string): Promise<Uint8Array | undefined> {
    const kept = shardOf(this.#shards, key);
    kept.fence.admit(key.epoch);
    // What is not on disk yet may never be: nobody is told of it before it is.
    if (kept.states.get(id)?.pending) await this.#write(kept, undefined);
    if (this.#broken !== undefined) throw this.#broken;
    const place = kept.states.get(id)?.place;
    return place === undefined ? undefined : this.#file.read(place);
  }

  append(key: ShardKey, id: string, state: Uint8Array): Promise<void> {
    let kept: KeptShard;
    try {
      kept = shardOf(this.#shards, key);
      checkId(id);
      kept.fence.admit(key.epoch);
      const { maxStateBytes } = this.#options;
      if (state.length > maxStateBytes) throw stateTooLarge(id, state.length, maxStateBytes);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#write(kept, { ...key, id, state });
  }

  /** Waits for what is being written, and closes the file. */
  async close(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    this.#broken ??= closed();
    await this.#compaction?.abandon();
    await this.#file.close();
  }

  #write(kept: KeptShard, record: JournalRecord | undefined): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    if (record !== undefined && record.id !== '') {
      const state = kept.states.get(record.id);
      if (state === undefined) kept.states.set(record.id, { place: undefined, pending: 1 });
      else state.pending++;
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ record, kept, resolve, reject });
      this.#writing ??= this.#run();
    });
  }

  /** Writes in turns: all that came during one flush share the next. */
  async #run(): Promise<void> {
    // Those of the same tick belong together.
    await new Promise(setImmediate);
    while (this.#broken === undefined) {
      if (this.#compaction?.ready === true) await this.#switch(this.#compaction);
      const batch = this.#nextBatch();
      if (batch.length === 0) break;
      await this.#flush(batch);
      this.#compactIfDue();
    }
    this.#writing = undefined;
  }

  #nextBatch(): Waiting[] {
    const waiting = this.#waiting;
    let bytes = 0;
    let count = 0;
    while (count < waiting.length && bytes < JOURNAL_DEFAULTS.batchBytes) {
      const { record } = waiting[count++]!;
      if (record !== undefined) bytes += recordBytesOf(record);
    }
    this.#waiting = waiting.slice(count);
    return waiting.slice(0, count);
  }

  async #flush(batch: readonly Waiting[]): Promise<void> {
    const written = batch.filter(({ record }) => record !== undefined);
    const records = written.map(({ record }) => record!);
    try {
      if (records.length > 0) {
        const places = await this.#file.write(records);
        await this.#file.sync();
        for (const [index, { kept, record }] of written.entries()) {
          const state = kept.states.get(record!.id);
          if (state === undefined) continue;
          const place = places[index]!;
          this.#liveBytes += place.recordBytes - (state.place?.recordBytes ?? 0);
          state.place = place;
        }
      }
    } catch (error) {
      const told = this.#failed(error);
      for (const waiting of batch) this.#end(waiting, told);
      return;
    }
    for (const waiting of batch) this.#end(waiting);
  }

  /** What those who waited are told. */
  #failed(error: unknown): FlotillaError {
    const { file } = this.#file;
    this.#log.error({ err: error, file }, 'the journal cannot be written');
    // The file is as before: the next may be luckier.
    if (hasCode(error, 'journal_unavailable')) return error;
    // What is on disk now nobody knows: until it was read again, nothing can be promised.
    const message = `the journal ${file} failed, start its node again: ${messageOf(error)}`;
    const broken = new FlotillaError('journal_unavailable', message, { cause: error });
    this.#broken = broken;
    for (const waiting of this.#waiting.splice(0)) this.#end(waiting, broken);
    return broken;
  }

  #end({ record, kept, resolve, reject }: Waiting, error?: unknown): void {
    const state = record === undefined ? undefined : kept.states.get(record.id);
    if (state !== undefined) {
      state.pending--;
      if (state.pending === 0 && state.place === undefined) kept.states.delete(record!.id);
    }
    if (error === undefined) resolve();
    else reject(error);
  }

  #compactIfDue(): void {
    const garbage = this.#file.size - this.#liveBytes;
    if (this.#broken !== undefined || this.#compaction !== undefined) return;
    if (garbage <= this.#options.compactBytes || garbage <= this.#liveBytes) return;
    const compaction = new JournalCompaction(this.#file, this.#disk, this.#shards);
    this.#compaction = compaction;
    const run = async () => {
      await compaction.copy();
      this.#writing ??= this.#run();
    };
    run().catch((error: unknown) => this.#notCompacted(error));
  }

  /** From the old file to the new one, while nobody writes. A failure leaves the old one. */
  async #switch(compaction: JournalCompaction): Promise<void> {
    const old = this.#file;
    try {
      await compaction.finish();
    } catch (error) {
      this.#notCompacted(error);
      return;
    }
    try {
      this.#file = await compaction.replace();
    } catch (error) {
      this.#failed(error);
      return;
    }
    this.#compaction = undefined;
    this.#liveBytes = liveBytesOf(this.#shards);
    // After those who still read from it.
    await old.close().catch(() => {});
  }

  #notCompacted(error: unknown): void {
    if (this.#compaction === undefined) return;
    void this.#compaction.abandon();
    this.#compaction = undefined;
    this.#log.warn({ err: error }, 'the journal was not compacted');
  }
}

function liveBytesOf(shards: ReadonlyMap<string, KeptShard>): number {
  let bytes = 0;
  for (const { states } of shards.values()) {
    for (const { place } of states.values()) bytes += place?.recordBytes ?? 0;
  }
  return bytes;
}

/** Errors: `shard_message_invalid`. */
function shardOf(shards: Map<string, KeptShard>, key: ShardKey): KeptShard {
  checkShardKey(key);
  const { type, shard } = key;
  const name = `${type}/${shard}`;
  let kept = shards.get(name);
  if (kept === undefined) {
    kept = { type, shard, fence: new EpochFence(), states: new Map() };
    shards.set(name, kept);
  }
  return kept;
}

function closed(): FlotillaError {
  return new FlotillaError('journal_unavailable', 'the journal is closed');
}
