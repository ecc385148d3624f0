// The newest record of every node, and its smoothed CPU and memory. Records arrive by gossip in any
// order and more than once; whoever sends them has had them read by `readNodeLoad`.
import { invalidOption } from '../core/index.ts';
import { LOAD_DEFAULTS } from './defaults.ts';
import { smooth } from './ewma.ts';
import { usageOf } from './node-load.ts';
import type { NodeLoad } from './node-load.ts';

export interface LoadStoreOptions {
  /** @default 5000 */
  readonly staleAfterMs?: number;
  /** @default 4096 */
  readonly maxNodes?: number;
  /** @default 500 */
  readonly riseHalfLifeMs?: number;
  /** @default 4000 */
  readonly fallHalfLifeMs?: number;
  /** @default 5000 */
  readonly sustainedHalfLifeMs?: number;
}

export interface KnownLoad {
  readonly record: NodeLoad;
  /** On the receiving node's monotonic clock. */
  readonly receivedAtMs: number;
  /** Smoothed, 0 to 1: up fast, down slowly. */
  readonly cpu: number;
  readonly memory: number;
  /** Over a longer time: what a node is, not what a burst makes of it. */
  readonly sustainedCpu: number;
  readonly sustainedMemory: number;
}

type PastLoad = Pick<NodeLoad, 'incarnation' | 'timestampMs'>;

/**
 * What became of a record: `stored`; `older` than what is known (or the same again); of a node that
 * was `removed` in this life; or one too many (`full`).
 */
export type PublishOutcome = 'stored' | 'older' | 'removed' | 'full';

/** @see SEEDS: the metrics store of atomr, which lets an old sample replace a new one. */
export class LoadStore {
  readonly #options: Required<LoadStoreOptions>;
  readonly #known = new Map<string, KnownLoad>();
  /** The newest record of nodes that are not known any more: late ones do not bring them back. */
  readonly #past = new Map<string, PastLoad>();
  readonly #outcomes = { stored: 0, older: 0, removed: 0, full: 0, expired: 0 };

  constructor(options: LoadStoreOptions = {}) {
    this.#options = { ...LOAD_DEFAULTS, ...options };
    for (const name of ['staleAfterMs', 'maxNodes', 'riseHalfLifeMs', 'fallHalfLifeMs'] as const) {
      const value = this.#options[name];
      if (!(value > 0)) throw invalidOption(name, 'above 0', value);
    }
  }

  get count(): number {
    return this.#known.size;
  }

  /** How many records met which end, and how many expired. */
  get outcomes(): Readonly<Record<PublishOutcome | 'expired', number>> {
    return this.#outcomes;
  }

  get(node: string): KnownLoad | undefined {
    return this.#known.get(node);
  }

  /** Every known load, without a copy of the records. */
  snapshot(): KnownLoad[] {
    return [...this.#known.values()];
  }

  /** Takes a record in unless what is known is as new. */
  publish(record: NodeLoad, nowMs: number): PublishOutcome {
    const outcome = this.#judge(record);
    this.#outcomes[outcome]++;
    if (outcome !== 'stored') return outcome;
    const { node, cpu, memoryUsed, memoryMax } = record;
    const previous = this.#known.get(node);
    const sameLife = previous?.record.incarnation === record.incarnation ? previous : undefined;
    const elapsedMs = nowMs - (sameLife?.receivedAtMs ?? nowMs);
    const { riseHalfLifeMs, fallHalfLifeMs, sustainedHalfLifeMs } = this.#options;
    const follow = { elapsedMs, riseHalfLifeMs, fallHalfLifeMs };
    const sustain = {
      elapsedMs,
      riseHalfLifeMs: sustainedHalfLifeMs,
      fallHalfLifeMs: sustainedHalfLifeMs,
    };
    const memory = usageOf(memoryUsed, memoryMax);
    this.#known.set(node, {
      record,
      receivedAtMs: nowMs,
      cpu: smooth(sameLife?.cpu ?? Number.NaN, cpu, follow),
      memory: smooth(sameLife?.memory ?? Number.NaN, memory, follow),
      sustainedCpu: smooth(sameLife?.sustainedCpu ?? Number.NaN, cpu, sustain),
      sustainedMemory: smooth(sameLife?.sustainedMemory ?? Number.NaN, memory, sustain),
    });
    this.#past.delete(node);
    return outcome;
  }

  /** Forgets a node in its present life; records of a later life are welcome. */
  remove(node: string, incarnation: number): void {
    const known = this.#known.get(node)?.record;
    if (known !== undefined && known.incarnation > incarnation) return;
    this.#forget(node, { incarnation, timestampMs: Number.POSITIVE_INFINITY });
  }

  /** Drops what is too old to be acted on. Returns the nodes that became unknown. */
  expire(nowMs: number): string[] {
    const expired: string[] = [];
    for (const [node, { record, receivedAtMs }] of this.#known) {
      if (nowMs - receivedAtMs <= this.#options.staleAfterMs) continue;
      this.#forget(node, record);
      expired.push(node);
    }
    this.#outcomes.expired += expired.length;
    return expired;
  }

  #forget(node: string, { incarnation, timestampMs }: PastLoad): void {
    this.#known.delete(node);
    this.#past.delete(node);
    this.#past.set(node, { incarnation, timestampMs });
    if (this.#past.size <= this.#options.maxNodes) return;
    const [oldest] = this.#past.keys();
    if (oldest !== undefined) this.#past.delete(oldest);
  }

  #judge({ node, incarnation, timestampMs }: NodeLoad): PublishOutcome {
    const known = this.#known.get(node)?.record;
    const newest = known ?? this.#past.get(node);
    if (newest !== undefined && incarnation <= newest.incarnation) {
      if (newest.timestampMs === Number.POSITIVE_INFINITY) return 'removed';
      const newer = incarnation === newest.incarnation && timestampMs > newest.timestampMs;
      if (!newer) return 'older';
    }
    return known !== undefined || this.count < this.#options.maxNodes ? 'stored' : 'full';
  }
}
