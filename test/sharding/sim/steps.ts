// The steps of a handoff, one before and one after each await of it, and how often each was reached
// and who was hit there. `SteppedStore` tells those between a node and the store.
import { decodeTable } from '../../../src/sharding/shard-table.ts';
import { StoreClient } from '../../sim/store-client.ts';
import type { Compare, StoreEvent, SwapResult, Watch, Write } from '../../../src/store/index.ts';
import type { ShardTable } from '../../../src/sharding/shard-table.ts';
import type { StoreClientComponents, StoreClientOptions } from '../../sim/store-client.ts';

export const STEPS = [
  // The coordinator proposes a table; the store takes it; the coordinator hears so.
  ...(['table sent', 'table taken', 'table written'] as const),
  // A node sees a new table: its owner freezes, the next one begins, regions flush.
  'table heard',
  // The owner has no handler left that runs; its parts travel; the next owner has them all.
  ...(['frozen', 'stage sent', 'stage arrived', 'stage answered', 'handed'] as const),
  // The owner lets go, and the coordinator hears of it.
  ...(['release sent', 'release arrived', 'release answered'] as const),
  // The next owner shuts the last one out of the journal.
  ...(['open sent', 'open taken', 'open answered'] as const),
] as const;

export type Step = (typeof STEPS)[number];

/** What is counted of each. */
export const HITS = ['reached', 'crash', 'pause', 'reset'] as const;

export type OnStep = (node: string, step: Step) => void;

export const TABLES = 'sharding/tables/';

export interface StepHooks {
  readonly onStep: (step: Step) => void;
  /** This node knows the table from now on. */
  readonly heard: (type: string, table: ShardTable) => void;
}

/** A way to the store on which each table that passes is told. */
export class SteppedStore extends StoreClient {
  readonly #hooks: StepHooks;

  constructor(components: StoreClientComponents, options: StoreClientOptions, hooks: StepHooks) {
    super(components, options);
    this.#hooks = hooks;
    const { list } = this;
    this.list = async (prefix) => {
      const entries = await list(prefix);
      for (const { key, value } of entries) this.#heard(key, value);
      return entries;
    };
  }

  override async compareAndSwap(
    compares: readonly Compare[],
    writes: readonly Write[],
  ): Promise<SwapResult> {
    const tables = writes.filter((write) => 'put' in write && write.put.startsWith(TABLES));
    if (tables.length > 0) this.#hooks.onStep('table sent');
    const result = await super.compareAndSwap(compares, writes);
    for (const write of tables)
      if (result.ok && 'put' in write) this.#heard(write.put, write.value);
    return result;
  }

  override watch(
    prefix: string,
    fromRevision: number,
    onEvent: (event: StoreEvent) => void,
  ): Promise<Watch> {
    return super.watch(prefix, fromRevision, (event) => {
      if (event.value !== undefined) this.#heard(event.key, event.value);
      onEvent(event);
    });
  }

  #heard(key: string, value: Uint8Array): void {
    if (!key.startsWith(TABLES)) return;
    this.#hooks.heard(key.slice(TABLES.length), decodeTable(value));
    this.#hooks.onStep('table heard');
  }
}

/** How often each step was reached, and somebody hit there. */
export class StepCounts {
  readonly #counts = new Map<string, number>();

  add(what: (typeof HITS)[number], step: Step): void {
    const name = `${what} at ${step}`;
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  counters(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}
