// Placing work on the devices of all nodes: by figures that live while somebody asks, past devices
// that are dead, silent or gone, and without every piece of work going to the same one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { DeviceWorld } from './device-world.ts';

const withCode = (code: string) => (error: unknown) => hasCode(error, code);

test('a node that uses no device opens none; the first use opens those of all nodes', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 2);
  const second = await world.add('n1', 1);
  const opened = () => [first, second].map(({ backends }) => backends.map((b) => b.opened.length));
  const { devices, silent } = await world.settle(first.devices.list());
  assert.deepEqual(
    devices.map(({ address, node, state }) => [address, node, state]),
    [
      ['n0/mock-0', 'n0', 'new'],
      ['n0/mock-1', 'n0', 'new'],
      ['n1/mock-0', 'n1', 'new'],
    ],
  );
  assert.deepEqual(silent, []);
  assert.deepEqual(opened(), [[0, 0], [0]]);
  await world.settle(first.devices.place());
  assert.deepEqual(opened(), [[1, 1], [1]]);
});

test('members are asked every 250 ms while somebody places, and no more after that', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 1);
  await world.add('n1', 1);
  const asked = () => world.calls.get('devices.list') ?? 0;
  await world.run(10_000);
  assert.equal(asked(), 0);
  await world.settle(first.devices.place());
  const before = asked();
  await world.run(1_000);
  assert.equal(asked() - before, 4);
  await world.run(10_000);
  const after = asked();
  assert.ok(after - before < 25, `${after - before}`);
  await world.run(10_000);
  assert.equal(asked(), after);
  // And it begins again.
  const { address } = await world.settle(first.devices.place({ policy: 'round-robin' }));
  assert.match(address, /mock-0/);
  assert.ok(asked() > after);
});

test('work placed between two samples is spread, not sent to whoever was idlest', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 1);
  await world.add('n1', 1);
  await world.add('n2', 1);
  await world.settle(first.devices.place());
  await world.run(1_000);
  const counts = new Map<string, number>();
  const picked = await world.settle(
    Promise.all(Array.from({ length: 30 }, () => first.devices.place())),
  );
  for (const { address } of picked) counts.set(address, (counts.get(address) ?? 0) + 1);
  assert.deepEqual([...counts.values()], [10, 10, 10]);
});

test('a busy device is passed by, by its own word from its own node', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 1);
  const second = await world.add('n1', 1);
  await world.settle(first.devices.place());
  second.backends[0]!.gate = new Promise(() => {});
  const remote = first.devices.at('n1/mock-0');
  const work = Array.from({ length: 8 }, () => remote.allocate('uint8', 1, { timeoutMs: 60_000 }));
  for (const each of work) each.catch(() => {});
  await world.run(1_000);
  for (let i = 0; i < 6; i++) {
    assert.equal((await world.settle(first.devices.place())).address, 'n0/mock-0');
  }
  const { queued, active, memoryMax } = await world.settle(Promise.resolve(remote.stats()));
  assert.deepEqual([queued, active, memoryMax], [7, 1, 2 ** 20]);
});

test('dead, silent and leaving devices are not eligible, and the error says why', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 1);
  const second = await world.add('n1', 2);
  const third = await world.add('n2', 1);
  await world.add('n3', 1);
  first.backends[0]!.failures = 99;
  second.backends[1]!.capabilities = ['shader-f16'];
  await world.settle(first.devices.place());
  world.statuses.set('n3', 'leaving');
  world.fleet.network.freeze(third.name);
  await world.run(3_000);
  const hints = { capabilities: ['shader-f16'], minFreeBytes: 2 ** 30 };
  await assert.rejects(world.settle(first.devices.place(hints)), (error: unknown) => {
    assert.ok(hasCode(error, 'no_eligible_device'));
    assert.match(error.message, /"minFreeBytes":1073741824/);
    assert.match(error.message, /n0\/mock-0 is dead \(the mock was told to fail\)/);
    assert.match(error.message, /n1\/mock-0 lacks shader-f16; n1\/mock-1 has 1048576 bytes free/);
    assert.match(error.message, /n2\/mock-0 was last heard of \d{4} ms ago/);
    assert.doesNotMatch(error.message, /n3/);
    return true;
  });
  const { address } = await world.settle(first.devices.place({ capabilities: ['shader-f16'] }));
  assert.equal(address, 'n1/mock-1');
  world.fleet.network.thaw(third.name);
  // Listing says who is missing.
  world.fleet.network.freeze(third.name);
  const { silent } = await world.settle(first.devices.list());
  assert.deepEqual(silent, ['n2']);
  world.fleet.network.thaw(third.name);
});

test('placing waits for a device that is being opened, no longer than it was told', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 0);
  const second = await world.add('n1', 1);
  const gate = Promise.withResolvers<void>();
  second.backends[0]!.openGate = gate.promise;
  await assert.rejects(
    world.settle(first.devices.place({ timeoutMs: 500 })),
    /n1\/mock-0 is opening/,
  );
  const placed = first.devices.place();
  await world.run(1_000);
  gate.resolve();
  assert.equal((await world.settle(placed)).address, 'n1/mock-0');
});

test('a node speaks for its own devices only, and what is no record is not believed', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 0);
  const honest = await world.add('n1', 1);
  await world.settle(honest.own.start());
  const [good] = honest.own.records();
  const address = 'n1/mock-0';
  await world.addStranger('n2', [
    { ...good, address, state: 'dead' },
    { ...good, address: 'n2' },
  ]);
  await world.addStranger('n3', [{ ...good, address: { toString: 1 } }]);
  await world.addStranger('n4', [null]);
  assert.equal((await world.settle(first.devices.place())).address, address);
  const { devices, silent } = await world.settle(first.devices.list());
  assert.deepEqual(
    devices.map((device) => [device.node, device.address, device.state]),
    [['n1', address, 'ready']],
  );
  assert.deepEqual(silent, ['n3', 'n4']);
});

test('an address is looked up where it is, and one that is none is refused', async () => {
  await using world = new DeviceWorld();
  const first = await world.add('n0', 1);
  await world.add('n1', 1);
  await world.settle(first.own.start());
  assert.throws(() => first.devices.at('n0/mock-7'), withCode('device_unknown'));
  assert.throws(() => first.devices.at('mock-0'), withCode('device_unknown'));
  const missing = first.devices.at('n1/mock-7').allocate('float32', 1);
  await assert.rejects(world.settle(missing), withCode('device_unknown'));
  const nowhere = first.devices.at('n9/mock-0').allocate('float32', 1, { timeoutMs: 2_000 });
  await assert.rejects(world.settle(nowhere), withCode('peer_unreachable'));
  await assert.rejects(
    world.settle(first.devices.place({ policy: 'best' as 'round-robin' })),
    withCode('invalid_option'),
  );
});
