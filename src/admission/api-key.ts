// An API key: the text that its holder keeps, and the record that the fleet keeps, which has no
// more than the text's digest. 32 random bytes need no slow hash: there is nothing to guess.
import { hash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { invalidOption } from '../core/index.ts';
import { KEY_LIMITS } from './defaults.ts';
import type { ClientLimits } from './admission.ts';

const { prefix, secretBytes, idBytes, nameCharacters, modelCharacters, maxLimit } = KEY_LIMITS;

const TEXT = new RegExp(`^${prefix}[\\w-]{${Math.ceil((secretBytes * 4) / 3)}}$`);

const limit = z.int().min(1).max(maxLimit).optional();

const schema = z.object({
  version: z.literal(1),
  id: z.string().regex(/^[0-9a-f]+$/),
  name: z.string(),
  /** SHA-256 of the key's text, hexadecimal. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** Wall time, milliseconds since 1970. */
  createdMs: z.number(),
  revokedMs: z.number().optional(),
  /** Those that it may use; all when absent. */
  models: z.array(z.string()).optional(),
  requestsPerMinute: limit,
  tokensPerMinute: limit,
  concurrency: limit,
});

/** A key as the store records it. */
export type ApiKeyRecord = z.output<typeof schema>;

/** What may be shown of a key. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly createdMs: number;
  /** Absent while it is good. */
  readonly revokedMs?: number | undefined;
  readonly models?: readonly string[] | undefined;
  readonly limits: Pick<ClientLimits, 'requestsPerMinute' | 'tokensPerMinute' | 'concurrency'>;
}

/** What its maker decides. Names need not be unique: a key is replaced by another of its name. */
export interface ApiKeySpec {
  /** 1 to 64 characters; for people. */
  readonly name: string;
  /** @default all */
  readonly models?: readonly string[] | undefined;
  /** @default no limit */
  readonly requestsPerMinute?: number | undefined;
  /** Tokens of prompts and answers. @default no limit */
  readonly tokensPerMinute?: number | undefined;
  /** Requests that run at once. @default no limit */
  readonly concurrency?: number | undefined;
}

/** A new key. The text is nowhere else. Errors: `invalid_option`. */
export function createApiKey(
  spec: ApiKeySpec,
  nowMs: number,
): { readonly text: string; readonly record: ApiKeyRecord } {
  checkSpec(spec);
  const { name, models, requestsPerMinute, tokensPerMinute, concurrency } = spec;
  const text = prefix + randomBytes(secretBytes).toString('base64url');
  const record: ApiKeyRecord = {
    version: 1,
    id: randomBytes(idBytes).toString('hex'),
    name,
    digest: digestOf(text),
    createdMs: nowMs,
    ...(models !== undefined && { models: [...new Set(models)] }),
    ...(requestsPerMinute !== undefined && { requestsPerMinute }),
    ...(tokensPerMinute !== undefined && { tokensPerMinute }),
    ...(concurrency !== undefined && { concurrency }),
  };
  if (encodeApiKeyRecord(record).byteLength <= KEY_LIMITS.maxRecordBytes) return { text, record };
  throw invalidOption('models', `a list of less than ${KEY_LIMITS.maxRecordBytes} bytes`, 'longer');
}

export function isApiKeyText(text: string): boolean {
  return TEXT.test(text);
}

export function digestOf(text: string): string {
  return hash('sha256', text, 'hex');
}

export function encodeApiKeyRecord(record: ApiKeyRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

/** Undefined for what is no record: such a key can only be refused. */
export function decodeApiKeyRecord(value: Uint8Array): ApiKeyRecord | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(value);
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

export function apiKeyOf(record: ApiKeyRecord): ApiKey {
  const { id, name, createdMs, revokedMs, models } = record;
  const { requestsPerMinute, tokensPerMinute, concurrency } = record;
  return {
    id,
    name,
    createdMs,
    ...(revokedMs !== undefined && { revokedMs }),
    ...(models !== undefined && { models }),
    limits: {
      ...(requestsPerMinute !== undefined && { requestsPerMinute }),
      ...(tokensPerMinute !== undefined && { tokensPerMinute }),
      ...(concurrency !== undefined && { concurrency }),
    },
  };
}

function checkSpec({ name, models, ...limits }: ApiKeySpec): void {
  if (!isLine(name, nameCharacters)) {
    throw invalidOption('name', `1 to ${nameCharacters} characters on one line`, name);
  }
  if (models?.length === 0) throw invalidOption('models', 'at least one name, or left out', '[]');
  for (const model of models ?? []) {
    if (isLine(model, modelCharacters)) continue;
    throw invalidOption('models', `names of 1 to ${modelCharacters} characters`, model);
  }
  for (const option of ['requestsPerMinute', 'tokensPerMinute', 'concurrency'] as const) {
    const value = limits[option];
    if (value === undefined) continue;
    if (Number.isSafeInteger(value) && value >= 1 && value <= maxLimit) continue;
    throw invalidOption(option, `a whole number from 1 to ${maxLimit}`, value);
  }
}

function isLine(text: string, most: number): boolean {
  return text.trim() !== '' && text.length <= most && !/\p{Cc}/u.test(text);
}
