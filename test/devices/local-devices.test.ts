// The devices of a node: found by address, placed on, sampled every 250 ms, missing with a reason.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { Device, deviceHandlers, LocalDevices } from '../../src/devices/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { MockBackend } from './mock-backend.ts';
import type { DeviceSample } from '../../src/devices/index.ts';

const withCode = (code: string) => (error: unknown) => hasCode(error, code);

function create(names: readonly string[]) {
  const clock = new SimulatedClock();
  const backends = names.map(() => new MockBackend());
  const devices = names.map(
    (address, i) => new Device({ backend: backends[i]!, clock }, { address, rebuildAttempts: 2 }),
  );
  return { clock, backends, devices, local: new LocalDevices({ clock }) };
}

test('what cannot start is listed with its reason; the others work', async () => {
  const { backends, devices, local } = create(['n/a', 'n/b']);
  backends[1]!.failures = 99;
  await local.start(devices);
  assert.deepEqual(local.unavailable, [
    {
      address: 'n/b',
      backend: 'mock',
      code: 'backend_unavailable',
      reason: 'the mock was told to fail',
    },
  ]);
  assert.equal(local.get('n/a'), devices[0]);
  assert.throws(
    () => local.get('n/b'),
    (error: unknown) => {
      assert.ok(hasCode(error, 'device_unknown'));
      assert.match(error.message, /there are: n\/a/);
      return true;
    },
  );
  assert.equal(local.place(), devices[0]);
  await local.stop();
  assert.throws(() => local.place(), withCode('no_eligible_device'));
});

test('work goes where the queue is shortest, and never to a dead device', async () => {
  const { clock, backends, devices, local } = create(['n/a', 'n/b']);
  await local.start(devices);
  backends[0]!.gate = new Promise(() => {});
  void devices[0]!.allocate('uint8', 1).catch(() => {});
  await clock.run(0);
  for (let i = 0; i < 3; i++) {
    assert.equal(local.place(), devices[1]);
    await clock.run(1);
  }
  backends[1]!.failures = 99;
  backends[1]!.context.die();
  await clock.run(0);
  assert.equal(local.place(), devices[0]);
  await clock.until(() => devices[1]!.state === 'dead');
  assert.equal(local.place({ minFreeBytes: 1000 }), devices[0]);
  assert.throws(
    () => local.place({ minFreeBytes: 2 ** 30 }),
    (error: unknown) => {
      assert.ok(hasCode(error, 'no_eligible_device'));
      assert.match(error.message, /n\/b is dead/);
      return true;
    },
  );
});

test('figures are sampled every 250 ms, with how busy a device was', async () => {
  const { clock, backends, devices, local } = create(['n/a']);
  await local.start(devices);
  const seen: DeviceSample[] = [];
  const end = local.onSample((samples) => void seen.push(...samples));
  const gate = Promise.withResolvers<void>();
  await clock.run(100);
  backends[0]!.gate = gate.promise;
  const work = devices[0]!.allocate('uint8', 64);
  await clock.run(150);
  gate.resolve();
  await work;
  await clock.run(250);
  assert.deepEqual(
    seen.map(({ sampledAtMs, utilization, memoryUsed }) => [sampledAtMs, utilization, memoryUsed]),
    [
      [250, 0.6, 64],
      [500, 0, 64],
    ],
  );
  assert.equal(local.samples()[0]?.sampledAtMs, 500);
  // A mock is no GPU, so that load records say nothing of it.
  assert.deepEqual(local.gpuLoads(), []);
  end();
  await clock.run(250);
  assert.equal(seen.length, 2);
  await local.stop();
  assert.equal(clock.pending, 0);
});

test('commands as messages reach the device of the shard, on whichever device it is', async () => {
  const { devices, local } = create(['n/a', 'n/b', 'n/c']);
  await local.start(devices);
  const handlers = deviceHandlers((shard) => local.forShard(shard));
  const reached = new Set<string>();
  for (let shard = 0; shard < 32; shard++) {
    const context = { shard };
    const { address } = local.forShard(shard);
    reached.add(address);
    const x = await handlers.allocate({}, { dtype: 'float32', length: 3 }, context);
    const y = await handlers.allocate({}, { dtype: 'float32', length: 3 }, context);
    assert.equal(x.device, address);
    // As bytes that do not lie aligned, as they come out of a message.
    const bytes = new Uint8Array(13);
    bytes.set(new Uint8Array(Float32Array.of(1, 2, 3).buffer), 1);
    await handlers.copyIn({}, { buffer: x, data: bytes.subarray(1) }, context);
    await handlers.launch({}, { kernel: 'axpy', alpha: 2, x, y }, context);
    const out = await handlers.copyOut({}, { buffer: y, offset: 1 }, context);
    assert.deepEqual(new Float32Array(out.slice().buffer), Float32Array.of(4, 6));
    await handlers.free({}, x, context);
    const bad = handlers.copyIn({}, { buffer: y, data: new Uint8Array(3) }, context);
    await assert.rejects(bad, withCode('launch_invalid'));
    assert.equal(handlers.stats({}, undefined, context).address, address);
    // A buffer of a device that no longer serves the shard is refused by name.
    const other = devices.find((device) => device.address !== address)!;
    await assert.rejects(other.copyOut(y), withCode('buffer_unknown'));
  }
  assert.equal(reached.size, 3);
  await local.stop();
});
