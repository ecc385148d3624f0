import type { ErrorCodes } from '../core/index.ts';

export const DEVICE_ERRORS = {
  kernels_missing: 'build/kernels.wasm is missing or is no module; `npm run kernels` builds it.',
  out_of_memory:
    'The kernel memory cannot hold the block. The message has both sizes and the limit.',
  kernel_worker_died: 'A thread of a kernel pool ended or failed; the work it had is lost.',
  kernel_pool_stopped: 'The kernel pool was stopped and takes no more work.',
} as const satisfies ErrorCodes;
