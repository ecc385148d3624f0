// Which devices a node has: what its configuration says, and the devices themselves, not started.
import { z } from 'zod';
import {
  CpuBackend,
  Device,
  MAX_DEVICES,
  MAX_MEMORY_BYTES,
  WebGpuBackend,
} from '../devices/index.ts';
import { NODE_DEFAULTS } from './defaults.ts';
import type { Clock, Logger } from '../core/index.ts';

/** What buffers of the device may take, bytes; memory itself is taken as it is used. */
const memoryBytes = z.int('a whole number').min(1, 'from 1');

const cpuSchema = z.strictObject({
  backend: z.literal('cpu'),
  /** Threads that compute. @default 2 */
  threads: z
    .int('a whole number')
    .min(1, '1 to 256')
    .max(NODE_DEFAULTS.maxDeviceThreads, '1 to 256')
    .exactOptional(),
  /** @default 1 GiB */
  memoryBytes: memoryBytes.max(MAX_MEMORY_BYTES, 'at most 4 GiB').exactOptional(),
});

const webgpuSchema = z.strictObject({
  backend: z.literal('webgpu'),
  /** @default 1 GiB */
  memoryBytes: memoryBytes.exactOptional(),
});

/**
 * `node-1/cpu-0`, `node-1/gpu-0` and so on, in this order. They start when somebody first uses one.
 * A GPU needs the npm package `webgpu` beside Flotilla; one that cannot be opened is left out.
 */
export const devicesSchema = z
  .array(
    z.discriminatedUnion('backend', [cpuSchema, webgpuSchema], {
      error: '{ backend: "cpu" } or { backend: "webgpu" }',
    }),
  )
  .max(MAX_DEVICES, `at most ${MAX_DEVICES}`)
  .default([{ backend: 'cpu' }]);

export type DeviceConfig = z.output<typeof devicesSchema>[number];

export function createDevices(
  { name, devices }: { readonly name: string; readonly devices: readonly DeviceConfig[] },
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Device[] {
  const counts = { cpu: 0, gpu: 0 };
  // Names of buffers from before a restart must mean nothing now.
  const generation = Math.max(1, Math.floor(clock.wallTime()));
  return devices.map(({ backend: kind, ...options }) => {
    const short = kind === 'cpu' ? 'cpu' : 'gpu';
    const address = `${name}/${short}-${counts[short]++}`;
    const backend =
      kind === 'cpu' ? new CpuBackend(options) : new WebGpuBackend({ clock }, options);
    return new Device({ backend, clock, logger: log }, { address, generation });
  });
}
