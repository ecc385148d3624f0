// Who is healthy, decided from heartbeats alone (SEEDS.md, system 1: interval 1 s, timeout 5 s).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HeartbeatDetector } from '../../src/cluster/index.ts';
import type { HealthChange, MemberRecord } from '../../src/cluster/index.ts';

const OPTIONS = { heartbeatIntervalMs: 1000, healthTimeoutMs: 5000 };

function member(name: string, incarnation = 1, address = `${name}:7400`): MemberRecord {
  return { name, address, httpAddress: '', incarnation, load: 0 };
}

function tickEverySecond(
  detector: HeartbeatDetector,
  fromMs: number,
  toMs: number,
): HealthChange[] {
  const changes: HealthChange[] = [];
  for (let now = fromMs; now <= toMs; now += 1000) changes.push(...detector.tick(now));
  return changes;
}

test('a silent member fails after the timeout, once, and recovers with its next heartbeat', () => {
  const detector = new HeartbeatDetector(OPTIONS);
  detector.heard(member('b'), 0);
  assert.deepEqual(tickEverySecond(detector, 0, 5000), []);
  assert.deepEqual(tickEverySecond(detector, 6000, 20_000), [{ type: 'failed', name: 'b' }]);
  assert.equal(detector.heard(member('b'), 20_500)[0]?.type, 'recovered');
});

test('an introduced member is listed, and healthy only after it showed a sign of life', () => {
  const detector = new HeartbeatDetector(OPTIONS);
  const [joined] = detector.introduced(member('b'), 0);
  assert.ok(joined?.type === 'joined' && !joined.healthy);
  assert.equal(detector.heard(member('b'), 100)[0]?.type, 'recovered');
});

test('an older incarnation changes nothing: not the address, not the health', () => {
  const detector = new HeartbeatDetector(OPTIONS);
  detector.heard(member('b', 2, 'new:1'), 0);
  assert.deepEqual(detector.heard(member('b', 1, 'old:1'), 4000), []);
  assert.equal(detector.members()[0]?.address, 'new:1');
  assert.equal(tickEverySecond(detector, 0, 6000)[0]?.type, 'failed');
});

test('a member that left does not come back by a late heartbeat, but does after a restart', () => {
  const detector = new HeartbeatDetector(OPTIONS);
  detector.heard(member('b', 5), 0);
  assert.deepEqual(detector.left('b', 5), [{ type: 'left', name: 'b' }]);
  assert.deepEqual(detector.heard(member('b', 5), 10), []);
  assert.deepEqual(detector.introduced(member('b', 5), 10), []);
  assert.equal(detector.heard(member('b', 6), 20)[0]?.type, 'joined');
});

test('a late good-bye of an earlier life does not remove the restarted member', () => {
  const detector = new HeartbeatDetector(OPTIONS);
  detector.heard(member('b', 6), 0);
  assert.deepEqual(detector.left('b', 5), []);
});

test('a stall of this process does not fail the others', () => {
  const detector = new HeartbeatDetector(OPTIONS);
  detector.heard(member('b'), 0);
  detector.tick(0);
  assert.deepEqual(detector.tick(60_000), []);
  assert.deepEqual(tickEverySecond(detector, 61_000, 70_000), [{ type: 'failed', name: 'b' }]);
});

test('whatever arrives, a member fails exactly when it was silent for the timeout', () => {
  const steps = fc.array(fc.record({ heartbeat: fc.boolean() }), { minLength: 1, maxLength: 80 });
  fc.assert(
    fc.property(steps, (seconds) => {
      const detector = new HeartbeatDetector(OPTIONS);
      detector.heard(member('b'), 0);
      let lastHeard = 0;
      let healthy = true;
      seconds.forEach(({ heartbeat }, index) => {
        const now = (index + 1) * 1000;
        if (heartbeat) {
          detector.heard(member('b'), now);
          lastHeard = now;
          healthy = true;
        }
        const failed = detector.tick(now).some(({ type }) => type === 'failed');
        const expected = healthy && now - lastHeard > OPTIONS.healthTimeoutMs;
        assert.equal(failed, expected);
        if (failed) healthy = false;
      });
    }),
  );
});
