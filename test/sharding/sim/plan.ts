// What a seed decides before anything runs.
import type { Prng } from '../../../src/core/index.ts';
import type { StoreConditions } from '../../sim/store-client.ts';
import type { StoreServerOptions } from '../../sim/store-server.ts';
import type { WireConditions } from './wires.ts';

/** Deliberate bugs, to prove that they are found. */
export type Mutation = 'late-fence' | 'resend' | 'reorder' | 'no-journal-fence';

export interface SimulationOptions {
  readonly seed: number;
  readonly mutation?: Mutation | undefined;
  readonly onLine?: ((line: string) => void) | undefined;
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
  /** The probability that somebody crashes at a step of a handoff. */
  readonly crashAtStep: number;
  readonly messageEveryMs: number;
  /** Handlers take up to this long, now and then very long. */
  readonly handlerMs: number;
  readonly healMs: number;
  readonly durationMs: number;
}

/** After the last fault everything is served again within this, for a TTL of 2 s and less. */
export const HEALED_MS = 22_000;

const CLOCK_DRIFT = 0.05;

export function planOf(prng: Prng, { mutation }: SimulationOptions): Plan {
  const pick = <T>(...choices: readonly T[]) => choices[prng.int(choices.length)]!;
  const delayMs = pick(0.2, 1, 5);
  const calm = prng.int(4) === 0;
  const healMs = pick(8_000, 14_000);
  return {
    mutation,
    nodes: pick(2, 3, 3, 4),
    shards: pick(1, 4, 12),
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
    crashAtStep: calm ? 0 : pick(0, 0.05, 0.3),
    messageEveryMs: pick(20, 60),
    // Nothing waits beyond its deadline in a calm history.
    handlerMs: calm ? pick(0, 20) : pick(0, 20, 200),
    healMs,
    durationMs: healMs + HEALED_MS,
  };
}

export function driftOf(prng: Prng): number {
  return 1 + CLOCK_DRIFT * (2 * prng.next() - 1);
}
