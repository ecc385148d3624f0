// What a seed decides before anything runs: how good the network, the clocks and the store are, and
// which membership preset the fleet has.
import { MEMBERSHIP_PRESETS } from '../../src/cluster/index.ts';
import { driftOf } from './world.ts';
import type { MembershipOptions, MembershipPreset } from '../../src/cluster/index.ts';
import type { Prng } from '../../src/core/index.ts';
import type { HistoryOptions } from './history.ts';
import type { NetworkConditions } from './network.ts';
import type { StoreConditions } from './store-client.ts';
import type { StoreServerOptions } from './store-server.ts';

/** Deliberate bugs, to prove that they are found. */
export const MUTATIONS = ['late-fence', 'no-tombstones', 'no-epoch-check', 'no-patience'] as const;

export type Mutation = (typeof MUTATIONS)[number];

const BROKEN: Readonly<Partial<Record<Mutation, Partial<MembershipOptions>>>> = {
  'no-tombstones': { deadKeptMs: 1, maxTombstones: 1 },
  'no-patience': { suspicionFloorMs: 1, suspicionMultiplier: 0.001 },
};

export interface SimulationOptions extends HistoryOptions {
  /** @default 5 */
  readonly nodes?: number;
  /** Simulated, faults and settling together. @default 1 */
  readonly minutes?: number;
  readonly mutation?: Mutation | undefined;
}

export const DEFAULT_NODES = 5;
export const DEFAULT_MINUTES = 1;
/** Less leaves no time for faults. */
export const MIN_MINUTES = 0.5;

/** After the last fault, all views agree and all keys have one holder within this time. */
export const CONVERGENCE_MS = 25_000;

/** So long after the last fault, nobody who lives is declared dead any more. */
export const CALM_MS = 12_000;

/** Not even who stalls for this long then, as every preset promises. */
export const STALL_MS = 2_000;

export interface Plan {
  readonly preset: MembershipPreset;
  readonly membership: MembershipOptions;
  readonly network: NetworkConditions;
  readonly store: StoreConditions;
  readonly server: StoreServerOptions;
  /** Leases end early now and then: only epochs keep effects apart. */
  readonly storeLies: boolean;
  readonly believedTtl: number;
  readonly epochChecked: boolean;
  readonly keys: readonly string[];
  readonly ttlMs: number;
  /** The mean time between two faults. */
  readonly faultEveryMs: number;
  readonly durationMs: number;
  /** When faults end. */
  readonly healMs: number;
  /** All nodes start at once, rather than one after the other. */
  readonly joinStorm: boolean;
}

export function planOf(prng: Prng, options: SimulationOptions): Plan {
  const { minutes = DEFAULT_MINUTES, mutation } = options;
  const durationMs = minutes * 60_000;
  const pick = <T>(...choices: readonly T[]) => choices[prng.int(choices.length)]!;
  const preset = pick('lan', 'lan', 'lan', 'local');
  const delayMs = pick(0.2, 1, 5);
  const earlyExpiry = pick(0, 0, 0, 0.05);
  return {
    preset,
    membership: {
      ...MEMBERSHIP_PRESETS[preset],
      ...(mutation !== undefined && BROKEN[mutation]),
    },
    network: {
      delayMs,
      jitterMs: pick(0.1, 2, 20),
      loss: pick(0, 0, 0.01, 0.05),
      duplication: pick(0, 0.02),
      late: pick(0, 0.01, 0.05),
      lateMs: pick(100, 1_000, 8_000),
    },
    store: {
      delayMs,
      jitterMs: pick(0.5, 5, 50),
      failure: pick(0, 0, 0.02, 0.1),
      late: pick(0, 0.02, 0.1),
      lateMs: pick(500, 3_000, 9_000),
      timeoutMs: pick(1_000, 3_000, 10_000),
    },
    server: { rate: driftOf(prng), earlyExpiry },
    storeLies: earlyExpiry > 0,
    believedTtl: mutation === 'late-fence' ? 2 : 1,
    epochChecked: mutation !== 'no-epoch-check',
    keys: ['owner/a', 'owner/b', 'owner/c'].slice(0, 1 + prng.int(3)),
    ttlMs: pick(1_000, 2_000, 5_000),
    faultEveryMs: pick(800, 2_000, 5_000),
    durationMs,
    healMs: Math.max(0, durationMs - CONVERGENCE_MS),
    joinStorm: prng.int(2) === 0,
  };
}
