// Decides who owns which shard: a pure machine over what the store says. All it ever does is to
// propose the next table, together with the evidence that it rests on; the store takes both or
// neither. So two coordinators, a late write, or one that has seen too little can be slow, but
// never wrong. How a shard is moved:
//   1. the table marks it as moving; its owner sees that, freezes it, and hands over what it holds;
//   2. the owner says that it has let go of the shard at that epoch, which it never takes back;
//   3. the table gives the shard to the other node at the next epoch, or, when that node is gone or
//      too much time has passed, back to its owner at the next epoch.
// Whoever becomes coordinator in the middle finds the mark in the table and goes on from there.
import { builtInStrategy, leastShards } from './allocation.ts';
import {
  BY_DEVICE,
  EXACT_PAUSE_SHARE,
  GATHER_MS,
  MAX_EVIDENCE,
  SHARDING_DEFAULTS,
} from './defaults.ts';
import { COORDINATOR_KEY, tableKey } from './ownership-view.ts';
import { VACANT } from './shard-table.ts';
import { TableDraft } from './table-draft.ts';
import type { Compare } from '../store/index.ts';
import type { AllocationStrategy } from './allocation.ts';
import type { KnownTable, OwnershipView, RegionRecord } from './ownership-view.ts';
import type { ShardEntry, ShardTable } from './shard-table.ts';
import type { MoveHistory } from './table-draft.ts';

export interface CoordinatorOptions {
  readonly handoffTimeoutMs: number;
  readonly retryHandoffMs: number;
  readonly maxRetryHandoffMs: number;
  readonly rebalanceIntervalMs: number;
  readonly rebalanceShare: number;
  readonly retryWriteMs: number;
}

export interface ShardCoordinatorComponents {
  readonly view: OwnershipView;
  /** A strategy that is not built in, of the types that this node has. */
  readonly strategy?: (type: string, name: string) => AllocationStrategy | undefined;
  /** 0 to 1; undefined when it is not known. */
  readonly loadOf?: (node: string) => number | undefined;
}

/** The next table of a type, if all compares hold. */
export interface TableWrite {
  readonly type: string;
  readonly compares: readonly Compare[];
  readonly table: ShardTable;
}

/** What came of a write. Of an unknown one the view will tell, sooner or later. */
export type WriteOutcome = 'done' | 'refused' | 'unknown';

/** What a coordinator keeps of a type beside the table; a successor does without. */
interface TypeState extends MoveHistory {
  writing: boolean;
  notBeforeMs: number;
  rebalanceAtMs: number;
  /** When a type that waits for more nodes gets its first owners. */
  gatheredAtMs: number | undefined;
  /** The epoch at which its owner has let go of a shard. */
  readonly released: Map<number, number>;
  /** Since when a shard is seen to move, at that epoch. */
  readonly moving: Map<number, { readonly epoch: number; readonly sinceMs: number }>;
  readonly failed: Map<number, { times: number; untilMs: number }>;
  readonly movedAtMs: Map<number, number>;
}

export class ShardCoordinator {
  readonly #view: OwnershipView;
  readonly #components: ShardCoordinatorComponents;
  readonly #options: CoordinatorOptions;
  readonly #types = new Map<string, TypeState>();
  #term: number | undefined;

  constructor(
    components: ShardCoordinatorComponents,
    options: CoordinatorOptions = SHARDING_DEFAULTS,
  ) {
    this.#view = components.view;
    this.#components = components;
    this.#options = options;
  }

  get term(): number | undefined {
    return this.#term;
  }

