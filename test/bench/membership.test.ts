// The membership bench runs on tiny input, and its two baselines judge as their sources say.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventQueue } from '../../bench/event-queue.ts';
import { AKKA_OPTIONS, PhiAccrual, phiAt } from '../../bench/membership/pair-detectors.ts';
import { createPrng } from '../../src/core/index.ts';
import { quickRun } from './quick-run.ts';

test('the membership bench compares three detectors on one input', () => {
  const { workload, medians, ratios } = quickRun('membership');
  assert.match(workload, /^[0-9a-f]{64}$/);
  assert.deepEqual(Object.keys(medians), ['flotilla', 'heartbeat', 'phi']);
  assert.deepEqual(Object.keys(ratios), ['L3a', 'L3b', 'L4']);
  for (const [id, ratio] of Object.entries(ratios)) {
    assert.ok(Number.isFinite(ratio), `${id} is ${ratio}`);
  }
});

test('φ-accrual waits for interval, pause and what the deviation allows', () => {
  const detector = new PhiAccrual();
  detector.reset(0);
  for (let beat = 1; beat <= 2000; beat++) detector.heard(beat * 1000);
  const silenceMs = detector.deadlineMs() - 2_000_000;
  const deviations = (silenceMs - 1000 - AKKA_OPTIONS.acceptablePauseMs) / 100;
  assert.ok(Math.abs(phiAt(deviations) - AKKA_OPTIONS.threshold) < 1e-6);
  assert.ok(silenceMs > 4400 && silenceMs < 4700, `${silenceMs} ms`);
});

test('simulated events come by time, and in order within one moment', () => {
  const prng = createPrng(7);
  const queue = new EventQueue<{ atMs: number; order: number }>();
  const played: { atMs: number; order: number }[] = [];
  for (let order = 0; order < 2000; order++) {
    const atMs = (played.at(-1)?.atMs ?? 0) + prng.int(8);
    queue.push(atMs, { atMs, order });
    if (prng.int(3) === 0) played.push(queue.pop()!);
  }
  while (queue.size > 0) played.push(queue.pop()!);
  const sorted = played.toSorted((a, b) => a.atMs - b.atMs || a.order - b.order);
  assert.deepEqual(played, sorted);
});
