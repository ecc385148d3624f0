// The backends that can run here, for suites that loop over implementations.
import { test } from 'node:test';
import { hasCode, systemClock } from '../../src/core/index.ts';
import { CpuBackend, Device, WebGpuBackend } from '../../src/devices/index.ts';
import { MockBackend } from './mock-backend.ts';
import type { DeviceBackend } from '../../src/devices/index.ts';

export interface NamedBackend {
  readonly name: string;
  make(): DeviceBackend;
}

export const BACKENDS: readonly NamedBackend[] = [
  { name: 'cpu, 1 thread', make: () => new CpuBackend({ threads: 1 }) },
  { name: 'cpu, 3 threads', make: () => new CpuBackend({ threads: 3 }) },
  { name: 'webgpu', make: () => new WebGpuBackend({ clock: systemClock }) },
];

export const REFERENCE: NamedBackend = {
  name: 'reference',
  make: () => {
    const backend = new MockBackend();
    backend.memoryBytes = 2 ** 28;
    return backend;
  },
};

/** A test with a started device of each backend; one that this machine lacks is skipped. */
export function onEachBackend(
  what: string,
  body: (device: Device, backend: NamedBackend) => Promise<void>,
): void {
  for (const backend of BACKENDS) {
    test(`${backend.name}: ${what}`, async (context) => {
      const device = makeDevice(backend);
      try {
        await device.start();
      } catch (error) {
        if (!hasCode(error, 'backend_unavailable')) throw error;
        context.skip(error.message);
        return;
      }
      try {
        await body(device, backend);
      } finally {
        await device.stop();
      }
    });
  }
}

export function makeDevice(backend: NamedBackend): Device {
  return new Device(
    { backend: backend.make(), clock: systemClock },
    { address: `test/${backend.name}` },
  );
}
