// The journal over the network: the node that keeps it answers `journal.*`; the others call it.
// Only the owner of a shard is heard: an epoch that nobody was granted would shut all others out.
import { decodeTable } from './shard-table.ts';
import { notOwned } from './errors.ts';
import { SHARDING_DEFAULTS } from './defaults.ts';
import { checkId } from './extractor.ts';
import { checkShardKey } from './journal.ts';
import { invalidMessage } from './messages.ts';
import { tableKey } from './ownership-view.ts';
import type { Payload, RpcHost } from '../peer/index.ts';
import type { Store } from '../store/index.ts';
import type { Journal, ShardKey } from './journal.ts';
import type { KnownTable } from './ownership-view.ts';

const OPEN = 'journal.open';
const LOAD = 'journal.load';
const APPEND = 'journal.append';
const EMPTY = new Uint8Array(0);

/** Offers `journal` to the owners of shards, as `store` has them. */
export function serveJournal(
  host: Pick<RpcHost, 'handle'>,
  journal: Journal,
  store: Pick<Store, 'get'>,
): void {
  const owners = new Owners(store);
  host.handle(OPEN, async ({ body }, { peer }) => {
    const { key } = readRequest(body, false);
    if (!owners.isKnown(key, peer)) await owners.check(key, peer);
    return { body: await journal.open(key) };
  });
  host.handle(LOAD, async ({ body }, { peer }) => {
    const { key, id } = readRequest(body, true);
    if (!owners.isKnown(key, peer)) await owners.check(key, peer);
    const bytes = await journal.load(key, id);
    return bytes === undefined ? { body: false } : { body: true, bytes };
  });
  host.handle(APPEND, async ({ body, bytes = EMPTY }, { peer }) => {
    const { key, id } = readRequest(body, true);
    if (!owners.isKnown(key, peer)) await owners.check(key, peer);
    await journal.append(key, id, bytes);
    return { body: null };
  });
}

/** Who was granted which shard at which epoch: read once for each grant. */
class Owners {
  readonly #store: Pick<Store, 'get'>;
  readonly #grants = new Map<string, { readonly node: string; readonly epoch: number }>();
  /** The last that was read of each type. */
  readonly #tables = new Map<string, KnownTable>();

  constructor(store: Pick<Store, 'get'>) {
    this.#store = store;
  }

  /**
   * Of the last grant that was asked for. There may be a later one: until its owner opens the
   * shard, the earlier one's writes do no harm, and then the journal refuses them.
   */
  isKnown({ type, shard, epoch }: ShardKey, peer: string): boolean {
    const grant = this.#grants.get(`${type}/${shard}`);
    return grant?.epoch === epoch && grant.node === peer;
  }

  /** Errors: `shard_not_owned`. */
  async check(key: ShardKey, peer: string): Promise<void> {
    const { type, shard, epoch } = key;
    const entry = await this.#store.get(tableKey(type));
    let table = this.#tables.get(type);
    if (entry !== undefined && entry.revision !== table?.revision) {
      table = { revision: entry.revision, entries: decodeTable(entry.value) };
      this.#tables.set(type, table);
    }
    const granted = table?.entries[shard];
    if (granted?.owner !== peer || granted.epoch !== epoch) throw notOwned(peer, key);
    this.#grants.set(`${type}/${shard}`, { node: peer, epoch });
  }
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
    throw invalidMessage('an answer about a journal');
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

/** Errors: `shard_message_invalid`, `entity_id_invalid`. */
function readRequest(body: unknown, hasId: boolean): { key: ShardKey; id: string } {
  if (!Array.isArray(body) || body.length !== 4) throw invalidMessage('a call about a journal');
  const [type, shard, epoch, id] = body as [string, number, number, string];
  const key = { type, shard, epoch };
  checkShardKey(key);
  if (hasId) checkId(id);
  return { key, id };
}
