// Balancers with one rule taken away, to show what the rule is worth. None of them ships.
import { POLICIES } from './policies.ts';
import type { RoutingViewOptions } from '../../src/load/index.ts';
import type { Policy } from './simulation.ts';

export interface Variant {
  /** What is changed, for the reader of a table. */
  readonly rule: string;
  /** The policy that it is compared with. */
  readonly of: string;
  readonly policy: Policy;
  readonly view?: RoutingViewOptions;
}

/** From it on the last sample alone makes a node overloaded. */
const BUSY_CPU = 0.95;

const shipped = (name: string) => POLICIES[name] as Policy;

/** Leaves out every node whose last sample was busy, whether or not the others have room. */
function leavingOutBusy(policy: Policy): Policy {
  return (context) => {
    const balancer = policy(context);
    const { store, names } = context;
    const isBusy = (name: string) => (store.get(name)?.record.cpu ?? 0) >= BUSY_CPU;
    return {
      pick(candidates, nowMs) {
        const free = candidates.slots.filter((_, index) => !isBusy(names[index] as string));
        const kept = free.length === 0 ? candidates : { slots: free, count: free.length };
        return balancer.pick(kept, nowMs);
      },
    };
  };
}

/** The fewest requests by the last samples, and nothing of what this router has sent since. */
const bySamplesAlone: Policy = ({ store, names, prng }) => ({
  pick({ slots, count }) {
    const start = prng.int(count);
    let best = 0;
    let fewest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < count; i++) {
      const at = (start + i) % count;
      const record = store.get(names[at] as string)?.record;
      const requests = record === undefined ? 0 : record.inFlight + record.queued;
      if (requests >= fewest) continue;
      best = at;
      fewest = requests;
    }
    return slots[best] as number;
  },
});

/** So short that only the last sample counts. */
const FORGETFUL: RoutingViewOptions = { othersHalfLifeMs: 1e-3 };

export const VARIANTS: readonly Variant[] = [
  {
    rule: 'others’ requests by the last sample, not smoothed',
    of: 'least-outstanding',
    policy: shipped('least-outstanding'),
    view: FORGETFUL,
  },
  {
    rule: 'own requests not counted',
    of: 'least-outstanding',
    policy: bySamplesAlone,
  },
  ...['least-outstanding', 'peak-ewma', 'two-choices', 'adaptive', 'round-robin'].map((of) => ({
    rule: 'nodes left out by their last sample, room or not',
    of,
    policy: leavingOutBusy(shipped(of)),
  })),
];
