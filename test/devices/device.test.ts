// The device actor on a mock and a simulated clock: what a caller sees while contexts come and go.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createPrng, hasCode } from '../../src/core/index.ts';
import { DEVICE_DEFAULTS } from '../../src/devices/index.ts';
import { createDevice, outcomeOf, withCode } from './mock-device.ts';
import { seeds } from './support.ts';
import type { DeviceBuffer } from '../../src/devices/index.ts';

test('commands given before the context is there wait for it, in order', async () => {
  const { backend, clock, device } = createDevice();
  const opening = Promise.withResolvers<void>();
  backend.openGate = opening.promise;
  const started = device.start();
  const buffer = device.allocate('int32', 3);
  assert.equal(device.state, 'opening');
  assert.equal(device.stats().queued, 1);
  opening.resolve();
  await started;
  const name = await buffer;
  assert.deepEqual(name, {
    device: 'node/mock-0',
    id: 1,
    generation: 1,
    dtype: 'int32',
    length: 3,
  });
  // Not awaited one by one: the order is the queue's.
  void device.copyIn(name, Int32Array.of(1, 2, 3));
  void device.copyIn(name, Int32Array.of(9), { offset: 1 });
  assert.deepEqual(await device.copyOut(name), Int32Array.of(1, 9, 3));
  assert.deepEqual(backend.calls, ['allocate 64', 'write 1', 'write 1', 'read 1']);
  await device.stop();
  assert.equal(backend.context.closed, true);
  assert.equal(clock.pending, 0);
});

test('a fault keeps the address, wakes the caller, and makes buffers stale', async () => {
  const { backend, clock, device } = createDevice();
  await device.start();
  const old = await device.allocate('float32', 4);
  const gate = Promise.withResolvers<void>();
  backend.gate = gate.promise;
  const running = outcomeOf(device.copyOut(old));
  const waiting = outcomeOf(device.copyOut(old));
  const allocation = device.allocate('float32', 4);
  backend.context.die('driver reset');
  await clock.run(0);
  assert.equal(running.code, 'device_fault');
  assert.equal(waiting.code, undefined);
  assert.equal(device.state, 'rebuilding');
  assert.equal(device.stats().memoryUsed, 0);
  gate.resolve();
  const fresh = await clock.resolve(allocation);
  assert.equal(waiting.code, 'buffer_stale');
  assert.equal(fresh.device, old.device);
  assert.equal(fresh.generation, 2);
  assert.equal(clock.now(), DEVICE_DEFAULTS.rebuildDelayMs);
  assert.equal(backend.opened[0]?.closed, true);
  for (const command of [
    device.copyIn(old, new Float32Array(4)),
    device.copyOut(old),
    device.free(old),
    device.launch({ kernel: 'axpy', alpha: 1, x: old, y: fresh }),
  ]) {
    await assert.rejects(command, (error: unknown) => {
      assert.ok(hasCode(error, 'buffer_stale'));
      assert.equal(error.details['generation'], 2);
      assert.equal(error.details['given'], 1);
      return true;
    });
  }
  assert.equal(device.stats().faults, 1);
  await device.stop();
});

test('what a lost context answers late is not taken for a buffer of the next one', async () => {
  const { backend, clock, device } = createDevice();
  await device.start();
  const gate = Promise.withResolvers<void>();
  backend.gate = gate.promise;
  const lost = outcomeOf(device.allocate('uint8', 64));
  await clock.run(0);
  backend.context.die();
  await clock.run(0);
  assert.equal(lost.code, 'device_fault');
  backend.gate = Promise.resolve();
  await clock.until(() => device.state === 'ready');
  gate.resolve();
  await clock.run(0);
  assert.equal(device.stats().buffers, 0);
  assert.equal(device.stats().memoryUsed, 0);
  await device.stop();
});

test('1024 commands wait while the context is rebuilt; one more is refused', async () => {
  const { backend, clock, device } = createDevice();
  await device.start();
  backend.context.die();
  await clock.run(0);
  const waiting = Array.from({ length: 1024 }, () => device.allocate('uint8', 1));
  await assert.rejects(device.allocate('uint8', 1), (error: unknown) => {
    assert.ok(hasCode(error, 'queue_full'));
    assert.equal(error.details['limit'], 1024);
    return true;
  });
  const buffers = await clock.resolve(Promise.all(waiting));
  assert.deepEqual(
    buffers.map(({ id }) => id),
    Array.from({ length: 1024 }, (_, i) => i + 1),
  );
  await device.stop();
});

