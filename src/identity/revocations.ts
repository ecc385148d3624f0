// The list of revoked keys as every node has it. The CA signs it and numbers it, so that any node
// may pass it on and none can forge or shorten it. Which keys are on it is the revocation book's;
// who sends it to whom, the node's.
import { sign, verify, X509Certificate } from 'node:crypto';
import * as path from 'node:path';
import { FlotillaError } from '../core/index.ts';
import { MAX_REVOCATIONS, MAX_REVOCATIONS_CHARACTERS, REVOCATIONS_FILE } from './defaults.ts';
import { readIfPresent, writeFileAtomic } from './files.ts';
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../core/index.ts';
import type { RevokedKey } from './revocation-book.ts';

/** `text` is the list as JSON; `signature` is the CA's, base64. */
export interface SignedRevocations {
  readonly text: string;
  readonly signature: string;
}

interface RevocationList {
  /** A newer list has a higher one. */
  readonly number: number;
  readonly revoked: readonly RevokedKey[];
}

const EMPTY: RevocationList = { number: 0, revoked: [] };
const FINGERPRINT = /^[0-9a-f]{64}$/;

/** What is signed: the text behind a prefix that no certificate begins with. */
function statement(text: string): Buffer {
  return Buffer.from(`flotilla revocations 1\0${text}`);
}

export function signRevocations(list: RevocationList, caKey: KeyObject): SignedRevocations {
  const revoked = list.revoked.map(({ name, keyFingerprint, notAfterMs }) => [
    name,
    keyFingerprint,
    notAfterMs,
  ]);
  const text = JSON.stringify({ number: list.number, revoked });
  return { text, signature: sign('sha256', statement(text), caKey).toString('base64') };
}

/** Whom this node refuses. Open one per data directory. */
export class Revocations {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #caKey: KeyObject;
  readonly #listeners = new Set<() => void>();
  readonly #byKey = new Map<string, RevokedKey>();
  #list = EMPTY;
  #signed: SignedRevocations | undefined;

  /** Loads the list in `directory`; a damaged one counts as none until a peer sends it anew. */
  constructor(components: { directory: string; caPem: string; clock: Clock }) {
    this.#file = path.join(components.directory, REVOCATIONS_FILE);
    this.#clock = components.clock;
    this.#caKey = new X509Certificate(components.caPem).publicKey;
    const text = readIfPresent(this.#file);
    if (text === undefined) return;
    try {
      this.#set(this.#read(JSON.parse(text)));
    } catch {
      this.#list = EMPTY;
    }
  }

  /** What to pass on; undefined while nothing was ever revoked. */
  get signed(): SignedRevocations | undefined {
    return this.#signed;
  }

  get number(): number {
    return this.#list.number;
  }

  get keys(): readonly RevokedKey[] {
    return this.#list.revoked;
  }

  has(keyFingerprint: string): boolean {
    const key = this.#byKey.get(keyFingerprint);
    return key !== undefined && key.notAfterMs > this.#clock.wallTime();
  }

  /** Throws `certificate_revoked` for a key on the list. */
  check(remote: { readonly name: string; readonly fingerprint: string }): void {
    if (this.has(remote.fingerprint)) throw certificateRevoked(remote.name);
  }

  /**
   * Takes a list that somebody sent, when it is newer than the one here, and saves it. True when it
   * was. Errors: `revocations_invalid`, `directory_not_writable`.
   */
  accept(sent: unknown): boolean {
    const read = this.#read(sent);
    if (read.list.number <= this.#list.number) return false;
    writeFileAtomic(this.#file, `${JSON.stringify(read.signed)}\n`);
    this.#set(read);
    for (const listener of this.#listeners) listener();
    return true;
  }

  /** Calls `listener` after each newer list. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  #set({ signed, list }: { signed: SignedRevocations; list: RevocationList }): void {
    this.#signed = signed;
    this.#list = list;
    this.#byKey.clear();
    for (const key of list.revoked) this.#byKey.set(key.keyFingerprint, key);
  }

  /** The signature is checked first: nothing of a stranger's text is parsed. */
  #read(sent: unknown): { signed: SignedRevocations; list: RevocationList } {
    const { text, signature } = (sent ?? {}) as Record<string, unknown>;
    const sound =
      typeof text === 'string' &&
      text.length <= MAX_REVOCATIONS_CHARACTERS &&
      typeof signature === 'string' &&
      verify('sha256', statement(text), this.#caKey, Buffer.from(signature, 'base64'));
    if (!sound) throw invalid();
    return { signed: { text, signature }, list: parseList(text) };
  }
}

function parseList(text: string): RevocationList {
  const { number, revoked: rows } = JSON.parse(text);
  if (!Number.isSafeInteger(number) || !Array.isArray(rows) || rows.length > MAX_REVOCATIONS) {
    throw invalid();
  }
  const keys = rows.map((row: unknown): RevokedKey => {
    const [name, keyFingerprint, notAfterMs] = Array.isArray(row) ? row : [];
    if (typeof name === 'string' && FINGERPRINT.test(keyFingerprint) && notAfterMs > 0) {
      return { name, keyFingerprint, notAfterMs };
    }
    throw invalid();
  });
  return { number, revoked: keys };
}

function invalid(): FlotillaError {
  const message = 'the list of revocations is refused: this cluster’s CA did not sign it';
  return new FlotillaError('revocations_invalid', message);
}

/** What who shows a revoked key is told. */
export function certificateRevoked(name: string): FlotillaError {
  return new FlotillaError(
    'certificate_revoked',
    `the certificate of ${name} was revoked; only a new key and a new join token let it in again`,
    { details: { name } },
  );
}
