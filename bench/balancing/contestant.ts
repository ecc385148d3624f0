// Contestant: one policy through every scenario; a figure is the median over the seeds.
import { median, readMode, readWorkload, report } from '../harness.ts';
import { POLICIES } from './policies.ts';
import { scenarios } from './scenarios.ts';
import { simulate } from './simulation.ts';
import type { Outcome } from './simulation.ts';
import type { BalancingWorkload } from './workload.ts';

const { durationMs, seeds } = readWorkload<BalancingWorkload>();
const policy = POLICIES[readMode()];
if (policy === undefined) throw new Error(`there is no policy ${readMode()}`);

const figures: Record<string, number> = {};
for (const scenario of scenarios(durationMs)) {
  const outcomes = Array.from({ length: seeds }, (_, index) =>
    simulate(scenario, policy, index + 1),
  );
  for (const figure of ['p50Ms', 'p99Ms', 'maxInFlight', 'hotShare'] as const) {
    const values = outcomes.map((outcome: Outcome) => outcome[figure]);
    figures[`${scenario.id}.${figure}`] = median(values);
  }
}
report(figures);
