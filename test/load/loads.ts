// Load records for tests.
import type { NodeLoad } from '../../src/load/index.ts';

/** An idle node's record, with `fields` in place. */
export function loadOf(node: string, fields: Partial<NodeLoad> = {}): NodeLoad {
  return {
    node,
    incarnation: 1,
    timestampMs: 1,
    cpu: 0,
    memoryUsed: 0,
    memoryMax: 0,
    heapUsed: 0,
    heapMax: 0,
    eventLoopDelayMs: 0,
    eventLoopUtilization: 0,
    inFlight: 0,
    queued: 0,
    ...fields,
  };
}
