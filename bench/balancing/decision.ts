// Contestant: what one routing decision costs, by the slowest balancer, with every node known and
// requests in flight: time, and memory taken from the heap; and what a request by key costs, from
// its dispatch to its end.
import { Coordinator } from '../../src/cluster/index.ts';
import { createPrng, systemClock } from '../../src/core/index.ts';
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

/** Nanoseconds of a request by key: the ring's walk within the bound, counted in and out. */
function keyedCost(): number {
  const coordinator = new Coordinator({ clock: systemClock }, { nodeId: 'node-0' });
  for (let i = 0; i < members; i++) {
    const node = new SimulatedNode(`node-${i}`, { slots: 8, speed: 1 });
    for (let running = i % 8; running > 0; running--) node.run(1, 0);
    coordinator.addPeer('', node.name);
    coordinator.load.publish(node.sample(1_000));
  }
  const keys = Array.from({ length: 1_000 }, (_, index) => `conversation-${index}`);
  const dispatch = () => {
    for (let i = 0; i < decisions; i++) {
      coordinator.dispatch(keys[i % keys.length] as string)?.settle(true, 20);
    }
  };
  dispatch();
  const cpuBefore = process.cpuUsage().user;
  dispatch();
  return ((process.cpuUsage().user - cpuBefore) * 1_000) / decisions;
}

const SETTLEMENT = { latencyMs: 20, ok: true };

const figures: Record<string, number> = { slowestMicroseconds: 0, mostBytes: 0 };
for (const name of BALANCER_NAMES) {
  const { nanoseconds, bytes } = costOf(name);
  figures[`${name}.nanoseconds`] = nanoseconds;
  figures['slowestMicroseconds'] = Math.max(figures['slowestMicroseconds']!, nanoseconds / 1_000);
  figures['mostBytes'] = Math.max(figures['mostBytes']!, bytes);
}
figures['keyedMicroseconds'] = keyedCost() / 1_000;
report(figures);
