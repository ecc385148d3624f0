// The load of several engines as one: what a node tells of those behind it. Pure but for asking.
import { FlotillaError } from '../core/index.ts';
import type { EngineLoad } from '../load/index.ts';

type Ask = () => Promise<EngineLoad>;

/**
 * Asks all at once; those that do not answer are left out. Rejects with `probe_failed` when none
 * does. Undefined where there is nobody to ask.
 */
export function together(asks: readonly Ask[]): Ask | undefined {
  if (asks.length === 0) return undefined;
  return async () => {
    const answers = await Promise.allSettled(asks.map((ask) => ask()));
    const loads = answers.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    if (loads.length > 0) return combined(loads);
    throw new FlotillaError('probe_failed', 'no engine of this node gives gauges');
  };
}

/** Counts add up; of ratios the highest counts: the fullest cache is the one that evicts. */
export function combined(loads: readonly EngineLoad[]): EngineLoad {
  return {
    ...figure(loads, 'running', sum),
    ...figure(loads, 'waiting', sum),
    ...figure(loads, 'kvCacheUsage', highest),
    ...figure(loads, 'cacheHitRate', highest),
  };
}

/** Absent when no engine has it. */
function figure(
  loads: readonly EngineLoad[],
  name: keyof EngineLoad,
  combine: (values: readonly number[]) => number,
): EngineLoad {
  const values = loads.map((load) => load[name]).filter((value) => value !== undefined);
  return values.length === 0 ? {} : { [name]: combine(values) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function highest(values: readonly number[]): number {
  return Math.max(...values);
}
