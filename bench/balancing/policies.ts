// The contestants: every balancer of `src/load/`, the original's strict minimum, and an oracle that
// sees every node as it is.
import { BALANCER_NAMES, createBalancer } from '../../src/load/index.ts';
import type { Policy } from './simulation.ts';

/** The least CPU of the last samples, ties by name: what the original's "weighted" comes to. */
const strictMinimum: Policy = ({ store, names }) => ({
  pick: ({ slots }) => {
    let best = 0;
    let bestCpu = Number.POSITIVE_INFINITY;
    for (const [index, name] of names.entries()) {
      const cpu = store.get(name)?.record.cpu ?? Number.POSITIVE_INFINITY;
      if (cpu < bestCpu) {
        best = index;
        bestCpu = cpu;
      }
    }
    return slots[best]!;
  },
});

/** Joins the node where the request would finish first, by fresh counts and true speeds. */
const oracle: Policy = ({ nodes }) => ({
  pick: ({ slots }) => {
    let best = 0;
    let bestMs = Number.POSITIVE_INFINITY;
    for (const [index, node] of nodes.entries()) {
      const waitMs = Math.max(0, node.outstanding + 1 - node.slots) / node.capacity;
      const ms = waitMs + 1 / node.speed;
      if (ms >= bestMs) continue;
      best = index;
      bestMs = ms;
    }
    return slots[best]!;
  },
});

export const POLICIES: Readonly<Record<string, Policy>> = {
  oracle,
  ...Object.fromEntries(
    BALANCER_NAMES.map((name) => [name, (context) => createBalancer(name, context)] as const),
  ),
  'strict-minimum': strictMinimum,
} satisfies Record<string, Policy>;
