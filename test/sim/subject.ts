// Fleets without shards as `npm run sim` knows them.
import { totalsOf } from './history.ts';
import { DEFAULT_MINUTES, DEFAULT_NODES, MIN_MINUTES, MUTATIONS } from './plan.ts';
import { simulate } from './simulation.ts';
import type { Outcome, Subject } from './history.ts';

export const FLEET: Subject = {
  mutations: MUTATIONS,
  options: {
    nodes: { what: 'machines', usual: DEFAULT_NODES, least: 1, isWhole: true },
    minutes: {
      what: 'simulated minutes',
      usual: DEFAULT_MINUTES,
      least: MIN_MINUTES,
      isWhole: false,
    },
  },
  simulate,
  summary(outcomes) {
    const counts = [...totalsOf(outcomes)].map(([name, count]) => `${name} ${count}`);
    return [counts.join(', '), converged(outcomes)];
  },
};

function converged(outcomes: readonly Outcome[]): string {
  const all = outcomes.map(({ convergedMs = 0 }) => convergedMs).sort((a, b) => a - b);
  const at = (share: number) => (all[Math.floor(share * (all.length - 1))] ?? 0) / 1000;
  return `converged after the last fault: median ${at(0.5)} s, p99 ${at(0.99)} s, max ${at(1)} s`;
}
