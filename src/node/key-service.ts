// The API keys of the fleet, as every node has them: their records are in the store, each node
// watches them and keeps them in memory, so that a key is known or refused everywhere at once and
// requests never wait for the store. While the store is away the last known list holds.
import {
  ADMISSION_STATUS,
  ApiKeyBook,
  apiKeyOf,
  createApiKey,
  decodeApiKeyRecord,
  encodeApiKeyRecord,
  KEY_LIMITS,
} from '../admission/index.ts';
import { FlotillaError, messageOf } from '../core/index.ts';
import { PrefixFollower } from '../store/index.ts';
import { API_KEY_DEFAULTS } from './defaults.ts';
import type { ApiKey, ApiKeyRecord, ApiKeySpec } from '../admission/index.ts';
import type { Clock, Logger } from '../core/index.ts';
import type { KeyControl } from '../gateway/index.ts';
import type { Entry, FollowerListener, Store, StoreEvent, Write } from '../store/index.ts';

export interface KeyServiceComponents {
  readonly store: Pick<Store, 'get' | 'list' | 'revision' | 'watch' | 'compareAndSwap'>;
  readonly clock: Clock;
  readonly log: Logger;
}

const { prefix } = API_KEY_DEFAULTS;

export class KeyService implements KeyControl {
  readonly #components: KeyServiceComponents;
  readonly #book = new ApiKeyBook();
  /** Of each record in the book: a replay of older changes must not undo newer ones. */
  readonly #revisions = new Map<string, number>();
  readonly #tried = Promise.withResolvers<void>();
  readonly #follower: PrefixFollower;
  #isLoaded = false;

  constructor(components: KeyServiceComponents) {
    this.#components = components;
    const { store, clock, log } = components;
    const listener: FollowerListener = {
      listed: (entries, revision) => {
        this.#listed(entries, revision);
        this.#tried.resolve();
      },
      heard: (event) => this.#heard(event),
      failed: (error, again) => {
        const level = again ? 'debug' : 'warn';
        log[level]({ err: error }, `API keys cannot be followed: ${messageOf(error)}`);
        this.#tried.resolve();
      },
    };
    this.#follower = new PrefixFollower({ store, clock, listener }, API_KEY_DEFAULTS);
  }

  /** Resolves when the keys are known, or the store could not be read at the first try. */
  start(): Promise<void> {
    this.#follower.start();
    return this.#tried.promise;
  }

  stop(): void {
    this.#follower.stop();
  }

  /** False while anybody may ask. Errors: `api_keys_unknown`. */
  get areRequired(): boolean {
    return this.#known().size > 0;
  }

  authenticate(authorization: string | undefined): ApiKey | undefined {
    return this.#known().authenticate(authorization);
  }

  list(): ApiKey[] {
    return this.#known().list();
  }

  async create(spec: ApiKeySpec): Promise<{ readonly key: ApiKey; readonly text: string }> {
    const { store, clock } = this.#components;
    const { text, record } = createApiKey(spec, clock.wallTime());
    const put = prefix + record.id;
    const compares = [{ key: put, revision: 0 }];
    const writes: Write[] = [{ put, value: encodeApiKeyRecord(record) }];
    const replaced = this.#makeRoom();
    if (replaced !== undefined) {
      compares.push(replaced);
      writes.push({ delete: replaced.key });
    }
    const { ok, revision } = await store.compareAndSwap(compares, writes);
    if (!ok) throw new FlotillaError('store_unavailable', 'the keys changed meanwhile; try again');
    if (replaced !== undefined) this.#forget(replaced.key, revision);
    const key = this.#take(put, { record, revision });
    return { key, text };
  }

  async revoke(id: string): Promise<ApiKey> {
    const { store, clock } = this.#components;
    const key = prefix + id;
    for (let tries = 0; tries < API_KEY_DEFAULTS.revokeTries; tries++) {
      const entry = /^[0-9a-f]{1,64}$/.test(id) ? await store.get(key) : undefined;
      const record = entry && decodeApiKeyRecord(entry.value);
      if (entry === undefined || record === undefined) throw unknownKey(id);
      if (record.revokedMs !== undefined) {
        return this.#take(key, { record, revision: entry.revision });
      }
      const revoked = { ...record, revokedMs: clock.wallTime() };
      const { ok, revision } = await store.compareAndSwap(
        [{ key, revision: entry.revision }],
        [{ put: key, value: encodeApiKeyRecord(revoked) }],
      );
      if (ok) return this.#take(key, { record: revoked, revision });
    }
    throw new FlotillaError('store_unavailable', `the key ${id} keeps changing; try again`);
  }

  #known(): ApiKeyBook {
    if (this.#isLoaded) return this.#book;
    const message = 'this node has not read the API keys of the fleet yet';
    const status = ADMISSION_STATUS.api_keys_unknown;
    throw new FlotillaError('api_keys_unknown', message, { details: { status, retryAfterS: 1 } });
  }

  /** When there are as many as may be: the one that was revoked first. Errors: `api_keys_full`. */
  #makeRoom(): { key: string; revision: number } | undefined {
    const book = this.#known();
    if (book.size < KEY_LIMITS.maxKeys) return undefined;
    const revoked = book.list().filter(({ revokedMs }) => revokedMs !== undefined);
    const [first] = revoked.sort((a, b) => (a.revokedMs ?? 0) - (b.revokedMs ?? 0));
    if (first !== undefined) {
      const key = prefix + first.id;
      return { key, revision: this.#revisions.get(key) ?? 0 };
    }
    const message = `there are ${book.size} API keys, as many as there may be; revoke some first`;
    const details = { limit: KEY_LIMITS.maxKeys };
    throw new FlotillaError('api_keys_full', message, { details });
  }

  /** Reads all keys; what changes from before that on is heard: nothing falls in between. */
  #listed(entries: readonly Entry[], revision: number): void {
    const present = new Set(entries.map(({ key }) => key));
    for (const key of this.#revisions.keys()) {
      if (!present.has(key)) this.#forget(key, revision + 1);
    }
    for (const entry of entries) this.#put(entry);
    this.#isLoaded = true;
  }

  #heard({ type, key, value, revision }: StoreEvent): void {
    if (type === 'put' && value !== undefined) this.#put({ key, value, revision });
    else this.#forget(key, revision);
  }

  #put({ key, value, revision }: Entry): void {
    const decoded = decodeApiKeyRecord(value);
    const record = prefix + decoded?.id === key ? decoded : undefined;
    if (record === undefined) {
      this.#components.log.error({ key }, 'the record of an API key is damaged; it is refused');
    }
    this.#note(key, { record, revision });
  }

  /** What this node itself has just written or read. */
  #take(key: string, found: { record: ApiKeyRecord; revision: number }): ApiKey {
    this.#note(key, found);
    return apiKeyOf(found.record);
  }

  #note(key: string, found: { record: ApiKeyRecord | undefined; revision: number }): void {
    const { record, revision } = found;
    if (revision <= (this.#revisions.get(key) ?? 0)) return;
    this.#revisions.set(key, revision);
    this.#book.put(key.slice(prefix.length), record);
  }

  #forget(key: string, revision: number): void {
    if (revision <= (this.#revisions.get(key) ?? 0)) return;
    this.#revisions.delete(key);
    this.#book.remove(key.slice(prefix.length));
  }
}

function unknownKey(id: string): FlotillaError {
  const message = `there is no API key ${id}; "flotilla key list" shows them`;
  return new FlotillaError('api_key_unknown', message, { details: { id } });
}
