// The disk under a journal: what is asked of it, and this machine's. Tests put one in its place
// that fails and forgets.
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { FileHandle } from 'node:fs/promises';

export interface DiskFile {
  size(): Promise<number>;
  /** Fills `bytes` from `at` on; how many there were. */
  read(bytes: Uint8Array, at: number): Promise<number>;
  write(bytes: Uint8Array, at: number): Promise<void>;
  truncate(size: number): Promise<void>;
  /** What was written is on disk, when it resolves. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface Disk {
  /** For reading and writing; an empty file when there is none, which then is there to stay. */
  open(file: string): Promise<DiskFile>;
  /** Takes the place of a file, for good when it resolves. */
  rename(from: string, to: string): Promise<void>;
  remove(file: string): Promise<void>;
}

class NodeFile implements DiskFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  async read(bytes: Uint8Array, at: number): Promise<number> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesRead } = await this.#handle.read(bytes, done, bytes.length - done, at + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async write(bytes: Uint8Array, at: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const left = bytes.length - done;
      const { bytesWritten } = await this.#handle.write(bytes, done, left, at + done);
      done += bytesWritten;
    }
  }

  truncate(size: number): Promise<void> {
    return this.#handle.truncate(size);
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

async function syncFolderOf(file: string): Promise<void> {
  const folder = await open(path.dirname(file), 'r');
  await folder.sync().finally(() => folder.close());
}

export const nodeDisk: Disk = {
  async open(file) {
    // The first creates, the second may write anywhere.
    await (await open(file, 'a', 0o600)).close();
    const handle = await open(file, 'r+');
    await syncFolderOf(file);
    return new NodeFile(handle);
  },
  async rename(from, to) {
    await rename(from, to);
    await syncFolderOf(to);
  },
  remove: (file) => rm(file, { force: true }),
};