  /** A term began, or ended. What the last one knew beside the table is forgotten. */
  elected(term: number | undefined): void {
    if (term === this.#term) return;
    this.#term = term;
    this.#types.clear();
  }

  /** The owner has let go of the shard at that epoch. Kept though it be late: it stays true. */
  released(type: string, shard: number, epoch: number): void {
    if (this.#term === undefined || !this.#view.tables.has(type)) return;
    const { released } = this.#state(type);
    if ((released.get(shard) ?? 0) < epoch) released.set(shard, epoch);
  }

  written(type: string, outcome: WriteOutcome, nowMs: number): void {
    const state = this.#types.get(type);
    if (state === undefined) return;
    state.writing = false;
    if (outcome !== 'done') state.notBeforeMs = nowMs + this.#options.retryWriteMs;
  }

  /** What to write now: after every change of the view, release, outcome, and now and then. */
  plan(nowMs: number): TableWrite[] {
    if (this.#term === undefined) return [];
    const types = new Set([...this.#view.tables.keys(), ...this.#view.regions.keys()]);
    const writes: TableWrite[] = [];
    for (const type of types) {
      const state = this.#state(type);
      if (state.writing || nowMs < state.notBeforeMs) continue;
      const write = this.#planType(type, state, nowMs);
      if (write === undefined) continue;
      state.writing = true;
      writes.push(write);
    }
    return writes;
  }

  #state(type: string): TypeState {
    let state = this.#types.get(type);
    if (state === undefined) {
      state = {
        writing: false,
        notBeforeMs: -Infinity,
        rebalanceAtMs: -Infinity,
        gatheredAtMs: undefined,
        released: new Map(),
        moving: new Map(),
        failed: new Map(),
        movedAtMs: new Map(),
      };
      this.#types.set(type, state);
    }
    return state;
  }

  #planType(type: string, state: TypeState, nowMs: number): TableWrite | undefined {
    const regions = this.#livingRegions(type);
    const known = this.#view.tables.get(type) ?? this.#foundTable(regions);
    if (known === undefined) return undefined;
    if (known.revision === 0 && this.#isGathering(state, regions, nowMs)) return undefined;
    const { loadOf } = this.#components;
    const draft = new TableDraft(this.#view, type, {
      ...{ known, regions, history: state },
      ...{ loadOf, nowMs },
    });
    const strategy = this.#strategyOf(type, regions);
    const round: Round = { draft, strategy, state, nowMs };
    for (let shard = 0; shard < known.entries.length; shard++) {
      if (draft.evidence.size >= MAX_EVIDENCE) break;
      this.#settle(shard, round);
    }
    this.#startMoves(round);
    if (!draft.changed) return undefined;
    const compares = [
      { key: COORDINATOR_KEY, revision: this.#term! },
      { key: tableKey(type), revision: known.revision },
      ...[...draft.evidence].map(([key, revision]) => ({ key, revision })),
    ];
    return { type, compares, table: draft.entries };
  }

  #livingRegions(type: string): Map<string, RegionRecord> {
    const living = new Map<string, RegionRecord>();
    const regions = this.#view.regions.get(type) ?? new Map<string, RegionRecord>();
    for (const [node, region] of [...regions].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (this.#view.lives(node, region.session)) living.set(node, region);
    }
    return living;
  }

  /**
   * Whether a type without owners waits for more nodes: where a shard that moves leaves something
   * behind, nodes that come together share from the start.
   */
  #isGathering(
    state: TypeState,
    regions: ReadonlyMap<string, RegionRecord>,
    nowMs: number,
  ): boolean {
    const choices = [...regions.values()].map(({ allocation }) => allocation);
    if (choices[0]?.name !== BY_DEVICE) return false;
    if (!choices.some(({ devices }) => devices !== undefined && devices.length > 0)) return true;
    state.gatheredAtMs ??= nowMs + GATHER_MS;
    return nowMs < state.gatheredAtMs;
  }

  /** The first region of a type says how many shards it has. */
  #foundTable(regions: ReadonlyMap<string, RegionRecord>): KnownTable | undefined {
    const first: RegionRecord | undefined = regions.values().next().value;
    if (first === undefined) return undefined;
    return { revision: 0, entries: new Array<ShardEntry>(first.shards).fill(VACANT) };
  }

  #strategyOf(type: string, regions: ReadonlyMap<string, RegionRecord>): AllocationStrategy {
    const first: RegionRecord | undefined = regions.values().next().value;
    if (first === undefined) return leastShards;
    const own = this.#components.strategy?.(type, first.allocation.name);
    return checked(own ?? builtInStrategy(first.allocation) ?? leastShards);
  }

  /** Gives a shard without a living owner a new one; ends a move that can end. */
  #settle(shard: number, { draft, strategy, state, nowMs }: Round): void {
    const entry = draft.entries[shard]!;
    if (!this.#view.lives(entry.owner, entry.session)) {
      if (draft.candidates.length === 0) return;
      const to = strategy.allocate(shard, draft);
      if (entry.owner !== '') draft.proveEnded(entry.owner);
      draft.proveWilling(to);
      draft.grant(shard, to);
      return;
    }
    if (entry.move === undefined) {
      state.moving.delete(shard);
      return;
    }
    const { node, session } = entry.move;
    const arrived = state.released.get(shard) === entry.epoch;
    if (arrived && this.#view.lives(node, session)) {
      draft.grant(shard, node);
      state.failed.delete(shard);
      return;
    }
    let seen = state.moving.get(shard);
    if (seen?.epoch !== entry.epoch) {
      seen = { epoch: entry.epoch, sinceMs: nowMs };
      state.moving.set(shard, seen);
    }
    const late = nowMs - seen.sinceMs >= this.#options.handoffTimeoutMs;
    if (this.#view.lives(node, session) && !late) return;
    draft.grant(shard, entry.owner);
    this.#failed(state, shard, nowMs);
  }

  #failed({ failed }: TypeState, shard: number, nowMs: number): void {
    const { retryHandoffMs, maxRetryHandoffMs } = this.#options;
    const times = (failed.get(shard)?.times ?? 0) + 1;
    const pauseMs = Math.min(maxRetryHandoffMs, retryHandoffMs * 2 ** (times - 1));
    failed.set(shard, { times, untilMs: nowMs + pauseMs });
  }

