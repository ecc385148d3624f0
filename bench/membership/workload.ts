// What the bench plays: how many fleets of which size, for the goals L3 and L4.
import { digestOf } from '../harness.ts';
import { scheduleOf } from './schedule.ts';
import type { Size } from './measure.ts';
import type { Scenario } from './schedule.ts';

export type MembershipWorkload = {
  /** Fleets of 10 with one crash each, and of 100 with several. */
  readonly seedsOf10: number;
  readonly seedsOf100: number;
  readonly crashesOf100: number;
  /** Stalls in each fleet, per scenario and size. */
  readonly stalls: number;
};

/** Crashes in small and larger fleets, each told apart by its size. */
export function crashSizes(workload: MembershipWorkload): readonly [ten: Size, hundred: Size] {
  const { seedsOf10, seedsOf100, crashesOf100 } = workload;
  return [
    { nodes: 10, seeds: seedsOf10, episodes: 1 },
    { nodes: 100, seeds: seedsOf100, episodes: crashesOf100 },
  ];
}

/** Stalls in the same fleets. */
export function stallSizes(workload: MembershipWorkload): readonly [ten: Size, hundred: Size] {
  const { seedsOf10, seedsOf100, stalls } = workload;
  return [
    { nodes: 10, seeds: seedsOf10, episodes: stalls },
    { nodes: 100, seeds: seedsOf100, episodes: stalls },
  ];
}

/** The scenarios in which nobody fails, so that every failure that is declared is false. */
export const HARMLESS: readonly Scenario[] = ['stall', 'stall-loss'];

/** Digest of every schedule that is played: all detectors meet the same. */
export function inputDigest(workload: MembershipWorkload): string {
  const schedules = (scenario: Scenario, { nodes, seeds, episodes }: Size) =>
    Array.from({ length: seeds }, (_, seed) => scheduleOf(scenario, { nodes, episodes }, seed + 1));
  return digestOf(
    JSON.stringify([
      crashSizes(workload).map((size) => schedules('crash', size)),
      HARMLESS.map((scenario) => stallSizes(workload).map((size) => schedules(scenario, size))),
    ]),
  );
}
