// The file of a journal: records one after the other, whole or not at all. What they mean and how
// many wait for one write is `FileJournal`'s.
import { open, rename } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { FlotillaError } from '../core/index.ts';
import type { FileHandle } from 'node:fs/promises';

/** One record. Without a state it only raises the epoch. */
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
  /** Of the whole record. */
  readonly recordBytes: number;
}

/** `[payload bytes u32][CRC-32 of the payload u32]`, little-endian, before each payload. */
const HEAD_BYTES = 8;
/** `[shard u32][epoch f64][type bytes u8][id bytes u16]`, then type, id and state. */
const FIELDS_BYTES = 15;
const READ_BYTES = 1024 * 1024;
/** A length beyond it is damage. */
const MAX_RECORD_BYTES = 64 * 1024 * 1024;

export function encodeRecord(record: JournalRecord): { bytes: Uint8Array; stateAt: number } {
  const type = Buffer.from(record.type);
  const id = Buffer.from(record.id);
  const stateAt = HEAD_BYTES + FIELDS_BYTES + type.length + id.length;
  const bytes = Buffer.allocUnsafe(stateAt + record.state.length);
  bytes.writeUInt32LE(bytes.length - HEAD_BYTES, 0);
  bytes.writeUInt32LE(record.shard, 8);
  bytes.writeDoubleLE(record.epoch, 12);
  bytes.writeUInt8(type.length, 20);
  bytes.writeUInt16LE(id.length, 21);
  type.copy(bytes, HEAD_BYTES + FIELDS_BYTES);
  id.copy(bytes, HEAD_BYTES + FIELDS_BYTES + type.length);
  bytes.set(record.state, stateAt);
  bytes.writeUInt32LE(crc32(bytes.subarray(HEAD_BYTES)), 4);
  return { bytes, stateAt };
}

/** The record whose payload this is, and where its state begins in it. */
function decodePayload(payload: Buffer): { record: JournalRecord; stateAt: number } | undefined {
  if (payload.length < FIELDS_BYTES) return undefined;
  const idAt = FIELDS_BYTES + payload.readUInt8(12);
  const stateAt = idAt + payload.readUInt16LE(13);
  if (stateAt > payload.length) return undefined;
  const record = {
    type: payload.toString('utf8', FIELDS_BYTES, idAt),
    shard: payload.readUInt32LE(0),
    epoch: payload.readDoubleLE(4),
    id: payload.toString('utf8', idAt, stateAt),
    state: payload.subarray(stateAt),
  };
  return { record, stateAt };
}

export class JournalLog {
  readonly file: string;
  readonly #handle: FileHandle;
  /** Bytes that are whole records. */
  size: number;

  private constructor(file: string, handle: FileHandle, size: number) {
    this.file = file;
    this.#handle = handle;
    this.size = size;
  }

  /**
   * Reads what is there and tells each record. What was being written when a machine failed is cut
   * off; damage before the end is not repaired. Errors: `journal_corrupt`.
   */
  static async open(
    file: string,
    onRecord: (record: JournalRecord, state: Place) => void,
  ): Promise<JournalLog> {
    const handle = await open(file, 'a+', 0o600).then(async (made) => {
      await made.close();
      return open(file, 'r+');
    });
    try {
      const { size: fileBytes } = await handle.stat();
      const size = await readRecords(handle, { file, fileBytes }, onRecord);
      if (size < fileBytes) await handle.truncate(size);
      return new JournalLog(file, handle, size);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Appends whole records and waits for the disk. */
  async append(bytes: Uint8Array): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, done, undefined, this.size + done);
      done += bytesWritten;
    }
    await this.#handle.datasync();
    this.size += bytes.length;
  }

  async read({ at, length }: Place): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    const { bytesRead } = await this.#handle.read(bytes, 0, length, at);
    if (bytesRead === length) return bytes;
    throw corrupt(this.file, at, 'it ends early');
  }

  /** Takes the place of `other`'s file, on disk when it resolves; `other` is still to be closed. */
  async replace(other: JournalLog): Promise<JournalLog> {
    await rename(this.file, other.file);
    const folder = await open(path.dirname(other.file), 'r');
    await folder.sync().finally(() => folder.close());
    return new JournalLog(other.file, this.#handle, this.size);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** The bytes of all whole records. */
async function readRecords(
  handle: FileHandle,
  { file, fileBytes }: { file: string; fileBytes: number },
  onRecord: (record: JournalRecord, state: Place) => void,
): Promise<number> {
  let buffer: Buffer = Buffer.alloc(0);
  /** Where the buffer begins in the file. */
  let base = 0;
  const fill = async (bytes: number) => {
    while (buffer.length < bytes) {
      const at = base + buffer.length;
      const chunk = Buffer.allocUnsafe(Math.min(Math.max(READ_BYTES, bytes), fileBytes - at));
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0) return false;
      buffer = Buffer.concat([buffer, chunk.subarray(0, bytesRead)]);
    }
    return true;
  };
  for (;;) {
    if (!(await fill(HEAD_BYTES))) return base;
    const length = buffer.readUInt32LE(0);
    const whole = length <= MAX_RECORD_BYTES && (await fill(HEAD_BYTES + length));
    if (!whole) {
      if (length > MAX_RECORD_BYTES) throw corrupt(file, base, `a record of ${length} bytes`);
      return base;
    }
    const payload = Buffer.from(buffer.subarray(HEAD_BYTES, HEAD_BYTES + length));
    const end = base + HEAD_BYTES + length;
    const decoded = decodePayload(payload);
    if (decoded === undefined || crc32(payload) !== buffer.readUInt32LE(4)) {
      if (end === fileBytes) return base;
      throw corrupt(file, base, 'its checksum differs');
    }
    const { record, stateAt } = decoded;
    const place = { at: base + HEAD_BYTES + stateAt, length: length - stateAt };
    onRecord(record, { ...place, recordBytes: HEAD_BYTES + length });
    buffer = buffer.subarray(HEAD_BYTES + length);
    base = end;
  }
}

function corrupt(file: string, at: number, reason: string): FlotillaError {
  const message = `the journal ${file} is damaged at byte ${at}: ${reason}`;
  return new FlotillaError('journal_corrupt', message, { details: { file, at } });
}
