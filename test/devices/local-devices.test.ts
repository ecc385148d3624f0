// The devices of a node: found by address or shard, sampled every 250 ms, missing with a reason.
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
  assert.deepEqual(local.serving(), ['n/a']);
  assert.equal(local.forShard(7), devices[0]);
  await local.stop();
  assert.throws(() => local.forShard(7), withCode('no_eligible_device'));
});

test('figures are sampled every 250 ms, with how busy a device was', async () => {
  const { clock, backends, devices, local } = create(['n/a']);
  await local.start(devices);
  const seen: DeviceSample[] = [];
  const gate = Promise.withResolvers<void>();
  await clock.run(100);
  backends[0]!.gate = gate.promise;
  const work = devices[0]!.allocate('uint8', 64);
  await clock.run(150);
  gate.resolve();
  await work;
  seen.push(...local.samples());
  await clock.run(250);
  seen.push(...local.samples());
  assert.deepEqual(
    seen.map(({ sampledAtMs, utilization, memoryUsed }) => [sampledAtMs, utilization, memoryUsed]),
    [
      [250, 0.6, 64],
      [500, 0, 64],
    ],
  );
  // A mock is no GPU, so that load records say nothing of it.
  assert.deepEqual(local.gpuLoads(), []);
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
