// The two types of a simulated fleet, one in memory and one durable: an entity remembers each
// message that it handled, and the judge is told where and when.
import { sleep } from '../../../src/core/index.ts';
import { sessionKey, tableKey } from '../../../src/sharding/ownership-view.ts';
import { defineEntity } from '../../../src/sharding/index.ts';
import { decodeTable } from '../../../src/sharding/shard-table.ts';
import type { Clock, Prng } from '../../../src/core/index.ts';
import type { EntityContext, EntityType, Sharding } from '../../../src/sharding/index.ts';
import type { StoreServer } from '../../sim/store-server.ts';
import type { Process } from '../../sim/world.ts';
import type { Judge } from './judge.ts';
import type { At } from './ownership.ts';
import type { Plan } from './plan.ts';

export const TYPES = ['plain', 'kept'] as const;

/** What an entity remembers: the messages that it has handled. */
export interface Ledger {
  readonly seen: number[];
}

export type LedgerHandlers = {
  readonly ping: (state: Ledger) => number;
  readonly note: (
    state: Ledger,
    number: number,
    context: EntityContext,
  ) => Promise<number> | number;
};

export type LedgerType = EntityType<Ledger, LedgerHandlers>;

export interface LedgerComponents {
  readonly judge: Judge;
  readonly server: StoreServer;
  readonly plan: Plan;
  readonly prng: Prng;
  readonly process: Process;
  readonly clock: Clock;
  readonly sharding: Sharding;
}

export function defineLedger(name: (typeof TYPES)[number], parts: LedgerComponents): LedgerType {
  const { judge, plan, prng, process, clock } = parts;
  const { pinned, remember, passivateAfterMs, maxActive } = plan.types;
  const count = Math.min(pinned, plan.shards);
  const pins = Object.fromEntries(Array.from({ length: count }, (_, i) => [i, `n${i % 2}`]));
  const finish = (state: Ledger, number: number, at: At): number => {
    if (process.alive) judge.ends(number, process.name, at);
    state.seen.push(number);
    return number;
  };
  return defineEntity<Ledger, LedgerHandlers>({
    name,
    shards: plan.shards,
    allocation: pinned === 0 ? { name: 'least-shards' } : { name: 'pinned', pins },
    durable: name === 'kept',
    remember: remember === name,
    passivateAfterMs: name === 'kept' ? passivateAfterMs : Infinity,
    maxActive: name === 'kept' ? maxActive : Infinity,
    initial: () => ({ seen: [] }),
    handlers: {
      ping: (state) => state.seen.length,
      note: (state, number, context) => {
        const at = { shard: context.shard, epoch: context.epoch };
        begin(name, number, at, parts);
        if (name === 'plain') judge.holds(number, state.seen.length, at);
        else judge.keeps(number, state.seen);
        const { handlerMs } = plan;
        const kind = prng.int(10);
        if (handlerMs === 0 || kind < 5) return finish(state, number, at);
        const takesMs = kind === 9 ? 10 * handlerMs : handlerMs;
        return sleep(clock, takesMs * prng.next()).then(() => finish(state, number, at));
      },
    },
  });
}

function begin(type: string, number: number, at: At, parts: LedgerComponents): void {
  const { judge, server, sharding, process } = parts;
  const node = process.name;
  const table = server.entry(tableKey(type));
  const truth = table === undefined ? undefined : decodeTable(table.value)[at.shard];
  const session = server.entry(sessionKey(node))?.revision;
  const own = sharding.session;
  // A session that the store has ended by now is no session.
  judge.begins(number, { type, ...at, node, session: own }, truth);
  if (own !== session) {
    judge.violate('a node stops before its session ends', `${node}: ${own}, not ${session}`);
  }
}
