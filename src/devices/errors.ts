import { FlotillaError } from '../core/index.ts';
import type { ErrorCodes } from '../core/index.ts';

export const DEVICE_ERRORS = {
  kernels_missing: 'build/kernels.wasm is missing or is no module; `npm run kernels` builds it.',
  out_of_memory:
    'The kernel memory cannot hold the block. The message has both sizes and the limit.',
  kernel_worker_died: 'A thread of a kernel pool ended or failed; the work it had is lost.',
  kernel_pool_stopped: 'The kernel pool was stopped and takes no more work.',
  backend_unavailable: 'This machine lacks what the device backend needs; the message says what.',
  device_fault: 'The context of the device failed under the command: its buffers are gone.',
  device_dead: 'The context of the device could not be opened, and the device has given up.',
  device_stopped: 'The device was stopped and takes no more commands.',
  device_unknown: 'No device of this node has the address; the message lists those there are.',
  buffer_stale: 'The buffer is of an earlier life of its device; allocate and fill it again.',
  buffer_unknown: 'The device has no such buffer: it was freed, or is of another device.',
  launch_invalid: 'An argument of a kernel breaks its rule; the message names it and the rule.',
  index_out_of_range: 'A row id is not in the table; nothing was changed.',
  index_repeated: 'A row id appears twice where each must appear once; nothing was changed.',
  no_eligible_device: 'No device fits; the message says what was asked and why each was left out.',
} as const satisfies ErrorCodes;

/** `launch_invalid` with the facts that its reader needs. */
export function launchInvalid(what: string, rule: string, actual: unknown): FlotillaError {
  const text = shown(actual);
  return new FlotillaError('launch_invalid', `${what} must be ${rule}, but is ${text}`, {
    details: { argument: what, rule, actual: text },
  });
}

/** A value from anywhere, in a few characters. An object's own idea of its text is not asked. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'function' ? 'a function' : String(value).slice(0, 80);
}

/** What a context raises when it fails under a call, and why it is lost. */
export function deviceFault(what: string, cause?: unknown): FlotillaError {
  return new FlotillaError('device_fault', what, cause === undefined ? {} : { cause });
}

/** `index_out_of_range` for the id at a position of the ids. */
export function indexOutOfRange(at: number, id: number, rows: number): FlotillaError {
  const message = `id ${id} at position ${at} is not in a table of ${rows} rows`;
  return new FlotillaError('index_out_of_range', message, { details: { at, id, rows } });
}

/** `index_repeated` for the second appearance of an id. */
export function indexRepeated(at: number, id: number): FlotillaError {
  const message = `id ${id} appears again at position ${at}; here each may appear once`;
  return new FlotillaError('index_repeated', message, { details: { at, id } });
}
