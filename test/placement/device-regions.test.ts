// A region over the devices of all nodes: an id reaches the same device from wherever it is asked
// and after a restart, a device that comes or goes moves its share only, and none is an error.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { DeviceWorld } from './device-world.ts';
import type { DeviceRegion } from '../../src/node/index.ts';
import type { WorldNode } from './device-world.ts';

const withCode = (code: string) => (error: unknown) => hasCode(error, code);
const IDS = Array.from({ length: 40 }, (_, i) => `id-${i}`);

/** The device that serves each id, by its own word. */
async function placesOf(world: DeviceWorld, region: DeviceRegion): Promise<string[]> {
  const buffers = IDS.map(async (id) => {
    const entity = region.entity(id);
    const buffer = await entity.allocate('float32', 4);
    await entity.free(buffer);
    return buffer.device;
  });
  return world.settle(Promise.all(buffers));
}

/** Until every shard is where its device is. */
async function settledPlaces(world: DeviceWorld, node: WorldNode, region: DeviceRegion) {
  let last = '';
  for (;;) {
    await world.run(5_000);
    const owners = (await world.owners(region.id, node)).join();
    if (owners === last) return placesOf(world, region);
    last = owners;
  }
}

test('nodes that start a region at once with different counts get the same one', async () => {
  await using world = new DeviceWorld();
  const nodes = [await world.add('n0', 2), await world.add('n1', 1), await world.add('n2', 0)];
  const regions = await world.settle(
    Promise.all(
      nodes.map(({ devices }, i) => devices.region('vectors', { shards: [7, 0, 1000][i]! })),
    ),
  );
  const counts = new Set(regions.map(({ shards }) => shards));
  assert.equal(counts.size, 1, [...counts].join());
  const [places, ...others] = await Promise.all(regions.map((each) => placesOf(world, each)));
  for (const other of others) assert.deepEqual(other, places);
  // Later, and with another count again: what is there is taken.
  const again = await world.settle(nodes[2]!.devices.region('vectors', { shards: 3 }));
  assert.equal(again.shards, regions[0]!.shards);
  assert.equal((await world.owners('vectors')).length, again.shards);
});

test('without a count there are as many shards as devices when it is 0, else 256', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 2);
  await world.add('n1', 3);
  const counted = await world.settle(first.devices.region('counted', { shards: 0 }));
  assert.equal(counted.shards, 5);
  assert.equal((await world.settle(first.devices.region('plain'))).shards, 256);
  for (const shards of [-1, 1.5, 20_000]) {
    const refused = first.devices.region('wrong', { shards });
    await assert.rejects(world.settle(refused), withCode('invalid_option'));
  }
  await assert.rejects(world.settle(first.devices.region('a/b')), withCode('region_id_invalid'));
});

test('ids are spread over all devices from the start, and commands reach them', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 2);
  await world.add('n1', 2);
  const region = await world.settle(first.devices.region('vectors'));
  const places = await placesOf(world, region);
  assert.equal(new Set(places).size, 4);
  const entity = region.entity('id-7');
  const x = await world.settle(entity.allocate('float32', 3));
  const y = await world.settle(entity.allocate('float32', 3));
  await world.settle(entity.copyIn(x, Float32Array.of(1, 2, 3)));
  await world.settle(entity.copyIn(x, Float32Array.of(5), { offset: 1 }));
  await world.settle(entity.launch({ kernel: 'axpy', alpha: 2, x, y }));
  assert.deepEqual(await world.settle(entity.copyOut(y)), Float32Array.of(2, 10, 6));
  assert.deepEqual(
    await world.settle(entity.copyOut(y, { offset: 1, length: 1 })),
    Float32Array.of(10),
  );
  assert.equal((await world.settle(entity.stats())).address, x.device);
  const wrong = entity.launch({ kernel: 'axpy', alpha: 2, x, y: x });
  await assert.rejects(world.settle(wrong), withCode('launch_invalid'));
  const late = entity.copyOut(y, { offset: 4 });
  await assert.rejects(world.settle(late), withCode('launch_invalid'));
  const aborted = entity.free(x, { signal: AbortSignal.abort() });
  await assert.rejects(world.settle(aborted), withCode('cancelled'));
});

