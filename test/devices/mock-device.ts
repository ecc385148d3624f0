// A device on a mock and a simulated clock, and how a promise ended.
import { hasCode } from '../../src/core/index.ts';
import { Device } from '../../src/devices/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { MockBackend } from './mock-backend.ts';
import type { DeviceOptions } from '../../src/devices/index.ts';

export const withCode = (code: string) => (error: unknown) => hasCode(error, code);

export function createDevice(options: Partial<DeviceOptions> = {}) {
  const backend = new MockBackend();
  const clock = new SimulatedClock();
  const device = new Device({ backend, clock }, { address: 'node/mock-0', ...options });
  return { backend, clock, device };
}

/** How a promise ended, once it has: nothing is unhandled meanwhile. */
export function outcomeOf(promise: Promise<unknown>): { code: string | undefined } {
  const outcome: { code: string | undefined } = { code: undefined };
  promise.then(
    () => {
      outcome.code = 'done';
    },
    (error: unknown) => {
      outcome.code = hasCode(error) ? error.code : String(error);
    },
  );
  return outcome;
}
