// `flotilla devices` as a person and a script see it: figures, what is missing and why, nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withGateway } from '../gateway/fakes.ts';
import { flotilla } from './run-cli.ts';
import type { DeviceInfo } from '../../src/node/index.ts';

function device(address: string, fields: Partial<DeviceInfo> = {}): DeviceInfo {
  return {
    address,
    node: address.split('/')[0] ?? '',
    backend: 'cpu',
    description: 'a processor, 2 threads of WASM SIMD',
    capabilities: ['wasm-simd', 'threads-2'],
    state: 'ready',
    generation: 1,
    queued: 0,
    active: 0,
    buffers: 0,
    memoryUsed: 0,
    memoryMax: 2 ** 30,
    launches: 0,
    faults: 0,
    utilization: 0,
    ...fields,
  };
}

const DEVICES: readonly DeviceInfo[] = [
  device('node-0/cpu-0', { queued: 3, memoryUsed: 12 * 2 ** 20, utilization: 0.5, launches: 1234 }),
  device('node-0/gpu-0', {
    ...{ backend: 'webgpu', state: 'dead', memoryMax: 0 },
    reason: 'the npm package webgpu is not installed',
  }),
  device('node-1/cpu-0', { state: 'new', memoryMax: 0 }),
];

async function devices(url: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await flotilla(['devices', ...args, '--url', url]);
  assert.equal(code, 0, stderr);
  return stdout.trimEnd().replace(/ +/g, ' ');
}

test('devices are listed with their figures, and what is missing with its reason', () =>
  withGateway(
    { devices: async () => ({ devices: DEVICES, silent: ['node-2'] }) },
    async ({ url }) => {
      assert.deepEqual((await devices(url)).split('\n'), [
        'device node backend state queued memory busy launches faults',
        'node-0/cpu-0 node-0 cpu ready 3 12.0 MiB of 1.0 GiB 50 % 1,234 0',
        'node-0/gpu-0 node-0 webgpu dead 0 - - 0 0',
        'node-1/cpu-0 node-1 cpu not in use 0 - - 0 0',
        '3 devices of 2 nodes',
        'node-0/gpu-0: the npm package webgpu is not installed',
        'node-2 does not answer',
      ]);
      const json = JSON.parse(await devices(url, '--json'));
      assert.deepEqual(json, { self: 'node-0', devices: DEVICES, silent: ['node-2'] });
      assert.match(await devices(url, 'node-1'), /^1 device of 1 node$/m);
      assert.equal(await devices(url, 'node-7'), 'node-7 has no device');
      assert.equal(await devices(url, 'node-2'), 'node-2 has no device\nnode-2 does not answer');
    },
  ));

test('a fleet without devices says so', () =>
  withGateway({}, async ({ url }) => {
    assert.equal(await devices(url), 'no node has a device');
  }));
