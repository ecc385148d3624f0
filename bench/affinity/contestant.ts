// Contestant: the policy that the mode names, through every scenario.
import { POLICY_NAMES } from '../../src/routing/index.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { FIGURES, Measurer } from './measure.ts';
import type { AffinityWorkload } from './workload.ts';

const policy = POLICY_NAMES.find((name) => name === readMode());
if (policy === undefined) throw new Error(`there is no policy ${readMode()}`);
const measured = new Measurer(readWorkload<AffinityWorkload>()).all(policy);

const figures: Record<string, number> = {};
let answered = 0;
let requests = 0;
for (const [id, outcome] of Object.entries(measured)) {
  for (const figure of FIGURES) figures[`${id}.${figure}`] = outcome[figure];
  answered += outcome.requests * (1 - outcome.errorRate);
  requests += outcome.requests;
}
figures['answeredShare'] = answered / requests;
const { mixed, mixed8 } = measured;
figures['lostPoints8Gateways'] = (mixed!.hitRate - mixed8!.hitRate) * 100;
report(figures);
