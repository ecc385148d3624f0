// The file of a journal: batches of records one after the other, each batch whole or not at all.
// What records mean and how many wait for one write is `FileJournal`'s.
//
//   batch:  [magic u32][payload bytes u32][CRC-32 of the payload, begun with its place, u32]
//   record: [state bytes u32][shard u32][epoch f64][type bytes u8][id bytes u16], type, id, state
//
// A batch is on disk before the next is written. So one that is damaged, with a whole one anywhere
// behind it, was on disk once: that is told. The last one may have been torn off by a crash while
// nobody relied on it yet: that is cut.
import { crc32 } from 'node:zlib';
import { FlotillaError, messageOf } from '../core/index.ts';
import { JOURNAL_DEFAULTS } from './defaults.ts';
import type { Disk, DiskFile } from './disk.ts';

/** One record. Without an id it only raises the epoch. */
export interface JournalRecord {
  readonly type: string;
  readonly shard: number;
  readonly epoch: number;
  readonly id: string;
  readonly state: Uint8Array;
}

/** Where the state of a record lies in the file. */
export interface Place {
  readonly at: number;
  readonly length: number;
  readonly checksum: number;
  /** Of the whole record. */
  readonly recordBytes: number;
}

export type OnRecord = (record: JournalRecord, place: Place) => void;

/** With the version of the format. */
const MAGIC_BYTES = Buffer.from('FJL1');
const MAGIC = MAGIC_BYTES.readUInt32LE();
const HEAD_BYTES = 12;
const FIELDS_BYTES = 19;
/** A length beyond it is damage: of batches and of records that have room in them. */
const MAX_BATCH_BYTES = 4 * JOURNAL_DEFAULTS.batchBytes;

interface Range {
  readonly from: number;
  readonly to: number;
  /** No batch is begun beyond so many bytes. */
  readonly maxBytes?: number;
}

export class JournalLog {
  readonly file: string;
  readonly #disk: Disk;
  readonly #handle: DiskFile;
  /** Bytes that are whole batches. */
  size: number;
  /** Bytes of a torn end that `open` has cut off. */
  readonly cutBytes: number;

  private constructor(
    { file, disk, handle }: { file: string; disk: Disk; handle: DiskFile },
    size: number,
    cutBytes: number,
  ) {
    this.file = file;
    this.#disk = disk;
    this.#handle = handle;
    this.size = size;
    this.cutBytes = cutBytes;
  }