  /** Off nodes that drain as fast as the limit allows; for balance in rounds. */
  #startMoves({ draft, strategy, state, nowMs }: Round): void {
    const { entries } = draft;
    if (draft.candidates.length === 0 || draft.evidence.size >= MAX_EVIDENCE) return;
    const limit = Math.max(1, Math.floor(this.#options.rebalanceShare * entries.length));
    let room = limit;
    for (const { move } of entries) if (move !== undefined) room--;
    const moving = room < limit;
    let draining = false;
    for (let shard = 0; shard < entries.length; shard++) {
      const { owner, move } = entries[shard]!;
      if (owner === '' || draft.isCandidate(owner)) continue;
      draining = true;
      if (room <= 0 || move !== undefined || !draft.mayMove(shard)) continue;
      draft.startMove(shard, strategy.allocate(shard, draft));
      room--;
    }
    if (moving || draining || nowMs < state.rebalanceAtMs) return;
    const { rebalanceIntervalMs } = this.#options;
    const pauseShare = strategy.isExact === true ? EXACT_PAUSE_SHARE : 1;
    state.rebalanceAtMs = nowMs + pauseShare * rebalanceIntervalMs;
    for (const { shard, to } of strategy.rebalance(draft, room)) {
      const entry = entries[shard];
      if (room <= 0 || entry === undefined || entry.owner === to || !draft.isCandidate(to))
        continue;
      if (entry.move !== undefined || entry.owner === '' || !draft.mayMove(shard)) continue;
      draft.startMove(shard, to);
      state.movedAtMs.set(shard, nowMs);
      room--;
    }
  }
}

/** One look at one type. */
interface Round {
  readonly draft: TableDraft;
  readonly strategy: AllocationStrategy;
  readonly state: TypeState;
  readonly nowMs: number;
}

/** A strategy of the user's may name a node that is no candidate, or throw. */
function checked(strategy: AllocationStrategy): AllocationStrategy {
  return {
    isExact: strategy.isExact === true,
    allocate(shard, view) {
      try {
        const to = strategy.allocate(shard, view);
        if (view.candidates.some(({ node }) => node === to)) return to;
      } catch {
        // As if it had no opinion.
      }
      return leastShards.allocate(shard, view);
    },
    rebalance(view, limit) {
      try {
        return strategy.rebalance(view, limit);
      } catch {
        return [];
      }
    },
  };
}
