// A record store of one process, for tests of what keeps records.
import type { Compare, Entry, RecordStore, SwapResult, Write } from '../../src/store/index.ts';

export class MemoryStore implements RecordStore {
  readonly entries = new Map<string, Entry>();
  #revision = 0;
  #epoch = 0;

  async get(key: string): Promise<Entry | undefined> {
    return this.entries.get(key);
  }

  async list(prefix: string): Promise<Entry[]> {
    return [...this.entries.values()].filter(({ key }) => key.startsWith(prefix));
  }

  async compareAndSwap(
    compares: readonly Compare[],
    writes: readonly Write[],
  ): Promise<SwapResult> {
    const holds = ({ key, revision }: Compare) =>
      (this.entries.get(key)?.revision ?? 0) === revision;
    if (!compares.every(holds)) return { ok: false, revision: this.#revision };
    this.#revision++;
    for (const write of writes) {
      if ('delete' in write) this.entries.delete(write.delete);
      else {
        const { put: key, value } = write;
        this.entries.set(key, { key, value, revision: this.#revision });
      }
    }
    return { ok: true, revision: this.#revision };
  }

  async epoch(): Promise<number> {
    return ++this.#epoch;
  }
}
