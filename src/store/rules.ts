// What may be a key, a value, a transaction: checked before anything reaches a disk or a peer.
import { FlotillaError, invalidOption } from '../core/index.ts';
import {
  MAX_KEY_BYTES,
  MAX_LEASE_TTL_MS,
  MAX_TRANSACTION_BYTES,
  MAX_TRANSACTION_PARTS,
  MAX_VALUE_BYTES,
  MIN_LEASE_TTL_MS,
} from './defaults.ts';
import type { Compare, Write } from './store.ts';

const LAST_CODE_POINT = 0x10ffff;

function isText(text: unknown): text is string {
  if (typeof text !== 'string' || Buffer.byteLength(text) > MAX_KEY_BYTES) return false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20 || unit === 0x7f) return false;
  }
  return text.isWellFormed();
}

function keyInvalid(key: unknown): FlotillaError {
  const shown = JSON.stringify(String(key).slice(0, 80));
  return new FlotillaError(
    'key_invalid',
    `a key is 1 to ${MAX_KEY_BYTES} bytes of text without control characters, but is ${shown}`,
  );
}

export function checkKey(key: string): void {
  if (key === '' || !isText(key)) throw keyInvalid(key);
}

/** A prefix is a key or empty. */
export function checkPrefix(prefix: string): void {
  if (!isText(prefix)) throw keyInvalid(prefix);
}

export function checkRevision(option: string, revision: number): void {
  if (Number.isSafeInteger(revision) && revision >= 0) return;
  throw invalidOption(option, 'a whole number from 0', revision);
}

export function checkTtl(ttlMs: number): void {
  if (ttlMs >= MIN_LEASE_TTL_MS && ttlMs <= MAX_LEASE_TTL_MS) return;
  throw invalidOption('ttlMs', `from ${MIN_LEASE_TTL_MS} to ${MAX_LEASE_TTL_MS}`, ttlMs);
}

/** The key that a write concerns. */
export function keyOf(write: Write): string {
  return 'put' in write ? write.put : write.delete;
}

/** `value_too_large`, with the limit and the actual size. */
export function tooLarge(what: string, bytes: number, limit: number): FlotillaError {
  return new FlotillaError('value_too_large', `${what} has ${bytes} bytes, over ${limit}`, {
    details: { bytes, limit },
  });
}

export function checkTransaction(compares: readonly Compare[], writes: readonly Write[]): void {
  for (const [option, parts] of Object.entries({ compares, writes })) {
    if (parts.length <= MAX_TRANSACTION_PARTS) continue;
    throw invalidOption(option, `at most ${MAX_TRANSACTION_PARTS} long`, parts.length);
  }
  for (const { key, revision } of compares) {
    checkKey(key);
    checkRevision('compare.revision', revision);
  }
  const written = new Set<string>();
  let bytes = 0;
  for (const write of writes) {
    const key = keyOf(write);
    checkKey(key);
    if (written.has(key)) throw invalidOption('writes', 'one for each key', key);
    written.add(key);
    if (!('put' in write)) continue;
    const { byteLength } = write.value;
    if (byteLength > MAX_VALUE_BYTES) {
      throw tooLarge(`the value of ${key}`, byteLength, MAX_VALUE_BYTES);
    }
    bytes += byteLength;
  }
  if (bytes > MAX_TRANSACTION_BYTES) throw tooLarge('a transaction', bytes, MAX_TRANSACTION_BYTES);
}

/**
 * The first text after all texts that start with `prefix`, in the order of UTF-8 bytes (which is
 * that of code points); undefined when there is none.
 */
export function endOfPrefix(prefix: string): string | undefined {
  const points = [...prefix];
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    const point = last.codePointAt(0)!;
    if (point === LAST_CODE_POINT) continue;
    const next = point === 0xd7ff ? 0xe000 : point + 1;
    return points.join('') + String.fromCodePoint(next);
  }
  return undefined;
}
