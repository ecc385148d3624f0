// The embedded store's file: schema, opening, and the statements. What a transaction means belongs
// to embedded-store.ts; nothing else touches SQLite.
import * as fs from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { FlotillaError, messageOf } from '../core/index.ts';
import type { SQLInputValue, StatementSync } from 'node:sqlite';

/** Written to the file; a file of a newer version is refused. */
const SCHEMA_VERSION = 1;

const SCHEMA = `
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE epochs (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE leases (id TEXT PRIMARY KEY, ttl_ms REAL NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE entries (
    key TEXT PRIMARY KEY, value BLOB, revision INTEGER NOT NULL, lease TEXT
  ) STRICT;
  CREATE INDEX entries_by_lease ON entries (lease) WHERE lease IS NOT NULL;
  CREATE TABLE history (
    revision INTEGER NOT NULL, position INTEGER NOT NULL,
    type TEXT NOT NULL, key TEXT NOT NULL, value BLOB,
    PRIMARY KEY (revision, position)
  ) STRICT;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** A value of zero bytes is stored as NULL: the binding does not tell them apart. */
export interface EntryRow {
  key: string;
  value: Uint8Array | null;
  revision: number;
}

export interface HistoryRow extends EntryRow {
  type: 'put' | 'delete';
}

const STATEMENTS = {
  getEntry: 'SELECT key, value, revision FROM entries WHERE key = ?',
  listAll: 'SELECT key, value, revision FROM entries WHERE key >= ? ORDER BY key',
  listUntil: 'SELECT key, value, revision FROM entries WHERE key >= ? AND key < ? ORDER BY key',
  revisionOf: 'SELECT revision FROM entries WHERE key = ?',
  putEntry:
    'INSERT INTO entries (key, value, revision, lease) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO ' +
    'UPDATE SET value = excluded.value, revision = excluded.revision, lease = excluded.lease',
  deleteEntry: 'DELETE FROM entries WHERE key = ?',
  keysOfLease: 'SELECT key FROM entries WHERE lease = ? ORDER BY key',
  addHistory: 'INSERT INTO history (revision, position, type, key, value) VALUES (?, ?, ?, ?, ?)',
  historyFrom:
    'SELECT type, key, value, revision FROM history WHERE revision >= ? ' +
    'ORDER BY revision, position',
  historySizes:
    'SELECT revision, SUM(octet_length(key) + COALESCE(octet_length(value), 0)) AS bytes ' +
    'FROM history GROUP BY revision ORDER BY revision',
  dropHistory: 'DELETE FROM history WHERE revision <= ?',
  counter: 'SELECT value FROM counters WHERE name = ?',
  setCounter:
    'INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT (name) DO ' +
    'UPDATE SET value = excluded.value',
  nextEpoch:
    'INSERT INTO epochs (name, value) VALUES (?, 1) ON CONFLICT (name) DO ' +
    'UPDATE SET value = value + 1 RETURNING value',
  leases: 'SELECT id, ttl_ms AS ttlMs FROM leases ORDER BY id',
  addLease: 'INSERT INTO leases (id, ttl_ms) VALUES (?, ?)',
  dropLease: 'DELETE FROM leases WHERE id = ?',
} as const;

export type StatementName = keyof typeof STATEMENTS;

/** One connection, held exclusively. Errors of SQLite become `store_unavailable`. */
export class StoreDatabase {
  readonly #file: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<StatementName, StatementSync>();

  /** Opens or creates `file` (0600). Errors: `store_unavailable`, `store_corrupt`. */
  constructor(file: string) {
    this.#file = file;
    try {
      // SQLite would create it readable for everyone; its side files copy the mode.
      fs.closeSync(fs.openSync(file, 'a', 0o600));
      this.#database = new DatabaseSync(file);
    } catch (error) {
      throw this.#unavailable(error);
    }
    try {
      this.#prepare();
    } catch (error) {
      this.#database.close();
      throw error instanceof FlotillaError ? error : this.#openError(error);
    }
  }

  all<Row>(name: StatementName, ...parameters: SQLInputValue[]): Row[] {
    return this.#run(() => this.#statement(name).all(...parameters) as Row[]);
  }

  get<Row>(name: StatementName, ...parameters: SQLInputValue[]): Row | undefined {
    return this.#run(() => this.#statement(name).get(...parameters) as Row | undefined);
  }

  /** Rows one by one, in constant memory. Nothing may be written before it ends. */
  *iterate<Row>(name: StatementName, ...parameters: SQLInputValue[]): Generator<Row> {
    const rows = this.#run(() => this.#statement(name).iterate(...parameters));
    yield* rows as Iterable<Row>;
  }

  run(name: StatementName, ...parameters: SQLInputValue[]): void {
    this.#run(() => this.#statement(name).run(...parameters));
  }

  /** Runs `work` in a transaction that is on disk when this returns; undone when it throws. */
  transaction<T>(work: () => T): T {
    this.#run(() => this.#database.exec('BEGIN IMMEDIATE'));
    try {
      const result = work();
      this.#run(() => this.#database.exec('COMMIT'));
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  close(): void {
    this.#database.close();
  }

  #prepare(): void {
    const database = this.#database;
    // Exclusive: the revision is kept in memory too, so a second process must not write.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL');
    database.exec('PRAGMA synchronous = FULL; BEGIN EXCLUSIVE');
    const row = database.prepare('PRAGMA user_version').get() as { user_version: number };
    if (row.user_version === 0) database.exec(SCHEMA);
    database.exec('COMMIT');
    if (row.user_version > SCHEMA_VERSION) {
      throw new FlotillaError(
        'store_corrupt',
        `${this.#file} has schema version ${row.user_version}, ` +
          `but this program knows ${SCHEMA_VERSION}`,
        { details: { file: this.#file, version: row.user_version, known: SCHEMA_VERSION } },
      );
    }
  }

  #statement(name: StatementName): StatementSync {
    let statement = this.#statements.get(name);
    if (statement === undefined) {
      statement = this.#database.prepare(STATEMENTS[name]);
      this.#statements.set(name, statement);
    }
    return statement;
  }

  #run<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.#unavailable(error);
    }
  }

  #openError(error: unknown): FlotillaError {
    const file = this.#file;
    const message = messageOf(error);
    if (/locked|busy/.test(message)) {
      return new FlotillaError('store_unavailable', `${file} is in use by another process`, {
        details: { file },
        cause: error,
      });
    }
    if (/not a database|malformed/.test(message)) {
      return new FlotillaError('store_corrupt', `${file} is no store: ${message}`, {
        details: { file },
        cause: error,
      });
    }
    return this.#unavailable(error);
  }

  #unavailable(error: unknown): FlotillaError {
    const file = this.#file;
    return new FlotillaError('store_unavailable', `the store ${file} failed: ${messageOf(error)}`, {
      details: { file },
      cause: error,
    });
  }
}
