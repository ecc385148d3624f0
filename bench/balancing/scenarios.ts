// What the balancers are put through. Work is in milliseconds at speed 1; the arrival rate follows
// from the utilisation that a scenario asks for.
import { mixSelector } from '../../src/load/index.ts';
import type { Prng } from '../../src/core/index.ts';
import type { RoutingViewOptions } from '../../src/load/index.ts';

export interface Scenario {
  /** Names its figures. */
  readonly id: string;
  /** For the reader of a table. */
  readonly name: string;
  readonly nodes: readonly { readonly slots: number; readonly speed: number }[];
  readonly routers: number;
  /** Whether routers are told the capacities that members declare. */
  readonly knownCapacity: boolean;
  /** What every router's view is made with. */
  readonly view: RoutingViewOptions;
  readonly durationMs: number;
  /** Requests that arrive before it are not counted. */
  readonly warmUpMs: number;
  readonly sampleIntervalMs: number;
  readonly gossipDelayMs: number;
  readonly ratePerMs: { readonly peak: number; at(nowMs: number): number };
  readonly workMs: (prng: Prng) => number;
  /** Nodes that change their speed. */
  readonly events: readonly { atMs: number; node: number; speed: number }[];
}

const MEAN_WORK_MS = 200;
const WORK_SIGMA = 0.8;

/** Log-normal with the mean above: most requests are short, some are long. */
function workMs(prng: Prng): number {
  return Math.exp(Math.log(MEAN_WORK_MS) - WORK_SIGMA ** 2 / 2 + WORK_SIGMA * prng.normal());
}

const EQUAL = Array.from({ length: 20 }, () => ({ slots: 8, speed: 1 }));
const MIXED = Array.from({ length: 20 }, (_, index) => ({
  slots: index % 4 === 0 ? 16 : 8,
  speed: index % 5 === 0 ? 0.5 : 1,
}));

interface Shape {
  readonly id: string;
  readonly name: string;
  readonly nodes?: Scenario['nodes'];
  readonly utilization?: number;
  readonly rate?: (shareOfTime: number) => number;
  readonly peak?: number;
  readonly events?: Scenario['events'];
  readonly routers?: number;
  readonly knownCapacity?: boolean;
}

export function scenarios(durationMs: number): Scenario[] {
  const shapes: Shape[] = [
    { id: 'equal', name: 'equal nodes, 80 %' },
    { id: 'oneRouter', name: 'equal nodes, 80 %, one router', routers: 1 },
    { id: 'unequal', name: 'unequal nodes, 80 %', nodes: MIXED, knownCapacity: true },
    { id: 'unknown', name: 'unequal nodes, capacities unknown', nodes: MIXED },
    {
      id: 'slowNode',
      name: 'one slow node',
      utilization: 0.7,
      events: [{ atMs: durationMs * 0.3, node: 3, speed: 0.25 }],
    },
    {
      id: 'dayAndNight',
      name: 'day and night',
      rate: (t) => 0.6 + 0.4 * Math.sin(2 * Math.PI * t),
      peak: 1,
    },
    {
      id: 'flashCrowd',
      name: 'flash crowd',
      utilization: 0.6,
      rate: (t) => (t > 0.5 && t < 0.6 ? 1.6 : 1),
      peak: 1.6,
    },
  ];
  return shapes.map((shape) => toScenario(shape, durationMs));
}

function toScenario(shape: Shape, durationMs: number): Scenario {
  const { nodes = EQUAL, utilization = 0.8, rate = () => 1, peak = 1 } = shape;
  const capacity = nodes.reduce((sum, { slots, speed }) => sum + slots * speed, 0);
  const base = (utilization * capacity) / MEAN_WORK_MS;
  return {
    id: shape.id,
    name: shape.name,
    nodes,
    routers: shape.routers ?? 4,
    knownCapacity: shape.knownCapacity ?? false,
    view: { selector: mixSelector },
    durationMs,
    warmUpMs: durationMs * 0.1,
    sampleIntervalMs: 1_000,
    gossipDelayMs: 20,
    ratePerMs: { peak: base * peak, at: (nowMs) => base * rate(nowMs / durationMs) },
    workMs,
    events: shape.events ?? [],
  };
}
