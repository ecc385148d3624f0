// The journal over the network: the node that keeps it answers `journal.*`; the others call it.
import { FlotillaError } from '../core/index.ts';
import { SHARDING_DEFAULTS } from './defaults.ts';
import type { Payload, RpcHost } from '../peer/index.ts';
import type { Journal, ShardKey } from './journal.ts';

const OPEN = 'journal.open';
const LOAD = 'journal.load';
const APPEND = 'journal.append';
const EMPTY = new Uint8Array(0);

/** Offers `journal` to every node. */
export function serveJournal(host: Pick<RpcHost, 'handle'>, journal: Journal): void {
  host.handle(OPEN, async ({ body }) => ({ body: await journal.open(readKey(body)) }));
  host.handle(LOAD, async ({ body }) => {
    const bytes = await journal.load(readKey(body), readId(body));
    return bytes === undefined ? { body: false } : { body: true, bytes };
  });
  host.handle(APPEND, async ({ body, bytes = EMPTY }) => {
    await journal.append(readKey(body), readId(body), bytes);
    return { body: null };
  });
}

/** The journal of another node, or of this one. */
export class RemoteJournal implements Journal {
  readonly #host: Pick<RpcHost, 'call'>;
  readonly #keeper: string;

  constructor(host: Pick<RpcHost, 'call'>, keeper: string) {
    this.#host = host;
    this.#keeper = keeper;
  }

  async open(key: ShardKey): Promise<readonly string[]> {
    const { body } = await this.#call(OPEN, { body: bodyOf(key) });
    if (Array.isArray(body) && body.every((id) => typeof id === 'string')) return body;
    throw invalid();
  }

  async load(key: ShardKey, id: string): Promise<Uint8Array | undefined> {
    const { body, bytes } = await this.#call(LOAD, { body: bodyOf(key, id) });
    return body === true ? (bytes ?? EMPTY) : undefined;
  }

  async append(key: ShardKey, id: string, state: Uint8Array): Promise<void> {
    await this.#call(APPEND, { body: bodyOf(key, id), bytes: state });
  }

  #call(procedure: string, request: Payload): Promise<Payload> {
    const timeoutMs = SHARDING_DEFAULTS.callTimeoutMs;
    return this.#host.call(this.#keeper, procedure, request, { timeoutMs });
  }
}

function bodyOf({ type, shard, epoch }: ShardKey, id = ''): unknown[] {
  return [type, shard, epoch, id];
}

function readKey(body: unknown): ShardKey {
  if (Array.isArray(body)) {
    const [type, shard, epoch] = body as unknown[];
    const counts = Number.isSafeInteger(shard) && Number.isSafeInteger(epoch);
    if (typeof type === 'string' && type !== '' && type.length <= 64 && counts) {
      return { type, shard: shard as number, epoch: epoch as number };
    }
  }
  throw invalid();
}

function readId(body: unknown): string {
  const id: unknown = (body as unknown[])[3];
  if (typeof id === 'string' && id !== '' && id.length <= 1_024) return id;
  throw invalid();
}

function invalid(): FlotillaError {
  return new FlotillaError('shard_message_invalid', 'a message about a journal is invalid');
}