test('only nodes with a device for it host a region', async () => {
  await using world = new DeviceWorld();
  const bare = await world.add('n0', 0);
  const plain = await world.add('n1', 1);
  const special = await world.add('n2', 2);
  special.backends[1]!.capabilities = ['shader-f16'];
  await world.settle(plain.devices.place());
  const hints = { capabilities: ['shader-f16'] };
  const region = await world.settle(bare.devices.region('halves', { shards: 16, ...hints }));
  const places = new Set(await placesOf(world, region));
  assert.deepEqual([...places], ['n2/mock-1']);
  assert.deepEqual([...new Set(await world.owners('halves'))], ['n2']);
  // It is for those devices, whoever opens it.
  const other = plain.devices.region('halves', { backend: 'cpu' });
  await assert.rejects(world.settle(other), withCode('region_conflict'));
});

test('without a device nothing is made; commands say so when the last is gone', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 0);
  const none = first.devices.region('vectors');
  await assert.rejects(world.settle(none), withCode('no_eligible_device'));
  assert.equal(await world.store.get('devices/regions/vectors'), undefined);
  await world.add('n1', 1);
  await world.run(1_000);
  const region = await world.settle(first.devices.region('vectors', { shards: 8 }));
  await placesOf(world, region);
  await world.remove('n1');
  await world.run(1_000);
  await assert.rejects(
    world.settle(first.devices.region('vectors')),
    withCode('no_eligible_device'),
  );
  await world.run(10_000);
  const lost = region.entity('id-1').allocate('float32', 1, { timeoutMs: 3_000 });
  await assert.rejects(world.settle(lost), withCode('no_eligible_device'));
});

test('a region that exists is opened once its devices are, after a restart', async () => {
  await using world = new DeviceWorld();
  await world.add('n0', 1);
  await world.settle(world.nodes.get('n0')!.devices.region('vectors', { shards: 8 }));
  await world.remove('n0');
  const first = await world.add('n0', 0);
  const second = await world.add('n1', 1);
  const gate = Promise.withResolvers<void>();
  second.backends[0]!.openGate = gate.promise;
  const opened = first.devices.region('vectors');
  await world.run(2_000);
  gate.resolve();
  const places = await placesOf(world, await world.settle(opened));
  assert.deepEqual([...new Set(places)], ['n1/mock-0']);
});

test('a device that comes moves its share only; one that dies leaves its own', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 2);
  await world.add('n1', 2);
  const region = await world.settle(first.devices.region('vectors', { shards: 64 }));
  const before = await settledPlaces(world, first, region);
  const third = await world.add('n2', 1);
  const after = await settledPlaces(world, first, region);
  assert.ok(after.includes('n2/mock-0'));
  for (const [i, place] of after.entries()) {
    if (place !== 'n2/mock-0') assert.equal(place, before[i]);
  }
  const backend = third.backends[0]!;
  backend.failures = 99;
  backend.context.die();
  await world.until(() => third.own.records()[0]?.state === 'dead');
  assert.deepEqual(await settledPlaces(world, first, region), before);
});

test('after a restart of a node, and of all, an id reaches the device it reached', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 1);
  await world.add('n1', 2);
  const region = await world.settle(first.devices.region('vectors', { shards: 32 }));
  const before = await settledPlaces(world, first, region);
  assert.equal(new Set(before).size, 3);
  await world.remove('n1');
  const meanwhile = await settledPlaces(world, first, region);
  assert.deepEqual([...new Set(meanwhile)], ['n0/mock-0']);
  await world.add('n1', 2);
  assert.deepEqual(await settledPlaces(world, first, region), before);
  await world.remove('n0');
  await world.remove('n1');
  // Nobody starts it again: each node finds it in the store.
  const second = await world.add('n1', 2);
  await world.add('n0', 1);
  await world.until(() => second.sharding.view.tables.has('devices.vectors'));
  await settledPlaces(world, second, region).catch(() => {});
  const found = await world.settle(second.devices.region('vectors'));
  assert.equal(found.shards, 32);
  assert.deepEqual(await settledPlaces(world, second, found), before);
});
