// What a contestant is told, and what it says of each scenario.
import type { Workload } from '../harness.ts';

export interface BalancingWorkload extends Workload {
  /** Simulated time of each run. */
  readonly durationMs: number;
  /** Runs of each scenario, with seeds from 1. */
  readonly seeds: number;
  /** Members that a routing decision chooses among, and decisions that are timed. */
  readonly members: number;
  readonly decisions: number;
  /** How long the cost of load gossip among as many members is measured. */
  readonly costMs: number;
}
