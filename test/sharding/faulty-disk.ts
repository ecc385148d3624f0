// A disk in memory that keeps its promises and no more: when the power fails, any part of what was
// not synced may be there, a sector here and none there. It can also be full, or fail to sync.
import type { Prng } from '../../src/core/index.ts';
import type { Disk, DiskFile } from '../../src/sharding/disk.ts';

const SECTOR = 64;

type Change = { readonly at: number; readonly bytes: Uint8Array } | { readonly size: number };

class Content {
  now: Buffer;
  #synced: Buffer;
  #unsynced: Change[] = [];

  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.now = bytes;
    this.#synced = bytes;
  }

  apply(change: Change): void {
    this.now = applied(this.now, change);
    this.#unsynced.push(change);
  }

  sync(): void {
    this.#synced = this.now;
    this.#unsynced = [];
  }

  /** What is left of it after a power failure. */
  left(prng: Prng): Buffer {
    let bytes = this.#synced;
    const share = prng.next();
    for (const change of this.#unsynced) {
      if ('size' in change) {
        if (prng.next() < share) bytes = applied(bytes, change);
        continue;
      }
      for (let from = 0; from < change.bytes.length; from += SECTOR) {
        if (prng.next() >= share) continue;
        const sector = change.bytes.subarray(from, from + SECTOR);
        bytes = applied(bytes, { at: change.at + from, bytes: sector });
      }
    }
    return bytes;
  }
}

function applied(bytes: Buffer, change: Change): Buffer {
  if ('size' in change) return Buffer.from(bytes.subarray(0, change.size));
  const after = Buffer.alloc(Math.max(bytes.length, change.at + change.bytes.length));
  bytes.copy(after);
  after.set(change.bytes, change.at);
  return after;
}

export type Operation = 'open' | 'rename' | 'remove' | 'write' | 'truncate' | 'sync';

export class FaultyDisk implements Disk {
  readonly #files = new Map<string, Content>();
  /** Called before each operation that changes something; it may throw. */
  before: (operation: Operation, file: string) => void = () => {};
  /** The power fails before the so-manieth change from now; nothing settles any more. */
  changesLeft = Infinity;

  get hasFailed(): boolean {
    return this.changesLeft <= 0;
  }

  bytesOf(file: string): Buffer {
    return this.#files.get(file)?.now ?? Buffer.alloc(0);
  }

  put(file: string, bytes: Buffer): void {
    this.#files.set(file, new Content(bytes));
  }

  /** The disk as it is found afterwards. */
  afterPowerFailure(prng: Prng): FaultyDisk {
    const found = new FaultyDisk();
    for (const [name, content] of this.#files) found.put(name, content.left(prng));
    return found;
  }

  async open(file: string): Promise<DiskFile> {
    await this.#change('open', file);
    let content = this.#files.get(file);
    if (content === undefined) {
      content = new Content();
      this.#files.set(file, content);
    }
    return this.#handle(file, content);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#change('rename', from);
    this.#files.set(to, this.#files.get(from)!);
    this.#files.delete(from);
  }

  async remove(file: string): Promise<void> {
    await this.#change('remove', file);
    this.#files.delete(file);
  }

  #handle(file: string, content: Content): DiskFile {
    return {
      size: async () => content.now.length,
      read: async (bytes, at) => content.now.copy(bytes, 0, at, at + bytes.length),
      write: async (bytes, at) => {
        // Part of it may be there when it fails.
        content.apply({ at, bytes: Buffer.from(bytes) });
        await this.#change('write', file);
      },
      truncate: async (size) => {
        await this.#change('truncate', file);
        content.apply({ size });
      },
      sync: async () => {
        await this.#change('sync', file);
        content.sync();
      },
      close: async () => {},
    };
  }

  async #change(operation: Operation, file: string): Promise<void> {
    if (this.hasFailed || --this.changesLeft <= 0) await new Promise(() => {});
    this.before(operation, file);
  }
}
