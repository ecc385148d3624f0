// Contestant: what one routing decision costs, by the slowest balancer, with every node known and
// requests in flight: time, and memory taken from the heap.
import { createPrng } from '../../src/core/index.ts';
import { BALANCER_NAMES, createBalancer, LoadStore, RoutingView } from '../../src/load/index.ts';
import { readWorkload, report } from '../harness.ts';
import { SimulatedNode } from './simulation.ts';
import type { BalancerName } from '../../src/load/index.ts';
import type { BalancingWorkload } from './workload.ts';

const { members, decisions } = readWorkload<BalancingWorkload>();

interface Cost {
  readonly nanoseconds: number;
  readonly bytes: number;
}

function costOf(name: BalancerName): Cost {
  const view = new RoutingView();
  const store = new LoadStore();
  const prng = createPrng(1);
  const slots = new Uint16Array(members);
  for (let i = 0; i < members; i++) {
    const node = new SimulatedNode(`node-${i}`, { slots: 8, speed: 1 });
    for (let running = prng.int(8); running > 0; running--) node.run(1, 0);
    slots[i] = view.add(node.name);
    store.publish(node.sample(1_000), 1_000);
    view.update(node.name, store.get(node.name));
  }
  const balancer = createBalancer(name, { view, prng });
  const candidates = { slots, count: members };
  const decide = (count: number) => {
    for (let i = 0; i < count; i++) {
      const dispatch = view.dispatched(balancer.pick(candidates, i));
      view.settled(dispatch, i, SETTLEMENT);
    }
  };
  decide(decisions);
  const heapBefore = process.memoryUsage().heapUsed;
  const cpuBefore = process.cpuUsage().user;
  decide(decisions);
  const nanoseconds = ((process.cpuUsage().user - cpuBefore) * 1_000) / decisions;
  const grown = process.memoryUsage().heapUsed - heapBefore;
  return { nanoseconds, bytes: Math.max(0, grown) / decisions };
}

const SETTLEMENT = { latencyMs: 20, ok: true };

const figures: Record<string, number> = { slowestMicroseconds: 0, mostBytes: 0 };
for (const name of BALANCER_NAMES) {
  const { nanoseconds, bytes } = costOf(name);
  figures[`${name}.nanoseconds`] = nanoseconds;
  figures['slowestMicroseconds'] = Math.max(figures['slowestMicroseconds']!, nanoseconds / 1_000);
  figures['mostBytes'] = Math.max(figures['mostBytes']!, bytes);
}
report(figures);
