// How long a fleet of membership machines takes to agree: after a join, and after a partition
// heals; and what a node sends meanwhile. Detection of failures is `swim.ts`'s.
import { SwimWorld } from './swim-world.ts';
import { DELAY_MS, WARM_UP_MS } from './schedule.ts';
import type { MembershipOptions } from '../../src/cluster/index.ts';

export interface Fleet {
  readonly nodes: number;
  readonly seed: number;
  readonly membership: MembershipOptions;
  readonly loss: number;
}

/** What a node sends. */
export interface Cost {
  readonly messagesPerNodeSecond: number;
  readonly bytesPerNodeSecond: number;
}

const JOIN_EVERY_MS = 10_000;
const PARTITION_MS = 30_000;
const HEAL_LIMIT_MS = 120_000;
const COST_WINDOW_MS = 10_000;

/** Who holds whom for up, and since when all hold all. */
class Views {
  readonly #size: number;
  readonly #up: Uint8Array;
  #members: number;
  #differing: number;
  agreedAtMs = Number.NaN;

  constructor(nodes: number, newcomers: number) {
    this.#size = nodes + newcomers;
    this.#up = new Uint8Array(this.#size ** 2);
    this.#members = nodes;
    this.#differing = nodes * (nodes - 1);
  }

  get agree(): boolean {
    return this.#differing === 0;
  }

  add(): void {
    this.#differing += 2 * this.#members;
    this.#members++;
  }

  see(pair: { observer: number; subject: number; up: boolean }, nowMs: number): void {
    if (pair.observer === pair.subject) return;
    const at = pair.observer * this.#size + pair.subject;
    if (this.#up[at] === Number(pair.up)) return;
    this.#up[at] = Number(pair.up);
    this.#differing += pair.up ? -1 : 1;
    if (this.#differing === 0) this.agreedAtMs = nowMs;
  }
}

function watched(fleet: Fleet, newcomers: number): { world: SwimWorld; views: Views } {
  const views = new Views(fleet.nodes, newcomers);
  // The world reports while it is being made, at time 0.
  let world: SwimWorld | undefined;
  world = new SwimWorld({ ...fleet, delayMs: DELAY_MS }, (observer, subject, status) => {
    views.see({ observer, subject, up: status === 'up' }, world?.nowMs ?? 0);
  });
  return { world, views };
}

/** Milliseconds until everybody knows a newcomer and it knows everybody, for each of `joins`. */
export function joinTimes(fleet: Fleet, joins: number): number[] {
  const { world, views } = watched(fleet, joins);
  world.run(WARM_UP_MS);
  return Array.from({ length: joins }, () => {
    const atMs = world.nowMs;
    views.add();
    world.join((world.nowMs % fleet.nodes) | 0);
    world.run(atMs + JOIN_EVERY_MS);
    return views.agree ? views.agreedAtMs - atMs : Number.POSITIVE_INFINITY;
  });
}

/** Milliseconds until all hold all for up again after two halves could not reach each other. */
export function healTime(fleet: Fleet): number {
  const { world, views } = watched(fleet, 0);
  world.run(WARM_UP_MS);
  world.partition((index) => index % 2);
  world.run(WARM_UP_MS + PARTITION_MS);
  world.partition(() => 0);
  const healedMs = world.nowMs;
  while (!views.agree && world.nowMs < healedMs + HEAL_LIMIT_MS) world.run(world.nowMs + 1000);
  return views.agree ? views.agreedAtMs - healedMs : Number.POSITIVE_INFINITY;
}

/** What a node sends while nothing happens, and in the seconds around a crash. */
export function costs(fleet: Fleet): { idle: Cost; crash: Cost } {
  const { world } = watched(fleet, 0);
  world.run(WARM_UP_MS);
  const idle = costOf(world, fleet.nodes);
  world.crash(0);
  return { idle, crash: costOf(world, fleet.nodes) };
}

function costOf(world: SwimWorld, nodes: number): Cost {
  const { messages, bytes } = world;
  world.run(world.nowMs + COST_WINDOW_MS);
  const nodeSeconds = (nodes * COST_WINDOW_MS) / 1000;
  return {
    messagesPerNodeSecond: (world.messages - messages) / nodeSeconds,
    bytesPerNodeSecond: (world.bytes - bytes) / nodeSeconds,
  };
}
