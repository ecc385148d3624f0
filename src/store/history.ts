// The revision counter and the changes that watches can look back on, bounded in revisions and
// bytes. It writes inside its caller's transactions.
import { FlotillaError } from '../core/index.ts';
import { HISTORY_SLACK } from './defaults.ts';
import type { HistoryRow, StoreDatabase } from './database.ts';
import type { StoreEvent } from './store.ts';
import type { Past } from './watchers.ts';

export interface PageLimits {
  readonly events: number;
  readonly bytes: number;
}

/** Where the history stands. `compacted` is the last revision that it no longer knows. */
interface Extent {
  readonly revision: number;
  readonly compacted: number;
  readonly bytes: number;
}

const EMPTY = new Uint8Array(0);

export class History {
  readonly #database: StoreDatabase;
  readonly #limits: { revisions: number; bytes: number };
  #extent: Extent = { revision: 0, compacted: 0, bytes: 0 };

  constructor(database: StoreDatabase, limits: { revisions: number; bytes: number }) {
    this.#database = database;
    this.#limits = limits;
    this.reload();
  }

  /** Takes over what is on disk: at opening, and after a transaction that was undone. */
  reload(): void {
    const counter = (name: string) =>
      this.#database.get<{ value: number }>('counter', name)?.value ?? 0;
    const bytes = this.#sizes().reduce((sum, size) => sum + size.bytes, 0);
    this.#extent = { revision: counter('revision'), compacted: counter('compacted'), bytes };
  }

  /** The current revision; 0 before the first write. */
  get revision(): number {
    return this.#extent.revision;
  }

  /** Events at `fromRevision` or later whose key starts with `prefix`. */
  read(prefix: string, fromRevision: number, limits: PageLimits): Past {
    const { revision, compacted } = this.#extent;
    if (fromRevision <= compacted && compacted > 0) {
      throw new FlotillaError(
        'revision_compacted',
        `revision ${fromRevision} is older than ${compacted + 1}, the oldest that is remembered`,
        { details: { revision: fromRevision, oldest: compacted + 1 } },
      );
    }
    const events: StoreEvent[] = [];
    let bytes = 0;
    for (const row of this.#database.iterate<HistoryRow>('historyFrom', fromRevision)) {
      if (!row.key.startsWith(prefix)) continue;
      const full = events.length >= limits.events || bytes >= limits.bytes;
      if (full && row.revision !== events.at(-1)?.revision) {
        return { events, nextRevision: row.revision };
      }
      events.push(toEvent(row));
      bytes += row.value?.byteLength ?? 0;
    }
    return { events, nextRevision: Math.max(fromRevision, revision + 1) };
  }

  /** Records the events of one transaction, inside it; no events make no revision. */
  append(events: readonly StoreEvent[]): void {
    const [first] = events;
    if (first === undefined) return;
    let { compacted, bytes } = this.#extent;
    const { revision } = first;
    events.forEach((event, position) => {
      const value = event.value?.byteLength ? event.value : null;
      this.#database.run('addHistory', revision, position, event.type, event.key, value);
      bytes += Buffer.byteLength(event.key) + (value?.byteLength ?? 0);
    });
    this.#database.run('setCounter', 'revision', revision);
    const slack = 1 + HISTORY_SLACK;
    const tooLong = revision - compacted > this.#limits.revisions * slack;
    if (tooLong || bytes > this.#limits.bytes * slack) {
      ({ compacted, bytes } = this.#compact(revision, bytes));
    }
    this.#extent = { revision, compacted, bytes };
  }

  #sizes(): { revision: number; bytes: number }[] {
    return this.#database.all('historySizes');
  }

  /** Drops the oldest revisions until both limits hold; the newest one always stays. */
  #compact(revision: number, bytes: number): { compacted: number; bytes: number } {
    let compacted = revision - this.#limits.revisions;
    let left = bytes;
    for (const size of this.#sizes()) {
      if (size.revision === revision) break;
      if (size.revision > compacted && left <= this.#limits.bytes) break;
      compacted = Math.max(compacted, size.revision);
      left -= size.bytes;
    }
    compacted = Math.max(compacted, this.#extent.compacted);
    this.#database.run('dropHistory', compacted);
    this.#database.run('setCounter', 'compacted', compacted);
    return { compacted, bytes: left };
  }
}

function toEvent({ type, key, value, revision }: HistoryRow): StoreEvent {
  if (type === 'delete') return { type, key, revision };
  return { type, key, value: value ?? EMPTY, revision };
}
