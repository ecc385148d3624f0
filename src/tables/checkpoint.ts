// One file with all shards of one table on one node. It is written beside the old one, forced to
// disk and renamed over it, so that a reader finds either the old file or the new one, whole.
//
// Layout, little-endian: "FLOTABLE", u32 version, u32 length of the header, header (JSON), u64
// xxh64 of all that; then a section per shard: u32 shard, u32 rows, u32 bytes of all ids, u32 zero,
// u32 bytes of each id, ids (UTF-8), rows (f32), optimiser state (f32), u64 xxh64 of the section up
// to here.
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';

import { FlotillaError, messageOf } from '../core/index.ts';
import { xxh64Bytes } from '../hash/index.ts';
import { stateFloats } from './shard.ts';
import type { FileHandle } from 'node:fs/promises';
import type { HostedTable } from './hosted-table.ts';
import type { Shard } from './shard.ts';
import type { TableRecord } from './spec.ts';

const MAGIC = 'FLOTABLE';
const VERSION = 1;
const PREFIX_BYTES = 16;
const SECTION_BYTES = 16;
const CHECKSUM_BYTES = 8;
const FLOAT = 4;
const MAX_HEADER_BYTES = 1 << 20;

const headerSchema = z.object({
  name: z.string(),
  generation: z.number(),
  node: z.string(),
  dim: z.number(),
  optimiser: z.string(),
  sections: z.int().min(0),
});

/** The checkpoint of `table` in `directory`. */
export function checkpointFile(directory: string, table: string): string {
  return path.join(directory, `${table.replaceAll('/', '%2F')}.table`);
}

/** Writes all shards of `table`. Each shard is as of one moment; shards may differ by a few. */
export async function writeCheckpoint(table: HostedTable, file: string): Promise<void> {
  const temporary = `${file}.new`;
  try {
    const handle = await open(temporary, 'w', 0o600);
    try {
      const shards = [...table.shards()];
      await writeAll(handle, encodeHeader(table, shards.length));
      for (const shard of shards) {
        table.assertOpen();
        await writeAll(handle, encodeSection(shard));
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncDirectory(path.dirname(file));
  } catch (cause) {
    // The first failure is the one to report; the next checkpoint writes over what is left.
    await rm(temporary, { force: true }).catch(() => {});
    if (cause instanceof FlotillaError) throw cause;
    throw checkpointFailed(file, 'written', cause);
  }
}

/**
 * Reads the shards of `table` from `file`. False when there is no such file, or when it is of
 * another table that had the same name. Raises `checkpoint_corrupt`.
 */
export async function readCheckpoint(table: HostedTable, file: string): Promise<boolean> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return false;
    throw checkpointFailed(file, 'read', cause);
  }
  try {
    const reader = new Reader(handle, file, (await handle.stat()).size);
    const header = await readHeader(reader);
    const { name, generation, spec } = table.record;
    if (header.name !== name || header.generation !== generation) return false;
    if (header.node !== table.node || header.dim !== spec.dim) throw reader.corrupt('another node');
    if (header.optimiser !== spec.optimiser) throw reader.corrupt('another optimiser');
    const owned = new Set(table.ownedShards());
    for (let section = 0; section < header.sections; section++) {
      await readSection(reader, table, owned);
      await setImmediate();
    }
    if (reader.left > 0) throw reader.corrupt(`${reader.left} bytes too many`);
    return true;
  } catch (cause) {
    if (cause instanceof FlotillaError) throw cause;
    throw checkpointFailed(file, 'read', cause);
  } finally {
    await handle.close();
  }
}

function encodeHeader(table: HostedTable, sections: number): Uint8Array {
  const { name, generation, spec }: TableRecord = table.record;
  const { dim, optimiser } = spec;
  const header = { name, generation, node: table.node, dim, optimiser, sections };
  const json = Buffer.from(JSON.stringify(header), 'utf8');
  const bytes = Buffer.alloc(PREFIX_BYTES + json.length + CHECKSUM_BYTES);
  bytes.write(MAGIC, 'latin1');
  bytes.writeUInt32LE(VERSION, 8);
  bytes.writeUInt32LE(json.length, 12);
  json.copy(bytes, PREFIX_BYTES);
  return seal(bytes);
}

