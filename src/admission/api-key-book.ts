// The API keys of a fleet as one node knows them: finds the key of a request, and says what it may
// do. Pure; where records come from is its owner's business.
import { FlotillaError } from '../core/index.ts';
import { apiKeyOf, digestOf, isApiKeyText } from './api-key.ts';
import { ADMISSION_STATUS } from './errors.ts';
import type { ApiKey, ApiKeyRecord } from './api-key.ts';

interface Known {
  readonly digest: string;
  readonly key: ApiKey;
}

export class ApiKeyBook {
  /** Undefined for a record that cannot be read: there are keys, and this one is refused. */
  readonly #byId = new Map<string, Known | undefined>();
  /**
   * A look-up by digest compares nothing of the secret: what its time may tell is how a digest
   * begins, and no text can be made to fit that.
   */
  readonly #byDigest = new Map<string, ApiKey>();

  /** Keys that were made, those that were revoked or cannot be read included. */
  get size(): number {
    return this.#byId.size;
  }

  get(id: string): ApiKey | undefined {
    return this.#byId.get(id)?.key;
  }

  /** The oldest first. */
  list(): ApiKey[] {
    const keys = [...this.#byId.values()].flatMap((known) => known?.key ?? []);
    return keys.sort((a, b) => a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1));
  }

  /** Takes `record` in, in place of an earlier one of this id. */
  put(id: string, record: ApiKeyRecord | undefined): void {
    this.remove(id);
    const known = record && { digest: record.digest, key: apiKeyOf(record) };
    this.#byId.set(id, known);
    if (known !== undefined) this.#byDigest.set(known.digest, known.key);
  }

  remove(id: string): void {
    const known = this.#byId.get(id);
    this.#byId.delete(id);
    if (known !== undefined) this.#byDigest.delete(known.digest);
  }

  clear(): void {
    this.#byId.clear();
    this.#byDigest.clear();
  }

  /** The key with this text, while it is good. */
  verify(text: string): ApiKey | undefined {
    if (!isApiKeyText(text)) return undefined;
    const key = this.#byDigest.get(digestOf(text));
    return key?.revokedMs === undefined ? key : undefined;
  }

  /**
   * Whose request it is, by its `authorization` header; undefined while nobody ever made a key, for
   * then everybody may ask. Revoking the last key lets nobody in. Errors: `api_key_refused`.
   */
  authenticate(authorization: string | undefined): ApiKey | undefined {
    if (this.#byId.size === 0) return undefined;
    const [, text = ''] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
    const key = this.verify(text);
    if (key !== undefined) return key;
    const message =
      text === ''
        ? 'an API key is needed: send it as "authorization: Bearer flk_…"'
        : 'the API key is not one of this fleet, or was revoked';
    const status = ADMISSION_STATUS.api_key_refused;
    throw new FlotillaError('api_key_refused', message, { details: { status } });
  }
}

/** Whether requests with `key` may use `model`; those without a key may use all. */
export function allowsModel(key: ApiKey | undefined, model: string): boolean {
  return key?.models === undefined || key.models.includes(model);
}

/** Errors: `model_refused`. */
export function checkModel(key: ApiKey | undefined, model: string): void {
  if (allowsModel(key, model)) return;
  const message = `the API key is not for the model ${JSON.stringify(model)}`;
  const details = { status: ADMISSION_STATUS.model_refused, param: 'model' };
  throw new FlotillaError('model_refused', message, { details });
}
