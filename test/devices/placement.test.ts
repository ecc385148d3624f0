// Where work goes: policies, hints, records that are too old, and an error that explains itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../src/core/index.ts';
import { deviceOfShard, Placement, readDeviceSamples } from '../../src/devices/index.ts';
import type { DeviceStats, PlacementHints } from '../../src/devices/index.ts';

const withCode = (code: string) => (error: unknown) => hasCode(error, code);

function record(address: string, fields: Partial<DeviceStats> = {}): DeviceStats {
  return {
    address,
    backend: 'cpu',
    description: '',
    capabilities: ['wasm-simd'],
    state: 'ready',
    generation: 1,
    queued: 0,
    active: 0,
    buffers: 0,
    memoryUsed: 0,
    memoryMax: 1000,
    launches: 0,
    faults: 0,
    busyMs: 0,
    sampledAtMs: 0,
    ...fields,
  };
}

function picks(placement: Placement, devices: DeviceStats[], times: number, hints = {}): string {
  return Array.from({ length: times }, () => placement.pick(devices, hints, 0).address).join('');
}

test('round-robin takes turns, also when devices come and go', () => {
  const placement = new Placement({ policy: 'round-robin' });
  const [a, b, c] = ['a', 'b', 'c'].map((address) => record(address, { queued: 7 }));
  assert.equal(picks(placement, [c!, a!, b!], 5), 'abcab');
  assert.equal(picks(placement, [a!, c!], 2), 'ca');
  assert.equal(picks(placement, [a!, b!, c!], 2), 'bc');
});

test('least-loaded counts what waits and what runs', () => {
  const placement = new Placement();
  const devices = [
    record('a', { queued: 3 }),
    record('b', { queued: 1, active: 1 }),
    record('c', { active: 1 }),
  ];
  assert.equal(placement.pick(devices, {}, 0).address, 'c');
});

test('least-loaded spreads what it places between two records', () => {
  const placement = new Placement();
  const devices = [record('a', { queued: 2 }), record('b'), record('c')];
  assert.equal(picks(placement, devices, 4), 'bcbc');
  // All three have two by now; then each gets one of three.
  assert.equal([...picks(placement, devices, 3)].sort().join(''), 'abc');
  // A new record says how it really is, and the guesses end.
  const fresh = devices.map((device) => ({ ...device, sampledAtMs: 1, queued: 0 }));
  assert.equal([...picks(placement, fresh, 3)].sort().join(''), 'abc');
});

test('hints choose by live figures', () => {
  const placement = new Placement();
  const devices = [
    record('full', { memoryUsed: 900 }),
    record('gpu', { backend: 'webgpu', capabilities: ['shader-f16'], queued: 9 }),
    record('cpu', { queued: 5 }),
  ];
  const pick = (hints: PlacementHints) => placement.pick(devices, hints, 0).address;
  assert.equal(pick({ minFreeBytes: 101, backend: 'cpu' }), 'cpu');
  assert.equal(pick({ backend: 'webgpu' }), 'gpu');
  assert.equal(pick({ capabilities: ['shader-f16'] }), 'gpu');
  assert.equal(pick({}), 'full');
});

test('devices that are dead, being rebuilt or not heard of are not eligible', () => {
  const placement = new Placement({ staleAfterMs: 1000 });
  const devices = [
    record('dead', { state: 'dead', sampledAtMs: 5000 }),
    record('rebuilding', { state: 'rebuilding', sampledAtMs: 5000 }),
    record('silent', { sampledAtMs: 3999 }),
    record('busy', { sampledAtMs: 4000, queued: 900 }),
  ];
  assert.equal(placement.pick(devices, {}, 5000).address, 'busy');
});

test('when no device fits, the error says what was asked and what there was', () => {
  const placement = new Placement();
  const devices = [
    record('n1/cpu-0', { memoryUsed: 900 }),
    record('n1/gpu-0', { backend: 'webgpu', state: 'dead' }),
    record('n2/cpu-0', { sampledAtMs: -7000 }),
    record('n2/gpu-0', { backend: 'webgpu' }),
  ];
  const hints = { minFreeBytes: 500, backend: 'cpu' } as const;
  assert.throws(
    () => placement.pick(devices, hints, 0),
    (error: unknown) => {
      assert.ok(hasCode(error, 'no_eligible_device'));
      assert.equal(
        error.message,
        'no device fits {"minFreeBytes":500,"backend":"cpu"}: n1/cpu-0 has 100 bytes free; ' +
          'n1/gpu-0 is dead; n2/cpu-0 was last heard of 7000 ms ago; n2/gpu-0 is a webgpu device',
      );
      return true;
    },
  );
  assert.throws(
    () => placement.pick([], {}, 0),
    (error: unknown) => hasCode(error, 'no_eligible_device') && /no devices/.test(error.message),
  );
});

