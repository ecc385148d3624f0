// Buffers, memory and figures of a device, on a mock and a simulated clock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { Device } from '../../src/devices/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { MockBackend } from './mock-backend.ts';
import { createDevice, withCode } from './mock-device.ts';
import type { DeviceBuffer } from '../../src/devices/index.ts';

test('names of buffers are data: wrong ones are refused, whoever made them', async () => {
  const { device } = createDevice();
  await device.start();
  const buffer = await device.allocate('float32', 4);
  const wrong: unknown[] = [
    { ...buffer, id: 2 },
    { ...buffer, id: '1' },
    { ...buffer, device: 'node/mock-1' },
    {},
    null,
    undefined,
    7,
  ];
  for (const name of wrong) {
    await assert.rejects(device.copyOut(name as DeviceBuffer), withCode('buffer_unknown'));
  }
  // What a name says of type and length is not believed.
  const lie = { ...buffer, dtype: 'uint8', length: 1e9 } as DeviceBuffer;
  assert.deepEqual(await device.copyOut(lie), new Float32Array(4));
  await assert.rejects(device.copyIn(lie, new Uint8Array(4)), withCode('launch_invalid'));
  await device.free(buffer);
  await assert.rejects(device.free(buffer), withCode('buffer_unknown'));
  for (const [dtype, length] of [
    ['float64', 4],
    ['float32', 0],
    ['float32', 1.5],
  ] as const) {
    await assert.rejects(device.allocate(dtype as 'float32', length), withCode('launch_invalid'));
  }
  assert.equal(device.state, 'ready');
  await device.stop();
});

test('memory is counted and bounded', async () => {
  const { backend, device } = createDevice();
  backend.memoryBytes = 1024;
  await device.start();
  const half = await device.allocate('float32', 128);
  const rest = await device.allocate('uint8', 449);
  assert.equal(device.stats().memoryUsed, 1024);
  await assert.rejects(device.allocate('uint8', 1), (error: unknown) => {
    assert.ok(hasCode(error, 'out_of_memory'));
    assert.deepEqual(error.details, { requested: 64, used: 1024, limit: 1024 });
    return true;
  });
  await device.free(half);
  await device.free(rest);
  assert.equal(device.stats().memoryUsed, 0);
  await device.stop();
});

test('figures show what waits, what runs and how busy it was', async () => {
  const { backend, clock, device } = createDevice();
  assert.equal(device.stats().state, 'new');
  await device.start();
  await clock.run(100);
  const gate = Promise.withResolvers<void>();
  backend.gate = gate.promise;
  const all = [1, 2, 3].map(() => device.allocate('uint8', 64));
  await clock.run(40);
  const busy = device.stats();
  assert.deepEqual([busy.active, busy.queued, busy.busyMs, busy.sampledAtMs], [1, 2, 40, 140]);
  gate.resolve();
  await Promise.all(all);
  await clock.run(100);
  const idle = device.stats();
  assert.deepEqual([idle.active, idle.queued, idle.busyMs, idle.buffers], [0, 0, 40, 3]);
  await device.stop();
});

test('a context that takes several calls at once gets them in order', async () => {
  const { backend, clock, device } = createDevice();
  backend.streams = 3;
  await device.start();
  const gate = Promise.withResolvers<void>();
  backend.gate = gate.promise;
  for (let i = 1; i <= 5; i++) void device.allocate('uint8', 64 * i);
  await clock.run(0);
  assert.deepEqual([device.stats().active, device.stats().queued], [3, 2]);
  gate.resolve();
  await clock.run(0);
  assert.deepEqual(
    backend.calls,
    [1, 2, 3, 4, 5].map((i) => `allocate ${64 * i}`),
  );
  await device.stop();
});

test('options are checked once', () => {
  const backend = new MockBackend();
  const clock = new SimulatedClock();
  for (const options of [
    { address: '' },
    { address: 'a', queueLimit: 0 },
    { address: 'a', hangAfterMs: Number.NaN },
  ]) {
    assert.throws(() => new Device({ backend, clock }, options), withCode('invalid_option'));
  }
});
