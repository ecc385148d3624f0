// One node per data directory: two would share a name and overwrite each other's keys and tables.
// The lock is SQLite's on a file of its own, so that the system lets it go however the process
// ends.
import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { FlotillaError, messageOf } from '../core/index.ts';
import { ensureDirectory } from '../identity/index.ts';
import { layoutOf } from './config.ts';

/** Held from construction until it is disposed of or the process ends. */
export class DirectoryLock implements Disposable {
  readonly #database: DatabaseSync;

  /** Errors: `directory_in_use`, `directory_not_writable`. */
  constructor(dataDir: string) {
    ensureDirectory(dataDir);
    const { lock } = layoutOf(dataDir);
    closeSync(openSync(lock, 'a', 0o600));
    this.#database = new DatabaseSync(lock);
    try {
      // Nothing is ever written: the lock itself is all that the file is for.
      this.#database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    } catch (cause) {
      this.#database.close();
      throw lockError(dataDir, cause);
    }
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }
}

function lockError(dataDir: string, cause: unknown): FlotillaError {
  const details = { directory: path.resolve(dataDir) };
  if (/locked|busy/.test(messageOf(cause))) {
    const message = `another node runs in ${dataDir}; stop it or use another data directory`;
    return new FlotillaError('directory_in_use', message, { details, cause });
  }
  const message = `the directory ${dataDir} cannot be locked: ${messageOf(cause)}`;
  return new FlotillaError('directory_not_writable', message, { details, cause });
}
