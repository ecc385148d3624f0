// Secrets on disk: readable by the owner alone, and whole or absent after a crash. What is in the
// files belongs to the callers.
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FlotillaError } from '../core/index.ts';

const PRIVATE_FILE = 0o600;
const PRIVATE_DIRECTORY = 0o700;

/** The system's code of a failed file operation ("EACCES"), or undefined. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : undefined;
}

function notWritable(directory: string, cause: unknown): FlotillaError {
  const reason = systemCode(cause) ?? 'unknown reason';
  return new FlotillaError(
    'directory_not_writable',
    `the directory ${directory} cannot be written to (${reason})`,
    { details: { directory, reason }, cause },
  );
}

/** Runs a write in `directory`; what the system refuses becomes `directory_not_writable`. */
function writing<T>(directory: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    throw systemCode(error) === undefined ? error : notWritable(directory, error);
  }
}

/** Makes an entry of `directory` (a new or renamed file) survive a power cut. */
function syncDirectory(directory: string): void {
  const handle = fs.openSync(directory, 'r');
  try {
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
}

function writeNew(file: string, text: string): void {
  const handle = fs.openSync(file, 'wx', PRIVATE_FILE);
  try {
    fs.writeFileSync(handle, text);
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
}

function withTemporary<T>(file: string, text: string, place: (temporary: string) => T): T {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    writeNew(temporary, text);
    return place(temporary);
  } finally {
    fs.rmSync(temporary, { force: true });
  }
}

/** Not `recursive: true`: Node's own retries for ever where a file system refuses with ENOENT. */
function makeDirectories(directory: string): void {
  const make = () => {
    try {
      fs.mkdirSync(directory, { mode: PRIVATE_DIRECTORY });
    } catch (error) {
      const isThere = fs.statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true;
      if (!isThere) throw error;
    }
  };
  try {
    make();
  } catch (error) {
    const parent = path.dirname(directory);
    if (systemCode(error) !== 'ENOENT' || parent === directory) throw error;
    makeDirectories(parent);
    make();
  }
}

/**
 * Creates `directory` (and its parents) for the owner alone and proves that it can be written to.
 * An existing directory keeps its mode. Errors: `directory_not_writable`.
 */
export function ensureDirectory(directory: string): void {
  writing(directory, () => {
    makeDirectories(directory);
    fs.accessSync(directory, fs.constants.W_OK | fs.constants.X_OK);
  });
}

/** Writes or replaces `file` (0600): readers see the old text or the new, never a part. */
export function writeFileAtomic(file: string, text: string): void {
  const directory = path.dirname(file);
  writing(directory, () => {
    withTemporary(file, text, (temporary) => fs.renameSync(temporary, file));
    syncDirectory(directory);
  });
}

/** Like `writeFileAtomic`, but the first writer wins: false when `file` is there already. */
export function createFileAtomic(file: string, text: string): boolean {
  const directory = path.dirname(file);
  return writing(directory, () => {
    try {
      withTemporary(file, text, (temporary) => fs.linkSync(temporary, file));
    } catch (error) {
      if (systemCode(error) === 'EEXIST') return false;
      throw error;
    }
    syncDirectory(directory);
    return true;
  });
}

/** Creates an empty `file`: true for one caller only. False also when its folder has gone. */
export function claimFile(file: string): boolean {
  const directory = path.dirname(file);
  return writing(directory, () => {
    try {
      writeNew(file, '');
      syncDirectory(directory);
      return true;
    } catch (error) {
      if (['EEXIST', 'ENOENT'].includes(systemCode(error) ?? '')) return false;
      throw error;
    }
  });
}

/** The text of `file`, or undefined when there is none. */
export function readIfPresent(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}

/** The names in `directory`; none when it does not exist. */
export function listIfPresent(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return [];
    throw error;
  }
}
