// How busy this node is, from the share of time that its event loop spends working.
import { performance } from 'node:perf_hooks';

/** Returns a sampler of event-loop utilisation since its previous call: 0 idle, 1 saturated. */
export function createLoadSampler(): () => number {
  let previous = performance.eventLoopUtilization();
  return () => {
    const current = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(current, previous);
    previous = current;
    return Number.isFinite(utilization) ? Math.min(1, Math.max(0, utilization)) : 0;
  };
}