test('host data that waits is bounded as well', async () => {
  const { backend, clock, device } = createDevice({ queueBytes: 1000 });
  await device.start();
  const buffer = await device.allocate('uint8', 600);
  backend.context.die();
  await clock.run(0);
  const first = outcomeOf(device.copyIn(buffer, new Uint8Array(600)));
  await assert.rejects(device.copyIn(buffer, new Uint8Array(600)), withCode('queue_full'));
  await clock.until(() => first.code !== undefined);
  // What has left the queue does not count any more.
  const next = await device.allocate('uint8', 600);
  await device.copyIn(next, new Uint8Array(600));
  await device.stop();
});

test('opening is tried again with growing pauses; after too many failures it is dead', async () => {
  const { backend, clock, device } = createDevice({ rebuildAttempts: 4 });
  await device.start();
  backend.failures = 99;
  backend.context.die();
  await clock.run(0);
  const waiting = outcomeOf(device.allocate('uint8', 1));
  await clock.until(() => device.state === 'dead');
  assert.equal(clock.now(), 100 + 200 + 400);
  assert.equal(waiting.code, 'device_dead');
  await assert.rejects(device.allocate('uint8', 1), (error: unknown) => {
    assert.ok(hasCode(error, 'device_dead'));
    assert.match(error.message, /told to fail/);
    return true;
  });
  // At the same address it may be started again.
  backend.failures = 0;
  await device.start();
  assert.equal((await device.allocate('uint8', 1)).device, 'node/mock-0');
  await device.stop();
});

test('a command that was done forgives the failures before it', async () => {
  const { backend, clock, device } = createDevice({ rebuildAttempts: 3 });
  await device.start();
  for (let fault = 0; fault < 10; fault++) {
    backend.context.die();
    await clock.run(0);
    await clock.resolve(device.allocate('uint8', 1));
  }
  assert.equal(device.stats().faults, 10);
  assert.equal(device.state, 'ready');
  await device.stop();
});

test('the first failure to open is told to who started it', async () => {
  const { backend, clock, device } = createDevice();
  backend.failures = 1;
  const waiting = outcomeOf(device.allocate('uint8', 1));
  await assert.rejects(device.start(), withCode('backend_unavailable'));
  await clock.run(0);
  assert.equal(waiting.code, 'device_dead');
  await device.stop();
});

test('a context that does not open in time is given up, and closed when it comes', async () => {
  const { backend, clock, device } = createDevice({ openTimeoutMs: 500 });
  const opening = Promise.withResolvers<void>();
  backend.openGate = opening.promise;
  const started = outcomeOf(device.start());
  await clock.run(500);
  assert.equal(started.code, 'deadline_exceeded');
  assert.equal(device.state, 'dead');
  opening.resolve();
  await clock.run(0);
  assert.equal(backend.context.closed, true);
  assert.equal(device.state, 'dead');
});

test('a caller who gives up is answered at once, and leaves nothing allocated', async () => {
  const { backend, clock, device } = createDevice();
  await device.start();
  const gate = Promise.withResolvers<void>();
  backend.gate = gate.promise;
  const controller = new AbortController();
  const slow = outcomeOf(device.allocate('uint8', 64, { timeoutMs: 50 }));
  const aborted = outcomeOf(device.allocate('uint8', 64, { signal: controller.signal }));
  controller.abort(new Error('no longer wanted'));
  await clock.run(0);
  assert.equal(aborted.code, 'cancelled');
  await clock.run(60);
  assert.equal(slow.code, 'deadline_exceeded');
  gate.resolve();
  await clock.run(0);
  assert.equal(backend.context.blocks, 0);
  assert.equal(device.stats().memoryUsed, 0);
  assert.equal(device.stats().buffers, 0);
  // The cancelled one had not begun, so the context never heard of it.
  assert.equal(backend.calls.filter((call) => call.startsWith('allocate')).length, 1);
  const gone = device.allocate('uint8', 1, { signal: controller.signal });
  await assert.rejects(gone, withCode('cancelled'));
  await device.stop();
  assert.equal(clock.pending, 0);
});