test('no device gets more than its share, whichever devices there are', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 9 }),
      fc.constantFrom('round-robin' as const, 'least-loaded' as const),
      fc.integer({ min: 1, max: 60 }),
      (addresses, policy, times) => {
        const placement = new Placement({ policy });
        const devices = addresses.map((address) => record(address));
        const counts = new Map<string, number>();
        for (let i = 0; i < times; i++) {
          const { address } = placement.pick(devices, {}, 0);
          counts.set(address, (counts.get(address) ?? 0) + 1);
        }
        assert.ok(Math.max(...counts.values()) <= Math.ceil(times / addresses.length));
      },
    ),
  );
});

test('a shard keeps its device, and a device that comes or goes moves only its share', () => {
  const devices = Array.from({ length: 8 }, (_, i) => record(`node-1/cpu-${i}`));
  const shards = Array.from({ length: 2048 }, (_, shard) => shard);
  const owners = (among: DeviceStats[]) =>
    shards.map((shard) => deviceOfShard(shard, among).address);
  const before = owners(devices);
  const counts = Map.groupBy(before, (address) => address);
  for (const { length } of counts.values()) assert.ok(length > 200 && length < 312, `${length}`);
  // In another order, with another load, or while a context is rebuilt: no shard moves.
  const busy = devices.map((device) => ({ ...device, queued: 9, state: 'rebuilding' as const }));
  assert.deepEqual(owners(busy.reverse()), before);
  const more = owners([...devices, record('node-1/gpu-0')]);
  const moved = shards.filter((shard) => more[shard] !== before[shard]);
  assert.ok(moved.every((shard) => more[shard] === 'node-1/gpu-0'));
  assert.ok(moved.length < (1.2 * shards.length) / 9, `${moved.length} moved`);
  const dead = devices.map((device, i) =>
    i === 3 ? { ...device, state: 'dead' as const } : device,
  );
  const after = owners(dead);
  for (const shard of shards) {
    if (before[shard] === 'node-1/cpu-3') assert.notEqual(after[shard], before[shard]);
    else assert.equal(after[shard], before[shard]);
  }
});

test('a shard without a device is an error, not a message lost', () => {
  const devices = [record('a', { state: 'dead' }), record('b')];
  assert.throws(
    () => deviceOfShard(1, devices, { backend: 'webgpu' }),
    (error: unknown) => {
      assert.ok(hasCode(error, 'no_eligible_device'));
      assert.match(error.message, /"backend":"webgpu".*a is a cpu device; b is a cpu device/);
      return true;
    },
  );
  assert.throws(() => deviceOfShard(1, []), withCode('no_eligible_device'));
});

test('records from elsewhere are checked field by field', () => {
  const good = { ...record('n/cpu-0', { queued: 3 }), utilization: 0.5 };
  const read = readDeviceSamples([{ ...good, extra: 1 }], 77);
  assert.deepEqual(read, [{ ...good, sampledAtMs: 77 }]);
  const wrong: unknown[] = [
    'text',
    Array.from({ length: 65 }, () => good),
    [null],
    [{ ...good, address: 5 }],
    [{ ...good, address: 'x'.repeat(300) }],
    [{ ...good, state: 'fine' }],
    [{ ...good, backend: 'tpu' }],
    [{ ...good, queued: -1 }],
    [{ ...good, memoryMax: Number.NaN }],
    [{ ...good, busyMs: '3' }],
    [{ ...good, capabilities: [1] }],
    [{ ...good, capabilities: undefined }],
    [{ ...good, utilization: undefined }],
    [{ ...good, reason: { toString: 1 } }],
  ];
  for (const body of wrong) {
    assert.throws(() => readDeviceSamples(body, 0), withCode('launch_invalid'));
  }
});

test('options are checked once', () => {
  assert.throws(
    () => new Placement({ policy: 'best' as 'round-robin' }),
    withCode('invalid_option'),
  );
  assert.throws(() => new Placement({ staleAfterMs: 0 }), withCode('invalid_option'));
});
