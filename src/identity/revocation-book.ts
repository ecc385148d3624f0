// The keys that the CA has revoked, on disk: a file per key, created as a whole, so that a CLI
// process may revoke while the founding node runs. How the other nodes learn of them is
// `Revocations`'.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { MAX_REVOCATIONS } from './defaults.ts';
import { createFileAtomic, ensureDirectory, listIfPresent, readIfPresent } from './files.ts';
import type { Clock } from '../core/index.ts';

/** A key that proves nothing any more. `notAfterMs`: its certificate's own end, wall clock. */
export interface RevokedKey {
  readonly name: string;
  readonly keyFingerprint: string;
  readonly notAfterMs: number;
}

const ENTRY_FILE = /^([0-9a-f]{64})\.json$/;

/** Adds and lists revoked keys; they are dropped when their certificate would have ended anyway. */
export class RevocationBook {
  readonly #folder: string;
  readonly #clock: Clock;

  constructor(components: { folder: string; clock: Clock }) {
    this.#folder = components.folder;
    this.#clock = components.clock;
  }

  /** Errors: `directory_not_writable`. */
  add({ name, keyFingerprint, notAfterMs }: RevokedKey): void {
    const kept = this.list().sort((a, b) => a.notAfterMs - b.notAfterMs);
    for (const { keyFingerprint: other } of kept.slice(0, kept.length + 1 - MAX_REVOCATIONS)) {
      fs.rmSync(this.#fileOf(other), { force: true });
    }
    ensureDirectory(this.#folder);
    const text = `${JSON.stringify({ name, keyFingerprint, notAfterMs })}\n`;
    createFileAtomic(this.#fileOf(keyFingerprint), text);
  }

  has(keyFingerprint: string): boolean {
    return this.#read(keyFingerprint) !== undefined;
  }

  /** Fingerprints of the keys in the book: enough to see whether it has changed. */
  fingerprints(): string[] {
    const names = listIfPresent(this.#folder).map((file) => ENTRY_FILE.exec(file)?.[1]);
    return names.filter((name) => name !== undefined).sort();
  }

  /** Every key, by fingerprint. Drops those whose certificate has ended. */
  list(): RevokedKey[] {
    const now = this.#clock.wallTime();
    const keys: RevokedKey[] = [];
    for (const fingerprint of this.fingerprints()) {
      const key = this.#read(fingerprint);
      if (key !== undefined && key.notAfterMs > now) keys.push(key);
      else fs.rmSync(this.#fileOf(fingerprint), { force: true });
    }
    return keys;
  }

  #fileOf(keyFingerprint: string): string {
    return path.join(this.#folder, `${keyFingerprint}.json`);
  }

  #read(keyFingerprint: string): RevokedKey | undefined {
    const text = readIfPresent(this.#fileOf(keyFingerprint));
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch {
      // What can be read of it is enough: the file's name is the key. It is kept for ever.
      return { name: 'unreadable', keyFingerprint, notAfterMs: Number.MAX_SAFE_INTEGER };
    }
  }
}
