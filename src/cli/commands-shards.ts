// `flotilla shards`: who owns the shards of each type of entity, in sums by node or one by one.
import { FleetClient } from './fleet-client.ts';
import { formatCount, formatTable, plural } from './text.ts';
import type { ShardInfo } from '../node/index.ts';
import type { ClientFlags } from './commands-client.ts';
import type { CliContext } from './context.ts';

interface ShardsBody {
  readonly self: string;
  readonly shards: readonly ShardInfo[];
}

export interface ShardsFlags extends ClientFlags {
  readonly all?: boolean;
}

const SUMS = ['type', 'node', 'shards', 'entities', 'moving', 'not running'];
const EACH = ['type', 'shard', 'owner', 'epoch', 'state', 'entities'];

export async function runShards(
  { out }: CliContext,
  type: string | undefined,
  flags: ShardsFlags,
): Promise<void> {
  const body = await new FleetClient(flags.url).get<ShardsBody>('/cluster/shards');
  const shards = body.shards.filter((shard) => type === undefined || shard.type === type);
  if (flags.json) {
    out.line(JSON.stringify({ ...body, shards }));
    return;
  }
  if (shards.length === 0) {
    out.line(type === undefined ? 'no node hosts entities' : `no type is named ${type}`);
    return;
  }
  const rows = flags.all === true ? shards.map(rowOf) : sumsOf(shards);
  const [first = '', ...lines] = formatTable([flags.all === true ? EACH : SUMS, ...rows]);
  out.line(out.style('bold', first));
  for (const line of lines) out.line(line);
  const types = new Set(shards.map((shard) => shard.type)).size;
  out.line(`${plural(shards.length, 'shard')} of ${plural(types, 'type')}`);
}

function rowOf({ type, shard, owner, epoch, state, entities }: ShardInfo): string[] {
  return [type, String(shard), owner || '-', String(epoch), state, formatCount(entities)];
}

function sumsOf(shards: readonly ShardInfo[]): string[][] {
  const groups = new Map<string, ShardInfo[]>();
  for (const shard of shards) {
    const key = `${shard.type} ${shard.owner}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [shard]);
    else group.push(shard);
  }
  const keys = [...groups.keys()].sort();
  return keys.map((key) => {
    const group = groups.get(key)!;
    const { type, owner } = group[0]!;
    const entities = group.reduce((sum, shard) => sum + shard.entities, 0);
    const moving = group.filter(({ state }) => state === 'moving').length;
    const idle = group.filter(({ state }) => state !== 'moving' && state !== 'running').length;
    const counts = [group.length, entities, moving, idle].map(formatCount);
    return [type, owner || '-', ...counts];
  });
}
