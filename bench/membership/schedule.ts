// What befalls a fleet in a scenario: who crashes, who stalls, what the network loses; and what
// detection made of it. A schedule follows from its scenario and seed alone, so that every
// detector meets the same one; playing it is for `heartbeats.ts` and `swim-world.ts`.
import { createPrng, shuffle } from '../../src/core/index.ts';
import type { Prng } from '../../src/core/index.ts';

/** A member's event loop does nothing for a while; what arrives meanwhile waits. */
export interface Stall {
  readonly node: number;
  readonly atMs: number;
  readonly forMs: number;
}

/** A member ends without a word: its links do not even break. */
export interface Crash {
  readonly node: number;
  readonly atMs: number;
}

export interface Schedule {
  readonly nodes: number;
  readonly seed: number;
  readonly durationMs: number;
  /** Share of messages that never arrive. */
  readonly loss: number;
  /** A message takes this long, evenly spread. */
  readonly delayMs: readonly [least: number, most: number];
  readonly crashes: readonly Crash[];
  readonly stalls: readonly Stall[];
}

/** Names of the scenarios, with what the tables call them. */
export const SCENARIOS = {
  crash: 'one member crashes',
  'crash-loss': 'one member crashes, 5 % loss',
  loss: '5 % loss',
  stall: '2 s stall of one member',
  'stall-loss': '2 s stall of one member, 5 % loss',
  'stall-many': '2 s stall of 10 % at once',
  'stall-many-loss': '2 s stall of 10 % at once, 5 % loss',
} as const;

export type Scenario = keyof typeof SCENARIOS;

/** What became of a crash: when the first survivor and when the last one knew. */
export interface Detection {
  readonly firstMs: number;
  /** Infinity when not all knew before the next crash. */
  readonly allMs: number;
}

/** What a detector made of a schedule. */
export interface Observation {
  readonly detections: readonly Detection[];
  /** Living members declared dead: pairs of observer and member. */
  readonly falsePositives: number;
  /** Of these, different members. */
  readonly falselyDead: number;
  /** Sent by a node in a second, over the measured time. */
  readonly messagesPerNodeSecond: number;
  readonly bytesPerNodeSecond: number;
}

/** Time in which detectors settle before anything happens. */
export const WARM_UP_MS = 20_000;
const CRASH_EVERY_MS = 25_000;
const STALL_EVERY_MS = 15_000;
const STALL_MS = 2000;
const LOSS = 0.05;
export const DELAY_MS = [0.2, 2] as const;

/** The history of `scenario` at a size that follows from `seed`, with `episodes` events. */
export function scheduleOf(
  scenario: Scenario,
  size: { readonly nodes: number; readonly episodes: number },
  seed: number,
): Schedule {
  const { nodes, episodes } = size;
  const prng = createPrng(seed, nodes);
  const crashing = scenario.startsWith('crash');
  const everyMs = crashing ? CRASH_EVERY_MS : STALL_EVERY_MS;
  const order = Array.from({ length: nodes }, (_, node) => node);
  shuffle(order, prng);
  const times = Array.from(
    { length: episodes },
    (_, episode) => WARM_UP_MS + episode * everyMs + prng.next() * 1000,
  );
  return {
    nodes,
    seed,
    durationMs: WARM_UP_MS + episodes * everyMs,
    loss: scenario.endsWith('loss') ? LOSS : 0,
    delayMs: DELAY_MS,
    crashes: crashing ? times.map((atMs, i) => ({ node: order[i] as number, atMs })) : [],
    stalls: times.flatMap((atMs) =>
      stalledAt(scenario, nodes, prng).map((node) => stall(node, atMs)),
    ),
  };
}

const stall = (node: number, atMs: number): Stall => ({ node, atMs, forMs: STALL_MS });

function stalledAt(scenario: Scenario, nodes: number, prng: Prng): number[] {
  if (!scenario.startsWith('stall')) return [];
  if (!scenario.startsWith('stall-many')) return [prng.int(nodes)];
  const order = Array.from({ length: nodes }, (_, node) => node);
  shuffle(order, prng);
  return order.slice(0, Math.max(1, Math.round(nodes / 10)));
}
