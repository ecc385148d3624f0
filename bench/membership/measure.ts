// Many seeds of a scenario for one detector, and what they come to: percentiles and sums. The
// detectors by name are here; where the figures go is for `contestant.ts` and `document.ts`.
import { MEMBERSHIP_PRESETS } from '../../src/cluster/index.ts';
import { playHeartbeats } from './heartbeats.ts';
import { FixedTimeout, PhiAccrual } from './pair-detectors.ts';
import { scheduleOf } from './schedule.ts';
import { playSwim } from './swim.ts';
import type { Observation, Scenario, Schedule } from './schedule.ts';

export type Play = (schedule: Schedule) => Observation;

/** Silence that ends a member under plain heartbeats: five of them. */
export const HEARTBEAT_TIMEOUT_MS = 5000;

export const DETECTORS = {
  'swim-local': (schedule) => playSwim(schedule, MEMBERSHIP_PRESETS.local),
  'swim-lan': (schedule) => playSwim(schedule, MEMBERSHIP_PRESETS.lan),
  heartbeat: (schedule) => playHeartbeats(schedule, new FixedTimeout(HEARTBEAT_TIMEOUT_MS)),
  phi: (schedule) => playHeartbeats(schedule, new PhiAccrual()),
} as const satisfies Readonly<Record<string, Play>>;

export type DetectorName = keyof typeof DETECTORS;

export interface Size {
  readonly nodes: number;
  /** Fleets, each with a seed of its own. */
  readonly seeds: number;
  /** Crashes or stalls in each fleet, one after the other. */
  readonly episodes: number;
}

export interface Measured {
  readonly first: Percentiles;
  readonly all: Percentiles;
  readonly falsePositives: number;
  readonly falselyDead: number;
  readonly messagesPerNodeSecond: number;
  readonly bytesPerNodeSecond: number;
  /** Crashes or stalls that were played. */
  readonly episodes: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly worst: number;
}

export function measure(play: Play, scenario: Scenario, size: Size): Measured {
  const { nodes, seeds, episodes } = size;
  const outcomes = Array.from({ length: seeds }, (_, seed) =>
    play(scheduleOf(scenario, { nodes, episodes }, seed + 1)),
  );
  const detections = outcomes.flatMap((outcome) => outcome.detections);
  const total = (of: (outcome: Observation) => number) =>
    outcomes.reduce((sum, outcome) => sum + of(outcome), 0);
  return {
    first: percentiles(detections.map(({ firstMs }) => firstMs)),
    all: percentiles(detections.map(({ allMs }) => allMs)),
    falsePositives: total((outcome) => outcome.falsePositives),
    falselyDead: total((outcome) => outcome.falselyDead),
    messagesPerNodeSecond: total((outcome) => outcome.messagesPerNodeSecond) / seeds,
    bytesPerNodeSecond: total((outcome) => outcome.bytesPerNodeSecond) / seeds,
    episodes: seeds * episodes,
  };
}

/** By the nearest rank, so that each is a value that occurred. NaN without values. */
export function percentiles(values: readonly number[]): Percentiles {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
  return { p50: rank(0.5), p99: rank(0.99), worst: rank(1) };
}
