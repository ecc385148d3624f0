// What a seed decides before anything runs.
import { driftOf } from '../../sim/world.ts';
import { STEPS } from './steps.ts';
import type { Prng } from '../../../src/core/index.ts';
import type { HistoryOptions } from '../../sim/history.ts';
import type { StoreConditions } from '../../sim/store-client.ts';
import type { StoreServerOptions } from '../../sim/store-server.ts';
import type { Step } from './steps.ts';
import type { WireConditions } from './wires.ts';

/** Deliberate bugs, to prove that they are found. */
export const MUTATIONS = ['late-fence', 'resend', 'reorder', 'no-journal-fence'] as const;

export type Mutation = (typeof MUTATIONS)[number];

export interface SimulationOptions extends HistoryOptions {
  readonly mutation?: Mutation | undefined;
}

/** What the two types are like. */
export interface TypesPlan {
  /** Entities of this type are started again wherever their shard goes. */
  readonly remember: 'plain' | 'kept' | undefined;
  /** Of the durable one, which may leave memory when it is idle, */
  readonly passivateAfterMs: number;
  /** and when there are so many. */
  readonly maxActive: number;
  /** Shards below this are pinned, in turn, to the first two nodes. */
  readonly pinned: number;
}

export interface Plan {
  readonly mutation: Mutation | undefined;
  readonly nodes: number;
  readonly shards: number;
  readonly wires: WireConditions;
  readonly store: StoreConditions;
  readonly server: StoreServerOptions;
  readonly journal: { failure: number; late: number; readonly lateMs: number };
  readonly ttlMs: number;
  readonly handoffTimeoutMs: number;
  readonly rebalanceIntervalMs: number;
  /** Only what an operator does on purpose: nothing may be lost then. */
  readonly calm: boolean;
  readonly faultEveryMs: number;
  /** The probability that somebody is hit at a step of a handoff: at any, or at this one. */
  readonly hits: { readonly step: Step | 'any'; readonly probability: number };
  readonly types: TypesPlan;
  readonly messageEveryMs: number;
  /** Handlers take up to this long, now and then very long. */
  handlerMs: number;
  readonly healMs: number;
  readonly durationMs: number;
}

/** After the last fault everything is served again within this, for a TTL of 2 s and less. */
export const HEALED_MS = 22_000;

export function planOf(prng: Prng, { mutation }: SimulationOptions): Plan {
  const pick = <T>(...choices: readonly T[]) => choices[prng.int(choices.length)]!;
  const delayMs = pick(0.2, 1, 5);
  const calm = prng.int(4) === 0;
  const healMs = pick(8_000, 14_000);
  return {
    mutation,
    nodes: pick(2, 3, 3, 4),
    shards: pick(1, 4, 12, 24),
    wires: {
      delayMs,
      jitterMs: pick(0.1, 2, 20),
      late: pick(0, 0.01, 0.05),
      lateMs: pick(50, 500),
    },
    store: {
      delayMs,
      jitterMs: pick(0.5, 5, 30),
      failure: calm ? 0 : pick(0, 0, 0.02, 0.1),
      late: calm ? 0 : pick(0, 0.02, 0.1),
      lateMs: pick(200, 1_500),
      timeoutMs: pick(1_000, 3_000),
    },
    journal: {
      failure: calm ? 0 : pick(0, 0.005, 0.03),
      late: calm ? 0 : pick(0, 0.01, 0.05),
      lateMs: 4_000,
    },
    server: { rate: driftOf(prng), earlyExpiry: 0 },
    ttlMs: pick(1_000, 2_000),
    handoffTimeoutMs: pick(500, 2_000, 5_000),
    rebalanceIntervalMs: pick(200, 500),
    calm,
    faultEveryMs: pick(500, 1_200, 3_000),
    hits: hitsOf(prng, calm),
    types: typesOf(prng, calm),
    messageEveryMs: pick(20, 60),
    // Nothing waits beyond its deadline in a calm history.
    handlerMs: calm ? pick(0, 20) : pick(0, 20, 200),
    healMs,
    durationMs: healMs + HEALED_MS,
  };
}

function hitsOf(prng: Prng, calm: boolean): Plan['hits'] {
  const choice = prng.int(5);
  const step = STEPS[prng.int(STEPS.length)]!;
  if (calm || choice === 0) return { step: 'any', probability: 0 };
  if (choice < 3) return { step: 'any', probability: choice === 1 ? 0.01 : 0.05 };
  return { step, probability: 0.3 };
}

function typesOf(prng: Prng, calm: boolean): TypesPlan {
  const remember = ([undefined, 'plain', 'kept'] as const)[prng.int(3)];
  const stays = remember === 'kept';
  const passivateAfterMs = stays || prng.int(3) === 0 ? Infinity : 50 + 1_500 * prng.next();
  // Over the cap a message may find no room: then not all of them are handled.
  const maxActive = stays || calm || prng.int(2) === 0 ? Infinity : 3;
  const pinned = [0, 0, 2][prng.int(3)]!;
  return { remember, passivateAfterMs, maxActive, pinned };
}
