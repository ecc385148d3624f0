// Plays a schedule with Flotilla's own membership, and observes what the others observe of it.
import { SwimWorld } from './swim-world.ts';
import { WARM_UP_MS } from './schedule.ts';
import type { MembershipOptions } from '../../src/cluster/index.ts';
import type { Observation, Schedule } from './schedule.ts';

/** A crash that is being noticed. */
interface Crashed {
  readonly node: number;
  readonly atMs: number;
  readonly seenBy: Set<number>;
  firstMs: number;
  /** When the last that has noticed so far did. */
  lastMs: number;
}

export function playSwim(schedule: Schedule, membership: MembershipOptions): Observation {
  const { nodes, seed, loss, delayMs } = schedule;
  const crashed = new Map<number, Crashed>();
  const falselyDead = new Set<number>();
  let falsePositives = 0;
  const world = new SwimWorld(
    { nodes, seed, membership, loss, delayMs },
    (observer, subject, status) => {
      if (status !== 'dead') return;
      const crash = crashed.get(subject);
      if (crash === undefined) {
        falsePositives++;
        falselyDead.add(subject);
      } else if (!crash.seenBy.has(observer)) {
        crash.seenBy.add(observer);
        crash.lastMs = world.nowMs;
        crash.firstMs = Math.min(crash.firstMs, world.nowMs);
      }
    },
  );
  for (const { node, atMs } of schedule.crashes) {
    world.at(atMs, () => {
      const firstMs = Number.POSITIVE_INFINITY;
      crashed.set(node, { node, atMs, seenBy: new Set(), firstMs, lastMs: 0 });
      world.crash(node);
    });
  }
  for (const { node, atMs, forMs } of schedule.stalls)
    world.at(atMs, () => world.stall(node, forMs));
  world.run(WARM_UP_MS);
  const before = { messages: world.messages, bytes: world.bytes };
  world.run(schedule.durationMs);
  const nodeSeconds = (nodes * (schedule.durationMs - WARM_UP_MS)) / 1000;
  const survivors = Array.from({ length: nodes }, (_, node) => node).filter(
    (node) => !crashed.has(node),
  );
  return {
    detections: [...crashed.values()].map(({ atMs, seenBy, firstMs, lastMs }) => ({
      firstMs: firstMs - atMs,
      allMs: survivors.every((node) => seenBy.has(node)) ? lastMs - atMs : Number.POSITIVE_INFINITY,
    })),
    falsePositives,
    falselyDead: falselyDead.size,
    messagesPerNodeSecond: (world.messages - before.messages) / nodeSeconds,
    bytesPerNodeSecond: (world.bytes - before.bytes) / nodeSeconds,
  };
}
