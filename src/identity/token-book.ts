// The join tokens of a cluster, on disk: a folder per token with a file that describes it and an
// empty file per use. Exclusive creation takes a use, so that a CLI process may create a token
// while nodes redeem, and two who race for the last use cannot both have it.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FlotillaError, invalidOption, sleep } from '../core/index.ts';
import {
  MAX_TOKEN_TTL_MS,
  MAX_TOKEN_USES,
  TOKEN_ID_BYTES,
  TOKEN_SECRET_BYTES,
  TOKEN_TTL_MS,
  TOKEN_USES,
} from './defaults.ts';
import { claimFile, ensureDirectory, listIfPresent, readIfPresent } from './files.ts';
import { writeFileAtomic } from './files.ts';
import { isTokenId } from './token.ts';
import type { Clock } from '../core/index.ts';

export interface TokenOptions {
  /** How long it can be redeemed. @default 1 hour; at most 30 days */
  readonly ttlMs?: number;
  /** How many nodes may join with it. @default 1; at most 10 000 */
  readonly uses?: number;
  /** May take over a live member's name, never that of the CA's holder. @default false */
  readonly replace?: boolean;
}

/** What may be shown of a token. Times are wall-clock milliseconds. */
export interface TokenInfo {
  readonly id: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly uses: number;
  readonly used: number;
  readonly replace: boolean;
}

interface TokenRecord {
  readonly secretHash: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly uses: number;
  /** Absent in records of earlier versions. */
  readonly replace?: boolean;
}

/** Throws what a token that is in order is to be refused with; nothing of it is used up then. */
export type TokenCheck = (token: Pick<TokenInfo, 'replace'>) => void;

const RECORD_FILE = 'token.json';
const USE_PREFIX = 'use-';

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function checkRange(option: string, value: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return;
  throw invalidOption(option, `a whole number from 1 to ${most}`, value);
}

/** Creates, redeems, lists and revokes the tokens in one folder. */
export class TokenBook {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #refusalDelayMs: number;

  constructor(components: { folder: string; clock: Clock }, options: { refusalDelayMs: number }) {
    this.#folder = components.folder;
    this.#clock = components.clock;
    this.#refusalDelayMs = options.refusalDelayMs;
  }

  /** Makes a token and forgets its secret. Sweeps tokens that have expired. */
  create(options: TokenOptions = {}): { id: string; secret: string } {
    const { ttlMs = TOKEN_TTL_MS, uses = TOKEN_USES, replace = false } = options;
    checkRange('ttlMs', ttlMs, MAX_TOKEN_TTL_MS);
    checkRange('uses', uses, MAX_TOKEN_USES);
    const now = this.#clock.wallTime();
    for (const token of this.list()) {
      if (token.expiresAtMs <= now) this.revoke(token.id);
    }
    const id = randomBytes(TOKEN_ID_BYTES).toString('hex');
    const secret = randomBytes(TOKEN_SECRET_BYTES).toString('base64url');
    const record: TokenRecord = {
      secretHash: hashOf(secret).toString('hex'),
      createdAtMs: now,
      expiresAtMs: now + ttlMs,
      uses,
      replace,
    };
    ensureDirectory(path.join(this.#folder, id));
    writeFileAtomic(path.join(this.#folder, id, RECORD_FILE), JSON.stringify(record));
    return { id, secret };
  }

  /**
   * Takes one use of a token. A token that is wrong, expired, used up, revoked or unknown is
   * refused with one error, one message, and at one time after the call. `check` is asked before
   * the use is taken. Errors: `token_refused`, and those of `check`.
   */
  async redeem(id: string, secret: string, check: TokenCheck = () => {}): Promise<void> {
    const answerAtMs = this.#clock.now() + this.#refusalDelayMs;
    if (this.#take(id, secret, check)) return;
    await sleep(this.#clock, Math.max(0, answerAtMs - this.#clock.now()));
    throw new FlotillaError(
      'token_refused',
      'the join token was refused: it is wrong, expired or already used',
    );
  }

  list(): TokenInfo[] {
    const tokens: TokenInfo[] = [];
    for (const id of listIfPresent(this.#folder)) {
      const record = this.#read(id);
      if (record === undefined) continue;
      const { createdAtMs, expiresAtMs, uses, replace = false } = record;
      tokens.push({ id, createdAtMs, expiresAtMs, uses, used: this.#used(id), replace });
    }
    return tokens.sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1));
  }

  /** Ends a token. False when there is none with this id. */
  revoke(id: string): boolean {
    if (this.#read(id) === undefined) return false;
    // The record goes first: from then on nobody can redeem, whatever happens to the rest.
    fs.rmSync(path.join(this.#folder, id, RECORD_FILE), { force: true });
    fs.rmSync(path.join(this.#folder, id), { recursive: true, force: true });
    return true;
  }

  #take(id: string, secret: string, check: TokenCheck): boolean {
    const record = this.#read(id);
    const expected = Buffer.alloc(32);
    if (record !== undefined) expected.set(Buffer.from(record.secretHash, 'hex'));
    const matches = timingSafeEqual(hashOf(String(secret)), expected);
    if (record === undefined || !matches || this.#clock.wallTime() >= record.expiresAtMs) {
      return false;
    }
    if (this.#used(id) < record.uses) check({ replace: record.replace === true });
    for (let use = this.#used(id); use < record.uses; use++) {
      if (claimFile(path.join(this.#folder, id, `${USE_PREFIX}${use}`))) return true;
    }
    return false;
  }

  #used(id: string): number {
    const files = listIfPresent(path.join(this.#folder, id));
    return files.filter((file) => file.startsWith(USE_PREFIX)).length;
  }

  /** A record that cannot be read is no token: it can only refuse. */
  #read(id: string): TokenRecord | undefined {
    if (!isTokenId(id)) return undefined;
    const text = readIfPresent(path.join(this.#folder, id, RECORD_FILE));
    if (text === undefined) return undefined;
    try {
      const record: TokenRecord = JSON.parse(text);
      const { secretHash, createdAtMs, expiresAtMs, uses } = record;
      const whole =
        /^[0-9a-f]{64}$/.test(secretHash) &&
        [createdAtMs, expiresAtMs, uses].every((value) => Number.isFinite(value));
      return whole ? record : undefined;
    } catch {
      return undefined;
    }
  }
}
