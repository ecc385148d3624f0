// Plays a schedule with all-to-all heartbeats: every member tells every other that it lives, and
// each observer judges each member by its own detector. Observers share nothing, so every pair is
// played by itself, without a queue of events; the outcome is the same and a thousand members stay
// cheap.
import { createPrng } from '../../src/core/index.ts';
import { messageBytes } from './message-bytes.ts';
import { WARM_UP_MS } from './schedule.ts';
import type { Prng } from '../../src/core/index.ts';
import type { PairDetector } from './pair-detectors.ts';
import type { Detection, Observation, Schedule, Stall } from './schedule.ts';

export const HEARTBEAT_INTERVAL_MS = 1000;
/** How often an observer looks; the same for both, so that only their judgement differs. */
const CHECK_INTERVAL_MS = 250;
/** A heartbeat says who and how loaded; the sender is known from its connection. */
export const HEARTBEAT_BYTES = messageBytes('heartbeat', { incarnation: 1.7e12, load: 0.57 });

/** What one member does over the schedule, as far as others can notice. */
interface Life {
  /** When its heartbeats leave, stalls and crash considered. */
  readonly beats: readonly number[];
  readonly crashMs: number;
  readonly stalls: readonly Stall[];
  readonly firstCheckMs: number;
}

/** What `detector`, at every observer for every member, makes of `schedule`. */
export function playHeartbeats(schedule: Schedule, detector: PairDetector): Observation {
  const prng = createPrng(schedule.seed, 0x6865);
  const lives = Array.from({ length: schedule.nodes }, (_, node) => lifeOf(node, schedule, prng));
  const detections: Detection[] = [];
  let falsePositives = 0;
  let falselyDead = 0;
  lives.forEach((member, at) => {
    let first = Number.POSITIVE_INFINITY;
    let all = 0;
    const before = falsePositives;
    lives.forEach((observer, by) => {
      if (by === at) return;
      const outcome = playPair({ schedule, member, observer, detector, prng });
      falsePositives += outcome.falsePositives;
      // Who has crashed itself by then need not know.
      if (observer.crashMs < Number.POSITIVE_INFINITY) return;
      first = Math.min(first, outcome.detectedMs);
      all = Math.max(all, outcome.detectedMs);
    });
    if (falsePositives > before) falselyDead++;
    const { crashMs } = member;
    if (crashMs === Number.POSITIVE_INFINITY) return;
    detections.push({ firstMs: first - crashMs, allMs: all - crashMs });
  });
  const messagesPerNodeSecond = ((schedule.nodes - 1) * 1000) / HEARTBEAT_INTERVAL_MS;
  return {
    detections,
    falsePositives,
    falselyDead,
    messagesPerNodeSecond,
    bytesPerNodeSecond: messagesPerNodeSecond * HEARTBEAT_BYTES,
  };
}

function lifeOf(node: number, schedule: Schedule, prng: Prng): Life {
  const crashMs = schedule.crashes.find((crash) => crash.node === node)?.atMs;
  const stalls = schedule.stalls.filter((stall) => stall.node === node);
  const endMs = Math.min(crashMs ?? Number.POSITIVE_INFINITY, schedule.durationMs);
  const beats: number[] = [];
  let atMs = prng.next() * HEARTBEAT_INTERVAL_MS;
  while (atMs < endMs) {
    const runsMs = awakeAt(atMs, stalls);
    if (runsMs < endMs) beats.push(runsMs);
    // Beats that a stall swallowed are not made up for, as with `setInterval`.
    do atMs += HEARTBEAT_INTERVAL_MS;
    while (atMs < runsMs);
  }
  return {
    beats,
    crashMs: crashMs ?? Number.POSITIVE_INFINITY,
    stalls,
    firstCheckMs: prng.next() * CHECK_INTERVAL_MS,
  };
}

/** When a node whose turn is `atMs` gets to it. */
function awakeAt(atMs: number, stalls: readonly Stall[]): number {
  for (const stall of stalls) {
    const endMs = stall.atMs + stall.forMs;
    if (atMs >= stall.atMs && atMs < endMs) return endMs;
  }
  return atMs;
}

interface Pair {
  readonly schedule: Schedule;
  readonly member: Life;
  readonly observer: Life;
  readonly detector: PairDetector;
  readonly prng: Prng;
}

function playPair(pair: Pair): { detectedMs: number; falsePositives: number } {
  const { schedule, member, observer, detector, prng } = pair;
  const [leastMs, mostMs] = schedule.delayMs;
  const endMs = Math.min(observer.crashMs, schedule.durationMs);
  let falsePositives = 0;
  detector.reset(0);
  for (const beatMs of member.beats) {
    if (schedule.loss > 0 && prng.next() < schedule.loss) continue;
    const arrivesMs = beatMs + leastMs + prng.next() * (mostMs - leastMs);
    const heardMs = observer.stalls.length === 0 ? arrivesMs : awakeAt(arrivesMs, observer.stalls);
    if (heardMs >= endMs) break;
    // After a stall timers run before what arrived is read, so the check comes first at a tie.
    if (detector.deadlineMs() < heardMs && checkAfter(detector.deadlineMs(), observer) <= heardMs) {
      if (heardMs >= WARM_UP_MS) falsePositives++;
    }
    detector.heard(heardMs);
  }
  const detectedMs = checkAfter(detector.deadlineMs(), observer);
  if (detectedMs >= endMs) return { detectedMs: Number.POSITIVE_INFINITY, falsePositives };
  if (detectedMs < member.crashMs) falsePositives++;
  return { detectedMs, falsePositives };
}

/** The first check of `observer` at or after `deadlineMs`. */
function checkAfter(deadlineMs: number, observer: Life): number {
  const checks = Math.ceil((deadlineMs - observer.firstCheckMs) / CHECK_INTERVAL_MS);
  const checkMs = observer.firstCheckMs + checks * CHECK_INTERVAL_MS;
  return observer.stalls.length === 0 ? checkMs : awakeAt(checkMs, observer.stalls);
}
