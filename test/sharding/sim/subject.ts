// Fleets that shard as `npm run sim -- --of sharding` knows them.
import { totalsOf } from '../../sim/history.ts';
import { MUTATIONS } from './plan.ts';
import { simulate } from './simulation.ts';
import { HITS, STEPS } from './steps.ts';
import type { Subject } from '../../sim/history.ts';

const NAME_WIDTH = 18;
const COUNT_WIDTH = 12;

export const SHARDING: Subject = {
  mutations: MUTATIONS,
  options: {},
  simulate,
  summary(outcomes) {
    const totals = totalsOf(outcomes);
    const row = (name: string, cells: readonly (string | number)[]) =>
      name.padEnd(NAME_WIDTH) + cells.map((cell) => `${cell}`.padStart(COUNT_WIDTH)).join('');
    const steps = STEPS.map((step) =>
      row(
        step,
        HITS.map((hit) => totals.get(`${hit} at ${step}`) ?? 0),
      ),
    );
    const others = [...totals.keys()].filter((name) => !name.includes(' at ')).sort();
    return [
      ...others.map((name) => row(name, [totals.get(name)!])),
      '',
      row('step of a handoff', HITS),
      ...steps,
    ];
  },
};