function encodeSection(shard: Shard): Uint8Array {
  const ids: Buffer[] = [];
  let idBytes = 0;
  for (let row = 0; row < shard.count; row++) {
    const id = Buffer.from(shard.idOf(row) ?? '', 'utf8');
    ids.push(id);
    idBytes += id.length;
  }
  const tableOfIds = SECTION_BYTES + 4 * ids.length;
  const bytes = Buffer.alloc(tableOfIds + idBytes + shard.dumpBytes + CHECKSUM_BYTES);
  bytes.writeUInt32LE(shard.number, 0);
  bytes.writeUInt32LE(ids.length, 4);
  bytes.writeUInt32LE(idBytes, 8);
  let offset = tableOfIds;
  for (const [row, id] of ids.entries()) {
    bytes.writeUInt32LE(id.length, SECTION_BYTES + 4 * row);
    offset += id.copy(bytes, offset);
  }
  shard.dump(bytes.subarray(offset, bytes.length - CHECKSUM_BYTES));
  return seal(bytes);
}

/** Puts the checksum of what is before it into the last eight bytes. */
function seal(bytes: Buffer): Uint8Array {
  const end = bytes.length - CHECKSUM_BYTES;
  bytes.writeBigUInt64LE(xxh64Bytes(bytes.subarray(0, end)), end);
  return bytes;
}

async function readHeader(reader: Reader): Promise<z.infer<typeof headerSchema>> {
  const prefix = await reader.read(PREFIX_BYTES);
  if (prefix.toString('latin1', 0, MAGIC.length) !== MAGIC) throw reader.corrupt('no checkpoint');
  const version = prefix.readUInt32LE(8);
  if (version !== VERSION) throw reader.corrupt(`version ${version}, known is ${VERSION}`);
  const length = prefix.readUInt32LE(12);
  if (length > MAX_HEADER_BYTES) throw reader.corrupt(`a header of ${length} bytes`);
  const rest = await reader.read(length + CHECKSUM_BYTES);
  reader.verify(Buffer.concat([prefix, rest]), 'its header');
  const parsed = headerSchema.safeParse(JSON.parse(rest.toString('utf8', 0, length)));
  if (!parsed.success) throw reader.corrupt('a header of another shape');
  return parsed.data;
}

async function readSection(reader: Reader, table: HostedTable, owned: Set<number>): Promise<void> {
  const { spec } = table.record;
  const head = await reader.read(SECTION_BYTES);
  const number = head.readUInt32LE(0);
  const rows = head.readUInt32LE(4);
  const idBytes = head.readUInt32LE(8);
  const floats = rows * (spec.dim + stateFloats(spec));
  const rest = await reader.read(4 * rows + idBytes + FLOAT * floats + CHECKSUM_BYTES);
  const section = Buffer.concat([head, rest]);
  reader.verify(section, `shard ${number}`);
  if (!owned.delete(number)) throw reader.corrupt(`shard ${number}, which is not to be here`);
  const ids: string[] = [];
  let offset = SECTION_BYTES + 4 * rows;
  for (let row = 0; row < rows; row++) {
    const end = offset + section.readUInt32LE(SECTION_BYTES + 4 * row);
    ids.push(section.toString('utf8', offset, end));
    offset = end;
  }
  const dump = section.subarray(offset, section.length - CHECKSUM_BYTES);
  if (dump.length !== FLOAT * floats) throw reader.corrupt(`ids of shard ${number} do not fit`);
  table.assertOpen();
  table.addShard(number).restore(ids, dump);
}

/** Reads a file from start to end and never takes more memory than the file has bytes left. */
class Reader {
  readonly #handle: FileHandle;
  readonly #file: string;
  left: number;

  constructor(handle: FileHandle, file: string, size: number) {
    this.#handle = handle;
    this.#file = file;
    this.left = size;
  }

  async read(bytes: number): Promise<Buffer> {
    if (bytes > this.left) throw this.corrupt(`${bytes - this.left} bytes short`);
    const buffer = Buffer.allocUnsafe(bytes);
    let filled = 0;
    while (filled < bytes) {
      const { bytesRead } = await this.#handle.read(buffer, filled, bytes - filled);
      if (bytesRead === 0) throw this.corrupt('shorter than it was');
      filled += bytesRead;
    }
    this.left -= bytes;
    return buffer;
  }

  verify(sealed: Buffer, what: string): void {
    const end = sealed.length - CHECKSUM_BYTES;
    if (sealed.readBigUInt64LE(end) !== xxh64Bytes(sealed.subarray(0, end))) {
      throw this.corrupt(`the checksum of ${what} does not match`);
    }
  }

  corrupt(what: string): FlotillaError {
    return new FlotillaError(
      'checkpoint_corrupt',
      `the checkpoint ${this.#file} is damaged or not of this table: ${what}`,
      { details: { file: this.#file } },
    );
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    written += (await handle.write(bytes, written, bytes.length - written)).bytesWritten;
  }
}

/** Makes a rename survive a loss of power. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function checkpointFailed(file: string, what: string, cause: unknown): FlotillaError {
  const message = `the checkpoint ${file} could not be ${what}: ${messageOf(cause)}`;
  return new FlotillaError('checkpoint_failed', message, { details: { file }, cause });
}
