// The limit of the bounded-load walk. Who counts the requests in flight is the caller's business.
import { invalidOption } from '../core/index.ts';
import { LOAD_FACTOR } from './defaults.ts';

/**
 * The most requests that one node should have in flight, the one to place included:
 * ceil(factor × (total + 1) / nodes), so that there is always a node below it (Mirrokni, Thorup and
 * Zadimoghaddam, 2016). 0 without nodes.
 */
export function loadCap(totalInFlight: number, nodeCount: number, factor = LOAD_FACTOR): number {
  if (!(factor >= 1)) throw invalidOption('factor', 'at least 1', factor);
  if (nodeCount === 0) return 0;
  return Math.ceil((factor * (totalInFlight + 1)) / nodeCount);
}
