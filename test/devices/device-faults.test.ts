// Real contexts that fail: threads that die, a GPU thread that is confused, a binding that is not
// there. The device keeps its address and serves again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode, systemClock } from '../../src/core/index.ts';
import { CpuBackend, Device, WebGpuBackend } from '../../src/devices/index.ts';
import { BACKENDS } from './backends.ts';
import type { DeviceBackend, DeviceContext } from '../../src/devices/index.ts';

const withCode = (code: string) => (error: unknown) => hasCode(error, code);

/** Lets a test reach the contexts that a device opens. */
function spied(backend: DeviceBackend) {
  const contexts: DeviceContext[] = [];
  const open = async () => {
    const context = await backend.open();
    contexts.push(context);
    return context;
  };
  return { contexts, backend: { kind: backend.kind, open } satisfies DeviceBackend };
}

for (const { name, make } of BACKENDS) {
  test(`${name}: after a fault the device serves at its address, with new buffers`, async (t) => {
    const { contexts, backend } = spied(make());
    const options = { address: 'node/device', rebuildDelayMs: 1 };
    const device = new Device({ backend, clock: systemClock }, options);
    t.after(() => device.stop());
    try {
      await device.start();
    } catch (error) {
      if (!hasCode(error, 'backend_unavailable')) throw error;
      t.skip(error.message);
      return;
    }
    const old = await device.allocate('float32', 4);
    await device.copyIn(old, Float32Array.of(1, 2, 3, 4));
    // Behind the device's back, something that no checked launch can be: a wild pointer.
    const wild = { handle: 2 ** 31, dtype: 'float32', length: 2 ** 20 } as const;
    const launch = { kernel: 'axpy', n: 2 ** 20, alpha: 1, x: wild, y: { ...wild, handle: 8 } };
    const context = contexts[0]!;
    await assert.rejects(context.launch(launch as never), withCode('device_fault'));
    if (name === 'webgpu') {
      // There the wild handle hurt nobody; the context goes without a word.
      await context.close();
      await assert.rejects(device.copyOut(old), withCode('device_fault'));
    } else {
      await context.lost;
    }
    await assert.rejects(device.copyOut(old), withCode('buffer_stale'));
    const fresh = await device.allocate('float32', 4);
    assert.deepEqual([fresh.device, fresh.generation], ['node/device', 2]);
    await device.copyIn(fresh, Float32Array.of(1, 2, 3, 4));
    assert.deepEqual(await device.copyOut(fresh), Float32Array.of(1, 2, 3, 4));
    assert.equal(device.stats().faults, 1);
    assert.equal(contexts.length, 2);
  });

  test(`${name}: a device that is stopped while it computes ends`, async (t) => {
    const backend = make();
    const device = new Device({ backend, clock: systemClock }, { address: 'node/device' });
    t.after(() => device.stop());
    try {
      await device.start();
    } catch (error) {
      if (!hasCode(error, 'backend_unavailable')) throw error;
      t.skip(error.message);
      return;
    }
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => device.allocate('float32', 90_000)));
    const work = device.launch({ kernel: 'gemm', m: 300, n: 300, k: 300, a: a!, b: b!, c: c! });
    await device.stop();
    await work;
    assert.equal(device.state, 'stopped');
  });
}

test('without the package the backend is unavailable, and says so', async () => {
  const backend = new WebGpuBackend({ clock: systemClock }, { module: 'no-such-binding' });
  const device = new Device({ backend, clock: systemClock }, { address: 'node/gpu-0' });
  await assert.rejects(device.start(), (error: unknown) => {
    assert.ok(hasCode(error, 'backend_unavailable'), String(error));
    assert.match(error.message, /no-such-binding is not installed/);
    return true;
  });
  await device.stop();
});

test('options of backends are checked once', () => {
  for (const options of [
    { threads: 0 },
    { threads: 1.5 },
    { memoryBytes: 0 },
    { memoryBytes: 2 ** 33 },
  ]) {
    assert.throws(() => new CpuBackend(options), withCode('invalid_option'));
  }
  const components = { clock: systemClock };
  assert.throws(
    () => new WebGpuBackend(components, { memoryBytes: -1 }),
    withCode('invalid_option'),
  );
});
