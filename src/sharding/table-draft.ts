// The next table of a type in the making: what strategies see of it, what changes, and the evidence
// that the change rests on. Which changes are made is `ShardCoordinator`'s.
import { regionKey, sessionKey } from './ownership-view.ts';
import type { AllocationView } from './allocation.ts';
import type { KnownTable, OwnershipView, RegionRecord } from './ownership-view.ts';
import type { ShardEntry } from './shard-table.ts';

/** What a coordinator remembers of moves. */
export interface MoveHistory {
  /** Shards whose handoff failed: how often, and when they may move again. */
  readonly failed: ReadonlyMap<number, { readonly times: number; readonly untilMs: number }>;
  /** When a shard was last moved for balance. */
  readonly movedAtMs: ReadonlyMap<number, number>;
}

interface MutableCandidate {
  readonly node: string;
  shards: number;
  added: number;
  readonly load: number | undefined;
  readonly devices: readonly string[] | undefined;
}

export interface DraftParts {
  readonly known: KnownTable;
  readonly regions: ReadonlyMap<string, RegionRecord>;
  readonly history: MoveHistory;
  readonly loadOf: ((node: string) => number | undefined) | undefined;
  readonly nowMs: number;
}

/** A table in the making. */
export class TableDraft implements AllocationView {
  readonly type: string;
  readonly entries: ShardEntry[];
  /** The revisions that keys of sessions and regions must have; 0 for none. */
  readonly evidence = new Map<string, number>();
  changed = false;
  readonly #view: OwnershipView;
  readonly #parts: DraftParts;
  #candidates: MutableCandidate[] | undefined;
  #byName = new Map<string, MutableCandidate>();

  constructor(view: OwnershipView, type: string, parts: DraftParts) {
    this.#view = view;
    this.type = type;
    this.entries = [...parts.known.entries];
    this.#parts = parts;
  }

  get shards(): number {
    return this.entries.length;
  }

  /** Nodes whose region lives, has this number of shards, and does not drain. */
  get candidates(): readonly MutableCandidate[] {
    if (this.#candidates !== undefined) return this.#candidates;
    const counts = new Map<string, number>();
    for (let shard = 0; shard < this.entries.length; shard++) {
      const owner = this.ownerOf(shard);
      if (owner !== undefined) counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
    const { regions, loadOf } = this.#parts;
    const candidates: MutableCandidate[] = [];
    for (const [node, { draining, shards, allocation }] of regions) {
      if (draining || shards !== this.entries.length) continue;
      const load = loadOf?.(node);
      const { devices } = allocation;
      candidates.push({ node, shards: counts.get(node) ?? 0, added: 0, load, devices });
    }
    this.#candidates = candidates;
    this.#byName = new Map(candidates.map((candidate) => [candidate.node, candidate]));
    return candidates;
  }

  isCandidate(node: string): boolean {
    return this.candidates.length > 0 && this.#byName.has(node);
  }

  ownerOf(shard: number): string | undefined {
    const { owner, session, move } = this.entries[shard]!;
    if (owner === '' || !this.#view.lives(owner, session)) return undefined;
    return move?.node ?? owner;
  }

  restedMs(shard: number): number {
    const { nowMs, history } = this.#parts;
    return nowMs - (history.movedAtMs.get(shard) ?? -Infinity);
  }

  mayMove(shard: number): boolean {
    const { nowMs, history } = this.#parts;
    return nowMs >= (history.failed.get(shard)?.untilMs ?? -Infinity);
  }

  proveEnded(node: string): void {
    this.evidence.set(sessionKey(node), this.#view.sessions.get(node) ?? 0);
  }

  /** The node wants shards: a draining one that has none may rely on it that it gets none. */
  proveWilling(node: string): void {
    const key = regionKey(this.type, node);
    this.evidence.set(key, this.#view.revisionOf(key));
  }

  /** The next epoch of a shard, at the session that `to` has now. */
  grant(shard: number, to: string): void {
    const { epoch } = this.entries[shard]!;
    this.#count(shard, to);
    this.entries[shard] = { owner: to, session: this.#prove(to), epoch: epoch + 1 };
    this.changed = true;
  }

  startMove(shard: number, to: string): void {
    const entry = this.entries[shard]!;
    this.#count(shard, to);
    this.proveWilling(to);
    this.entries[shard] = { ...entry, move: { node: to, session: this.#prove(to) } };
    this.changed = true;
  }

  #prove(node: string): number {
    const session = this.#view.sessions.get(node)!;
    this.evidence.set(sessionKey(node), session);
    return session;
  }

  #count(shard: number, to: string): void {
    const from = this.ownerOf(shard);
    if (from === to) return;
    void this.candidates;
    const source = this.#byName.get(from ?? '');
    if (source !== undefined) source.shards--;
    const target = this.#byName.get(to);
    if (target === undefined) return;
    target.shards++;
    target.added++;
  }
}
