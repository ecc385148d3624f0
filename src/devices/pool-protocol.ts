// How a kernel pool and its threads talk: one command block a thread in the shared memory. The pool
// fills it in, raises `requested` and wakes the thread; the thread raises `completed` when it is
// done.
import type { Scratch } from './kernels.ts';

/**
 * Words of a command block: two counters, the operation, then the arguments of `sgemm` as words.
 */
export const COMMAND = {
  requested: 0,
  completed: 1,
  operation: 2,
  arguments: 3,
} as const;

/**
 * Arguments of a product: three flags, m, n, k, and pointer and leading dimension of A, B and C.
 */
export const ARGUMENT_WORDS = 12;
export const COMMAND_BYTES = (COMMAND.arguments + ARGUMENT_WORDS) * 4;

export const OPERATION_STOP = 0;
export const OPERATION_SGEMM = 1;

/** What a thread starts with. */
export interface KernelWorkerData {
  readonly memory: WebAssembly.Memory;
  readonly scratch: Scratch;
  readonly commandPointer: number;
}