  /** Reads what is there and tells each record. Errors: `journal_corrupt`. */
  static async open(file: string, disk: Disk, onRecord: OnRecord): Promise<JournalLog> {
    const handle = await disk.open(file);
    try {
      const fileBytes = await handle.size();
      const range = { from: 0, to: fileBytes };
      const size = await readBatches({ file, handle }, range, onRecord);
      if (size < fileBytes) {
        await checkTorn({ file, handle }, size, fileBytes);
        await handle.truncate(size);
      }
      // A process that was killed may have left what only the system's memory has.
      await handle.sync();
      return new JournalLog({ file, disk, handle }, size, fileBytes - size);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * Writes records as one batch; where their states are. Errors: `journal_unavailable` when they
   * are not in the file and it is as before; any other leaves open what is.
   */
  async write(records: readonly JournalRecord[]): Promise<Place[]> {
    const { bytes, places } = encodeBatch(records, this.size);
    try {
      await this.#handle.write(bytes, this.size);
    } catch (error) {
      await this.#handle.truncate(this.size);
      const message = `the journal ${this.file} cannot be written: ${messageOf(error)}`;
      throw new FlotillaError('journal_unavailable', message, { cause: error });
    }
    this.size += bytes.length;
    return places;
  }

  /** Waits for the disk. After an error nobody knows what is on it. */
  sync(): Promise<void> {
    return this.#handle.sync();
  }

  /** Errors: `journal_corrupt`. */
  async read({ at, length, checksum }: Place): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    const found = await this.#handle.read(bytes, at);
    if (found === length && crc32(bytes) === checksum) return bytes;
    throw corrupt(this.file, at, 'a state differs from what was written');
  }

  /**
   * The records of some whole batches at the beginning of `range`; where they end. Errors:
   * `journal_corrupt`.
   */
  async readSome(range: Range, onRecord: OnRecord): Promise<number> {
    const { file } = this;
    const some = { ...range, maxBytes: JOURNAL_DEFAULTS.readBytes };
    const end = await readBatches({ file, handle: this.#handle }, some, onRecord);
    if (end > range.from) return end;
    throw corrupt(file, end, 'a batch differs from what was written');
  }

  /**
   * Takes the place of `other`'s file, for good when it resolves; `other` is still to be closed.
   * After an error nobody knows which of them is there.
   */
  async replace(other: JournalLog): Promise<JournalLog> {
    await this.#disk.rename(this.file, other.file);
    const parts = { file: other.file, disk: this.#disk, handle: this.#handle };
    return new JournalLog(parts, this.size, 0);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** Bytes of a record beside its state. */
function bytesBeside({ type, id }: Pick<JournalRecord, 'type' | 'id'>): number {
  return FIELDS_BYTES + Buffer.byteLength(type) + Buffer.byteLength(id);
}

export function recordBytesOf(record: JournalRecord): number {
  return bytesBeside(record) + record.state.length;
}

function encodeBatch(
  records: readonly JournalRecord[],
  batchAt: number,
): { bytes: Buffer; places: Place[] } {
  let length = 0;
  for (const record of records) length += recordBytesOf(record);
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + length);
  const places: Place[] = [];
  let at = HEAD_BYTES;
  for (const record of records) {
    const { type, shard, epoch, id, state } = record;
    const stateAt = at + bytesBeside(record);
    bytes.writeUInt32LE(state.length, at);
    bytes.writeUInt32LE(shard, at + 4);
    bytes.writeDoubleLE(epoch, at + 8);
    const typeBytes = bytes.write(type, at + FIELDS_BYTES);
    bytes.writeUInt8(typeBytes, at + 16);
    bytes.writeUInt16LE(bytes.write(id, at + FIELDS_BYTES + typeBytes), at + 17);
    bytes.set(state, stateAt);
    const recordBytes = stateAt + state.length - at;
    const place = { at: batchAt + stateAt, length: state.length, checksum: crc32(state) };
    places.push({ ...place, recordBytes });
    at += recordBytes;
  }
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(length, 4);
  bytes.writeUInt32LE(checksumOf(bytes.subarray(HEAD_BYTES), batchAt), 8);
  return { bytes, places };
}

/** A batch counts at its place only: a copy of one inside of a state is none. */
function checksumOf(payload: Uint8Array, batchAt: number): number {
  return crc32(payload, (batchAt ^ (batchAt / 2 ** 32)) >>> 0);
}

interface OpenFile {
  readonly file: string;
  readonly handle: DiskFile;
}

/** Tells the records of whole batches; where the first that is not whole begins. */
async function readBatches(
  { file, handle }: OpenFile,
  { from, to, maxBytes = Infinity }: Range,
  onRecord: OnRecord,
): Promise<number> {
  let buffer: Buffer = Buffer.alloc(0);
  /** Where the buffer begins in the file. */
  let base = from;
  const fill = async (bytes: number) => {
    if (buffer.length >= bytes) return true;
    const wanted = Math.min(Math.max(JOURNAL_DEFAULTS.readBytes, bytes), to - base);
    if (wanted < bytes) return false;
    const fresh = Buffer.allocUnsafe(wanted);
    buffer.copy(fresh);
    const known = buffer.length;
    const found = await handle.read(fresh.subarray(known), base + known);
    buffer = fresh.subarray(0, known + found);
    return buffer.length >= bytes;
  };
  while (base < to && base - from < maxBytes) {
    if (!(await fill(HEAD_BYTES))) return base;
    const length = buffer.readUInt32LE(4);
    if (buffer.readUInt32LE(0) !== MAGIC || length > MAX_BATCH_BYTES) return base;
    if (!(await fill(HEAD_BYTES + length))) return base;
    const payload = buffer.subarray(HEAD_BYTES, HEAD_BYTES + length);
    if (checksumOf(payload, base) !== buffer.readUInt32LE(8)) return base;
    if (!decodeBatch(payload, base + HEAD_BYTES, onRecord)) {
      throw corrupt(file, base, 'a batch has records that are none');
    }
    buffer = buffer.subarray(HEAD_BYTES + length);
    base += HEAD_BYTES + length;
  }
  return base;
}

/** False when it was not written by this program. */
function decodeBatch(payload: Buffer, payloadAt: number, onRecord: OnRecord): boolean {
  let at = 0;
  while (at < payload.length) {
    if (at + FIELDS_BYTES > payload.length) return false;
    const typeAt = at + FIELDS_BYTES;
    const idAt = typeAt + payload.readUInt8(at + 16);
    const stateAt = idAt + payload.readUInt16LE(at + 17);
    const end = stateAt + payload.readUInt32LE(at);
    if (end > payload.length) return false;
    const state = payload.subarray(stateAt, end);
    const record = {
      type: payload.toString('utf8', typeAt, idAt),
      shard: payload.readUInt32LE(at + 4),
      epoch: payload.readDoubleLE(at + 8),
      id: payload.toString('utf8', idAt, stateAt),
      state,
    };
    const place = { at: payloadAt + stateAt, length: state.length, checksum: crc32(state) };
    onRecord(record, { ...place, recordBytes: end - at });
    at = end;
  }
  return true;
}

/** Whether what begins at `at` can be a batch that was being written. Errors: `journal_corrupt`. */
async function checkTorn({ file, handle }: OpenFile, at: number, fileBytes: number): Promise<void> {
  if (fileBytes - at > HEAD_BYTES + MAX_BATCH_BYTES) {
    throw corrupt(file, at, 'much follows that was on disk once');
  }
  const rest = Buffer.alloc(fileBytes - at);
  await handle.read(rest, at);
  for (let from = rest.indexOf(MAGIC_BYTES, 1); from > 0; ) {
    if (from + HEAD_BYTES <= rest.length) {
      const end = from + HEAD_BYTES + rest.readUInt32LE(from + 4);
      const payload = rest.subarray(from + HEAD_BYTES, end);
      const isWhole = end <= rest.length && payload.length > 0;
      if (isWhole && checksumOf(payload, at + from) === rest.readUInt32LE(from + 8)) {
        throw corrupt(file, at, `a whole batch follows at byte ${at + from}`);
      }
    }
    from = rest.indexOf(MAGIC_BYTES, from + 1);
  }
}

function corrupt(file: string, at: number, reason: string): FlotillaError {
  const message = `the journal ${file} is damaged at byte ${at}: ${reason}`;
  return new FlotillaError('journal_corrupt', message, { details: { file, at } });
}
