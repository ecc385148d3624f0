// Devices of two real nodes over TLS: one is used from the other, a region spans both, and ids find
// their devices again after a restart.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../src/core/index.ts';
import { ClusterAuthority } from '../../src/identity/index.ts';
import { Fleet, hasCode, layoutOf } from '../../src/node/index.ts';
import { eventually, temporaryFolder } from './processes.ts';
import type { DeviceRegion, NodeConfigInput } from '../../src/node/index.ts';

const folder = temporaryFolder();
after(() => folder.dispose());

const withCode = (code: string) => (error: unknown) => hasCode(error, code);

/** Vendors' names must not matter: a GPU that this machine lacks is listed with its reason. */
const DEVICES: NodeConfigInput['devices'] = [
  { backend: 'cpu', threads: 1, memoryBytes: 64 * 2 ** 20 },
  { backend: 'webgpu' },
];

function optionsOf(name: string): NodeConfigInput {
  const dataDir = path.join(folder.path, name);
  const listen = { host: '127.0.0.1', port: 0 };
  return { name, dataDir, listen, devices: DEVICES, http: false, log: 'silent' };
}

async function startBoth(): Promise<[Fleet, Fleet]> {
  const http = { port: 0 };
  const first = await Fleet.found({ ...optionsOf('node-0'), http });
  const identity = layoutOf(path.join(folder.path, 'node-0')).identity;
  const authority = await ClusterAuthority.open(identity, { clock: systemClock, create: false });
  const token = authority.createToken();
  return [first, await Fleet.join({ ...optionsOf('node-1'), seeds: [first.address], token })];
}

const IDS = Array.from({ length: 24 }, (_, i) => `id-${i}`);

async function placesOf(region: DeviceRegion): Promise<string[]> {
  return Promise.all(
    IDS.map(async (id) => {
      const buffer = await region.entity(id).allocate('uint8', 1);
      await region.entity(id).free(buffer);
      return buffer.device;
    }),
  );
}

test('a device is used from another node, and ids find theirs again after a restart', async () => {
  let [first, second] = await startBoth();
  try {
    await useRemote(first);
    const before = await useRegion(first, second);
    await showOverHttp(first);
    await second.stop();
    await first.stop();
    [first, second] = await startBoth();
    await eventually(
      async () => placesOf(await second.devices.region('vectors')),
      (places) => places.join() === before.join(),
    );
  } finally {
    await second.stop();
    await first.stop();
  }
});

async function useRemote(fleet: Fleet): Promise<void> {
  const device = fleet.devices.at('node-1/cpu-0');
  // More than a piece, and no whole number of them.
  const length = 2 ** 20 + 3;
  const data = Float32Array.from({ length }, (_, i) => i % 1000);
  const [x, y] = [
    await device.allocate('float32', length),
    await device.allocate('float32', length),
  ];
  assert.equal(x.device, 'node-1/cpu-0');
  await device.copyIn(x, data);
  await device.copyIn(y, Float32Array.of(7, 8), { offset: length - 2 });
  await device.launch({ kernel: 'axpy', alpha: 2, x, y });
  const result = await device.copyOut(y);
  const expected = data.map((value, i) => 2 * value + (i < length - 2 ? 0 : i - length + 9));
  assert.ok(Buffer.from(result.buffer).equals(Buffer.from(expected.buffer)));
  assert.deepEqual(await device.copyOut(y, { offset: 2, length: 2 }), Float32Array.of(4, 6));
  const { buffers, memoryMax, state } = await device.stats();
  assert.deepEqual([buffers, memoryMax, state], [2, 64 * 2 ** 20, 'ready']);
  await device.free(y);
  await assert.rejects(device.copyOut(y), withCode('buffer_unknown'));
  await assert.rejects(device.allocate('float32', 2 ** 28), withCode('out_of_memory'));
  await assert.rejects(device.launch({} as never), withCode('launch_invalid'));
  await assert.rejects(fleet.devices.at('node-1/cpu-7').free(x), withCode('device_unknown'));
  await assert.rejects(fleet.devices.at('node-9/cpu-0').free(x), withCode('peer_unreachable'));
  await device.free(x);
  // Each in its turn, once both have told of themselves.
  for (const expected of ['node-0/cpu-0', 'node-1/cpu-0']) {
    await eventually(
      async () => (await fleet.devices.place({ policy: 'round-robin', backend: 'cpu' })).address,
      (address) => address === expected,
    );
  }
  await eventually(
    () => fleet.devices.place({ minFreeBytes: 2 ** 40 }).catch((error: unknown) => error),
    (error) => {
      assert.ok(hasCode(error, 'no_eligible_device'));
      return /node-0\/cpu-0 has \d+ bytes.*node-1\/cpu-0 has \d+ bytes/.test(error.message);
    },
  );
}

async function useRegion(first: Fleet, second: Fleet): Promise<string[]> {
  const regions = await Promise.all([
    first.devices.region('vectors', { shards: 4, backend: 'cpu' }),
    second.devices.region('vectors', { shards: 6, backend: 'cpu' }),
  ]);
  assert.equal(regions[0].shards, regions[1].shards);
  const places = await placesOf(regions[0]);
  assert.deepEqual(await placesOf(regions[1]), places);
  const entity = regions[1].entity('id-3');
  const length = 3 * 2 ** 20;
  const halves = await entity.allocate('float16', length);
  await entity.copyIn(
    halves,
    Float16Array.from({ length }, (_, i) => i % 100),
  );
  const tail = await regions[0].entity('id-3').copyOut(halves, { offset: length - 2 });
  assert.deepEqual(tail, Float16Array.of((length - 2) % 100, (length - 1) % 100));
  const all = await entity.copyOut(halves);
  assert.equal(all.length, length);
  assert.ok(all.every((value, i) => value === i % 100));
  await entity.free(halves);
  return places;
}

async function showOverHttp(fleet: Fleet): Promise<void> {
  const response = await fetch(`${fleet.httpUrl}/cluster/devices`);
  const { self, devices, silent } = (await response.json()) as Record<string, never[]>;
  const shown = (devices as { address: string; node: string; launches: number }[]).map(
    ({ address, node, launches }) => [address, node, launches],
  );
  assert.deepEqual(
    [self, shown, silent],
    [
      'node-0',
      [
        ['node-0/cpu-0', 'node-0', 0],
        ['node-0/gpu-0', 'node-0', 0],
        ['node-1/cpu-0', 'node-1', 1],
        ['node-1/gpu-0', 'node-1', 0],
      ],
      [],
    ],
  );
}
