// Every scenario under a policy: the median over seeds of each figure.
import { median } from '../harness.ts';
import { CROWD_FROM, CROWD_UNTIL, SCENARIOS } from './scenarios.ts';
import { simulate } from './simulation.ts';
import { sessionsOf } from './workload.ts';
import type { PolicyName } from '../../src/routing/index.ts';
import type { Scenario } from './scenarios.ts';
import type { Outcome } from './simulation.ts';
import type { Session } from './workload.ts';

export const FIGURES = [
  'hitRate',
  'ttftP50Ms',
  'ttftP90Ms',
  'ttftP99Ms',
  'errorRate',
  'largestShare',
  'crowdShare',
  'utilization',
  'requests',
] as const satisfies readonly (keyof Outcome)[];

export interface Extent {
  readonly durationMs: number;
  readonly seeds: number;
}

/** By the id of the scenario. */
export type Measured = Readonly<Record<string, Outcome>>;

/** Policies meet the same sessions, which are written once for each seed. */
export class Measurer {
  readonly #extent: Extent;
  readonly #written = new Map<string, Session[]>();

  constructor(extent: Extent) {
    this.#extent = extent;
  }

  all(policy: PolicyName): Measured {
    return Object.fromEntries(SCENARIOS.map((one) => [one.id, this.#measure(one, policy)]));
  }

  #measure(scenario: Scenario, policy: PolicyName): Outcome {
    const { durationMs, seeds } = this.#extent;
    const outcomes = Array.from({ length: seeds }, (_, index) => {
      const seed = index + 1;
      const sessions = this.#sessions(scenario, seed);
      return simulate({ scenario, policy, sessions, durationMs, seed });
    });
    const medianOf = (figure: keyof Outcome) => median(outcomes.map((one) => one[figure]));
    return Object.fromEntries(FIGURES.map((name) => [name, medianOf(name)])) as unknown as Outcome;
  }

  #sessions({ rates }: Scenario, seed: number): Session[] {
    const key = JSON.stringify([rates, seed]);
    const shape = { rates, ...this.#extent, crowdFrom: CROWD_FROM, crowdUntil: CROWD_UNTIL };
    const sessions = this.#written.get(key) ?? sessionsOf(shape, seed);
    this.#written.set(key, sessions);
    return sessions;
  }
}