test('a command that never ends is a hang: the context is replaced', async () => {
  const { backend, clock, device } = createDevice({ hangAfterMs: 5_000, commandTimeoutMs: 60_000 });
  await device.start();
  backend.gate = new Promise(() => {});
  const hanging = outcomeOf(device.allocate('uint8', 1));
  const next = device.allocate('uint8', 1);
  await clock.run(4_900);
  assert.equal(hanging.code, undefined);
  backend.gate = Promise.resolve();
  assert.equal((await clock.resolve(next)).generation, 2);
  assert.equal(hanging.code, 'device_fault');
  await device.stop();
});

test('stop refuses what waits, lets what runs end, and wakes everybody', async () => {
  const { backend, clock, device } = createDevice();
  await device.start();
  const gate = Promise.withResolvers<void>();
  backend.gate = gate.promise;
  const running = outcomeOf(device.allocate('uint8', 1));
  const waiting = outcomeOf(device.allocate('uint8', 1));
  const stopped = Promise.all([device.stop(), device.stop()]);
  await clock.run(0);
  assert.equal(waiting.code, 'device_stopped');
  assert.equal(running.code, undefined);
  gate.resolve();
  await stopped;
  assert.equal(running.code, 'done');
  assert.equal(device.state, 'stopped');
  await assert.rejects(device.allocate('uint8', 1), withCode('device_stopped'));
  await assert.rejects(device.start(), withCode('device_stopped'));
  assert.equal(clock.pending, 0);
});

test('a stop during a pause before rebuilding ends the matter', async () => {
  const { backend, clock, device } = createDevice();
  await device.start();
  backend.context.die();
  await clock.run(0);
  await device.stop();
  await clock.run(60_000);
  assert.equal(backend.opened.length, 1);
  assert.equal(clock.pending, 0);
});

test('whatever fails and when, every command settles, once, and no memory is lost', async () => {
  await fc.assert(
    fc.asyncProperty(seeds, async (seed) => {
      const prng = createPrng(seed);
      const { backend, clock, device } = createDevice({ rebuildAttempts: 100, hangAfterMs: 2_000 });
      await device.start();
      const commands: Promise<unknown>[] = [];
      const watch = (command: Promise<unknown>) =>
        void commands.push(
          command.then(
            () => undefined,
            (error: unknown) => error,
          ),
        );
      const held: DeviceBuffer[] = [];
      for (let step = 0; step < 60; step++) {
        const timeoutMs = 1 + prng.int(3_000);
        const buffer = held[prng.int(Math.max(1, held.length))];
        switch (prng.int(6)) {
          case 0:
          case 1:
            watch(
              device.allocate('uint8', 1 + prng.int(200), { timeoutMs }).then((made) => {
                held.push(made);
              }),
            );
            break;
          case 2:
            if (buffer !== undefined) watch(device.free(buffer, { timeoutMs }));
            break;
          case 3:
            if (buffer !== undefined) watch(device.copyOut(buffer, { timeoutMs }));
            break;
          case 4:
            backend.gate = prng.int(3) === 0 ? new Promise(() => {}) : Promise.resolve();
            backend.failures = prng.int(3);
            break;
          default:
            backend.context.die();
        }
        await clock.run(prng.int(200));
      }
      backend.gate = Promise.resolve();
      const outcomes = await clock.resolve(Promise.all(commands));
      for (const error of outcomes.filter((outcome) => outcome !== undefined)) {
        const codes = ['device_fault', 'buffer_stale', 'buffer_unknown', 'deadline_exceeded'];
        assert.ok(hasCode(error, ...codes), String(error));
      }
      await clock.until(() => device.state === 'ready' && device.stats().active === 0);
      const { buffers, memoryUsed, generation } = device.stats();
      const live = new Set(held.filter((buffer) => buffer.generation === generation));
      assert.ok(buffers <= live.size, `${buffers} buffers, ${live.size} names`);
      assert.equal(backend.context.blocks, buffers);
      assert.equal(memoryUsed > 0, buffers > 0);
      const open = backend.opened.filter(({ closed }) => !closed);
      assert.deepEqual(open, [backend.context]);
      await device.stop();
      assert.equal(clock.pending, 0);
    }),
    { numRuns: 60 },
  );
});
