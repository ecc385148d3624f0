// What people are shown of shards: the store's word on who owns them, with the owners' own word on
// how they do.
import { DESCRIPTION, PROCEDURES, read } from './messages.ts';
import type { RpcHost } from '../peer/index.ts';
import type { NodeDescription } from './messages.ts';
import type { OwnershipView } from './ownership-view.ts';

/** One shard as the store and its owner have it. */
export interface ShardInfo {
  readonly type: string;
  readonly shard: number;
  readonly owner: string;
  readonly epoch: number;
  /** `unowned`, `lost` (its owner is gone), `moving`, or what its owner says. */
  readonly state: string;
  /** In its owner's memory. */
  readonly entities: number;
}

/** What a node does not say of its shards within this, the listing leaves out. */
const DESCRIBE_TIMEOUT_MS = 2_000;

/** Every shard of every type. Nodes that do not answer are `silent`. */
export async function listShards(
  host: Pick<RpcHost, 'call'>,
  view: OwnershipView,
): Promise<ShardInfo[]> {
  const nodes = [...view.sessions.keys()];
  const told = await Promise.all(nodes.map((node) => ask(host, node)));
  const details = new Map<string, readonly [string, number]>();
  for (const [index, { types }] of told.entries()) {
    for (const { type, shards } of types) {
      for (const [shard, epoch, phase, entities] of shards) {
        details.set(`${type} ${shard} ${epoch} ${nodes[index]}`, [phase, entities]);
      }
    }
  }
  return [...view.tables].flatMap(([type, { entries }]) =>
    entries.map(({ owner, session, epoch, move }, shard) => {
      const [phase, entities] = details.get(`${type} ${shard} ${epoch} ${owner}`) ?? ['', 0];
      const lost = view.lives(owner, session) ? phase || 'silent' : 'lost';
      const state = owner === '' ? 'unowned' : move === undefined ? lost : 'moving';
      return { type, shard, owner, epoch, state, entities };
    }),
  );
}

async function ask(host: Pick<RpcHost, 'call'>, node: string): Promise<NodeDescription> {
  const timeoutMs = DESCRIBE_TIMEOUT_MS;
  try {
    return read(
      DESCRIPTION,
      await host.call(node, PROCEDURES.describe, { body: {} }, { timeoutMs }),
    );
  } catch {
    return { types: [] };
  }
}
