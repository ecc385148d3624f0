// Measures what docs/membership.md shows, part by part, and keeps it in `figures.json`: `node
// bench/membership/figures.ts [PART...]`; all parts take about ten minutes of processor time.
// `document.ts` draws it. Everything is simulated time and follows from the seeds.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { MEMBERSHIP_PRESETS } from '../../src/cluster/index.ts';
import { costs, healTime, joinTimes } from './convergence.ts';
import { playHeartbeats } from './heartbeats.ts';
import { DETECTORS, measure, percentiles } from './measure.ts';
import { AKKA_OPTIONS, FixedTimeout, PhiAccrual } from './pair-detectors.ts';
import { playSwim } from './swim.ts';
import type { Cost } from './convergence.ts';
import type { DetectorName, Measured, Percentiles, Play, Size } from './measure.ts';
import type { Scenario } from './schedule.ts';

/** One detector in one scenario at one size. */
export interface Row extends Measured {
  readonly detector: string;
  readonly scenario: Scenario;
  readonly nodes: number;
}

/** One setting of one detector: how soon it sees a crash, how often it is wrong. */
export interface TradeOff {
  readonly detector: string;
  readonly setting: number;
  readonly allP99Ms: number;
  readonly falsePositives: number;
}

export interface Convergence {
  readonly nodes: number;
  readonly join: Percentiles;
  readonly heal: Percentiles;
  readonly idle: Cost;
  readonly crash: Cost;
}

export interface Figures {
  readonly crash?: readonly Row[];
  readonly harmless?: readonly Row[];
  readonly 'trade-offs'?: readonly TradeOff[];
  readonly convergence?: readonly Convergence[];
}

const CRASHES: readonly Size[] = [
  { nodes: 3, seeds: 200, episodes: 1 },
  { nodes: 10, seeds: 200, episodes: 1 },
  { nodes: 100, seeds: 40, episodes: 3 },
  { nodes: 1000, seeds: 1, episodes: 3 },
];
const STALLS: readonly Size[] = [
  { nodes: 3, seeds: 100, episodes: 1 },
  { nodes: 10, seeds: 200, episodes: 1 },
  { nodes: 100, seeds: 15, episodes: 4 },
  { nodes: 1000, seeds: 1, episodes: 2 },
];
/** The preset `local` is for one switch. */
const MOST_LOCAL = 100;

const HARMLESS = ['loss', 'stall', 'stall-loss', 'stall-many', 'stall-many-loss'] as const;

const FILE = path.join(import.meta.dirname, 'figures.json');

function rows(scenarios: readonly Scenario[], sizes: readonly Size[]): Row[] {
  return (Object.keys(DETECTORS) as DetectorName[]).flatMap((detector) =>
    sizes
      .filter(({ nodes }) => detector !== 'swim-local' || nodes <= MOST_LOCAL)
      .flatMap((size) =>
        scenarios.map((scenario) => {
          note(`${detector}, ${scenario}, ${size.nodes}`);
          const measured = measure(DETECTORS[detector], scenario, size);
          return { detector, scenario, nodes: size.nodes, ...measured };
        }),
      ),
  );
}

/** At 100 members: a tenth stalls for 2 s while 5 % of messages are lost. */
function tradeOffs(): TradeOff[] {
  const size: Size = { nodes: 100, seeds: 10, episodes: 3 };
  const { lan } = MEMBERSHIP_PRESETS;
  const settings: readonly (readonly [string, readonly number[], (setting: number) => Play])[] = [
    [
      'swim-lan',
      [1, 2, 3, 4, 6],
      (suspicionMultiplier) => (schedule) =>
        playSwim(schedule, { ...lan, suspicionMultiplier, suspicionFloorMs: 1 }),
    ],
    [
      'heartbeat',
      [1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000],
      (timeoutMs) => (schedule) => playHeartbeats(schedule, new FixedTimeout(timeoutMs)),
    ],
    [
      'phi',
      [0, 1000, 2000, 3000, 4000, 6000],
      (acceptablePauseMs) => {
        const detector = new PhiAccrual({ ...AKKA_OPTIONS, acceptablePauseMs });
        return (schedule) => playHeartbeats(schedule, detector);
      },
    ],
  ];
  return settings.flatMap(([detector, values, playOf]) =>
    values.map((setting) => {
      note(`${detector} at ${setting}`);
      const crash = measure(playOf(setting), 'crash', size);
      const { falsePositives } = measure(playOf(setting), 'stall-many-loss', size);
      return { detector, setting, allP99Ms: crash.all.p99, falsePositives };
    }),
  );
}

function convergence(): Convergence[] {
  const { lan: membership } = MEMBERSHIP_PRESETS;
  const fleets = [
    { nodes: 10, seeds: 20 },
    { nodes: 100, seeds: 10 },
    { nodes: 1000, seeds: 1 },
  ];
  return fleets.map(({ nodes, seeds }) => {
    note(`convergence of ${nodes}`);
    const each = Array.from({ length: seeds }, (_, seed) => ({
      ...{ nodes, seed: seed + 1, membership, loss: 0 },
    }));
    return {
      nodes,
      join: percentiles(each.flatMap((fleet) => joinTimes(fleet, 5))),
      heal: percentiles(each.map(healTime)),
      ...costs(each[0]!),
    };
  });
}

const PARTS: Readonly<Record<keyof Figures, () => unknown>> = {
  crash: () => rows(['crash', 'crash-loss'], CRASHES),
  harmless: () => rows(HARMLESS, STALLS),
  'trade-offs': tradeOffs,
  convergence,
};

/** What was measured last. */
export function readFigures(): Figures {
  return existsSync(FILE) ? (JSON.parse(readFileSync(FILE, 'utf8')) as Figures) : {};
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

if (import.meta.main) {
  const asked = process.argv.slice(2);
  for (const part of Object.keys(PARTS) as (keyof Figures)[]) {
    if (asked.length > 0 && !asked.includes(part)) continue;
    const measured = PARTS[part]();
    // Read late: parts may be measured at the same time.
    writeFileSync(FILE, `${JSON.stringify({ ...readFigures(), [part]: measured }, null, 2)}\n`);
  }
}
