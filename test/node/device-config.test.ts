// Which devices a node has, by its configuration, and what its load records say of GPUs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode, silentLogger } from '../../src/core/index.ts';
import { Device, LocalDevices } from '../../src/devices/index.ts';
import { parseConfig } from '../../src/node/index.ts';
import { createDevices } from '../../src/node/device-config.ts';
import { gpusOf } from '../../src/node/device-loads.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { MockBackend } from '../devices/mock-backend.ts';
import type { BackendKind } from '../../src/devices/index.ts';

const withCode = (code: string) => (error: unknown) => hasCode(error, code);

function addressesOf(devices?: unknown): string[] {
  const config = parseConfig({
    name: 'n',
    dataDir: 'd',
    ...(devices !== undefined && { devices }),
  });
  const clock = new SimulatedClock();
  return createDevices(config, { clock, log: silentLogger }).map(({ address }) => address);
}

test('a node has one processor device unless it is told otherwise', () => {
  assert.deepEqual(addressesOf(), ['n/cpu-0']);
  assert.deepEqual(addressesOf([]), []);
  const some = [{ backend: 'webgpu' }, { backend: 'cpu', threads: 3 }, { backend: 'webgpu' }];
  assert.deepEqual(addressesOf(some), ['n/gpu-0', 'n/cpu-0', 'n/gpu-1']);
});

test('what is no device is refused with its rule', () => {
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [[{ backend: 'tpu' }], /devices\.0\.backend: .*"cpu".*"webgpu"/],
    [[{ backend: 'cpu', threads: 0 }], /devices\.0\.threads: 1 to 256/],
    [[{ backend: 'cpu', memoryBytes: 2 ** 33 }], /memoryBytes: at most 4 GiB/],
    [[{ backend: 'webgpu', threads: 2 }], /devices\.0/],
    [Array.from({ length: 65 }, () => ({ backend: 'cpu' })), /devices: at most 64/],
  ];
  for (const [devices, rule] of wrong) {
    assert.throws(
      () => addressesOf(devices),
      (error: unknown) => {
        assert.ok(hasCode(error, 'config_invalid'));
        assert.match(error.message, rule);
        return true;
      },
    );
  }
});

class FakeGpu extends MockBackend {
  override readonly kind = 'webgpu' as BackendKind as 'mock';
}

test('a GPU is in a load record once, whoever speaks for it', async () => {
  const clock = new SimulatedClock();
  const adapters = [['vendor-nvidia'], ['vendor-nvidia'], ['vendor-amd'], ['software']];
  const devices = adapters.map((capabilities, i) => {
    const backend = new FakeGpu();
    backend.capabilities = capabilities;
    backend.description = capabilities.join();
    return new Device({ backend, clock }, { address: `n/gpu-${i}` });
  });
  const local = new LocalDevices({ clock });
  await local.start(devices);
  await devices[1]!.allocate('uint8', 64);
  await clock.run(250);
  const own = { gpuCount: 4, gpuLoads: (except?: readonly string[]) => local.gpuLoads(except) };
  const figures = { utilization: 0, memoryUsed: 0, memoryMax: 2 ** 20 };
  // Two devices on one adapter are one GPU.
  assert.deepEqual(await gpusOf(undefined, own)!(), [
    { ...figures, memoryUsed: 64, memoryMax: 2 ** 21 },
    figures,
  ]);
  const measured = { utilization: 0.7, memoryUsed: 2 ** 30, memoryMax: 2 ** 34 };
  assert.deepEqual(await gpusOf(async () => [measured], own)!(), [measured, figures]);
  // The driver's tool said nothing: then the devices do.
  assert.equal((await gpusOf(async () => [], own)!()).length, 2);
  const none = { ...own, gpuCount: 0 };
  assert.equal(gpusOf(undefined, none), undefined);
  await local.stop();
});

test('a configuration with GPUs can be read on a machine without', () => {
  assert.throws(() => addressesOf('all'), withCode('config_invalid'));
  assert.deepEqual(addressesOf([{ backend: 'webgpu', memoryBytes: 2 ** 35 }]), ['n/gpu-0']);
});
