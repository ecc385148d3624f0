// One node of a fleet of counters, as a process: hosts two kinds of counters, and asks them
// when it is told to. The test speaks to it over IPC.
import { defineEntity, Fleet, hasCode } from '../../src/node/index.ts';

interface Count {
  value: number;
}

const handlers = {
  add: (state: Count, amount: number) => {
    state.value += amount;
    return state.value;
  },
  get: (state: Count) => state.value,
};

const initial = (): Count => ({ value: 0 });

/** In memory: it moves with its shard, and is lost with its node. */
const Tally = defineEntity({ name: 'tally', initial, handlers });
/** On the founder's disk before an answer is given. */
const Account = defineEntity({ name: 'account', durable: true, initial, handlers });
const KINDS = { tally: Tally, account: Account };

export type Kind = keyof typeof KINDS;

export type Command =
  | {
      readonly type: 'load';
      readonly kind: Kind;
      readonly entities: number;
      readonly perTick: number;
    }
  | { readonly type: 'stop-load'; readonly kind: Kind }
  | { readonly type: 'touch'; readonly kind: Kind; readonly entities: number }
  | { readonly type: 'values'; readonly kind: Kind; readonly entities: number }
  | { readonly type: 'shards' }
  | { readonly type: 'leave' };

/** What became of the increments, by entity. */
export interface LoadReport {
  readonly acknowledged: number[];
  readonly unknown: number[];
  readonly notDelivered: number;
  readonly others: string[];
}

const [name = '', dataDir = '', port = '0', seed, token] = process.argv.slice(2);
const options = {
  name,
  dataDir,
  // The founder's command line drains nodes.
  http: seed === undefined && { host: '127.0.0.1', port: 0 },
  log: 'file',
  listen: { host: '127.0.0.1', port: Number(port) },
} as const;
const fleet =
  seed === undefined
    ? await Fleet.found(options)
    : await Fleet.join({ ...options, seeds: [seed], ...(token !== undefined && { token }) });
fleet.host(Tally, Account);

const loads = new Map<Kind, () => Promise<LoadReport>>();

const reply = (id: number, value: unknown) => process.send!({ id, value });
const idOf = (entity: number) => `entity-${entity}`;

process.on('message', async ({ id, command }: { id: number; command: Command }) => {
  try {
    reply(id, await run(command));
  } catch (error) {
    process.send!({ id, error: error instanceof Error ? error.message : String(error) });
  }
  if (command.type === 'leave') process.exit(0);
});
process.send!({ ready: fleet.address, url: fleet.httpUrl });

async function run(command: Command): Promise<unknown> {
  switch (command.type) {
    case 'load':
      loads.set(command.kind, startLoad(command));
      return undefined;
    case 'stop-load':
      return loads.get(command.kind)!();
    case 'touch':
      return touch(command.kind, command.entities);
    case 'values':
      return values(command.kind, command.entities);
    case 'shards':
      return fleet.sharding.describe();
    case 'leave':
      await fleet.leave();
      return undefined;
  }
}

/** Asks every entity once, so that all are in memory. */
async function touch(kind: Kind, entities: number): Promise<void> {
  for (let from = 0; from < entities; from += 500) {
    const some = Array.from({ length: Math.min(500, entities - from) }, (_, i) => from + i);
    await Promise.all(
      some.map((entity) => fleet.entity(KINDS[kind], idOf(entity)).ask({ add: 0 })),
    );
  }
}

async function values(kind: Kind, entities: number): Promise<number[]> {
  const found: number[] = [];
  for (let from = 0; from < entities; from += 500) {
    const some = Array.from({ length: Math.min(500, entities - from) }, (_, i) => from + i);
    const asks = some.map((entity) => fleet.entity(KINDS[kind], idOf(entity)).ask('get'));
    found.push(...(await Promise.all(asks)));
  }
  return found;
}

/** Steady asks over all entities in turn, until it is stopped and the last one has its outcome. */
function startLoad(command: Extract<Command, { type: 'load' }>): () => Promise<LoadReport> {
  const { kind, entities, perTick } = command;
  const report: LoadReport = {
    acknowledged: new Array<number>(entities).fill(0),
    unknown: new Array<number>(entities).fill(0),
    notDelivered: 0,
    others: [],
  };
  let open = 0;
  let next = 0;
  let notDelivered = 0;
  const ask = async (entity: number) => {
    open++;
    try {
      await fleet.entity(KINDS[kind], idOf(entity)).ask({ add: 1 }, { timeoutMs: 20_000 });
      report.acknowledged[entity]!++;
    } catch (error) {
      if (hasCode(error, 'outcome_unknown')) report.unknown[entity]!++;
      else if (hasCode(error, 'not_delivered', 'buffer_full')) notDelivered++;
      else report.others.push(String(error));
    }
    open--;
  };
  const timer = setInterval(() => {
    for (let i = 0; i < perTick; i++) void ask(next++ % entities);
  }, 10);
  return async () => {
    clearInterval(timer);
    while (open > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    return { ...report, notDelivered };
  };
}
