// Contestant: the detector that the mode names (`swim`, `heartbeat`, `phi`). All figures are of
// simulated time: they depend on the seeds, not on the machine.
import { readMode, readWorkload, report } from '../harness.ts';
import { DETECTORS, measure } from './measure.ts';
import { crashSizes, HARMLESS, inputDigest, stallSizes } from './workload.ts';
import type { Play } from './measure.ts';
import type { MembershipWorkload } from './workload.ts';

/** At 10 members and at 100. */
const PLAYS: Readonly<Record<string, readonly [ten: Play, hundred: Play]>> = {
  swim: [DETECTORS['swim-local'], DETECTORS['swim-lan']],
  heartbeat: [DETECTORS.heartbeat, DETECTORS.heartbeat],
  phi: [DETECTORS.phi, DETECTORS.phi],
};

const workload = readWorkload<MembershipWorkload>();
const plays = PLAYS[readMode()];
if (plays === undefined) throw new Error(`there is no detector "${readMode()}"`);
const crashes = crashSizes(workload);
const stalls = stallSizes(workload);
const figures: Record<string, number> = {};
let falsePositives = 0;
plays.forEach((play, at) => {
  const size = crashes[at]!;
  const { first, all, messagesPerNodeSecond } = measure(play, 'crash', size);
  figures[`crash${size.nodes}FirstP50Seconds`] = first.p50 / 1000;
  figures[`crash${size.nodes}AllP50Seconds`] = all.p50 / 1000;
  figures[`crash${size.nodes}AllP99Seconds`] = all.p99 / 1000;
  figures[`messagesPerNodeSecond${size.nodes}`] = messagesPerNodeSecond;
  for (const scenario of HARMLESS) {
    falsePositives += measure(play, scenario, stalls[at]!).falsePositives;
  }
});
report({ ...figures, falsePositives }, inputDigest(workload));
