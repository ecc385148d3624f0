// How a kernel pool and its threads talk: one command block a thread in the shared memory. The pool
// fills it in, raises `requested` and wakes the thread; the thread raises `completed` when it is
// done.
import type { KernelExports } from './module.ts';
import type { Scratch } from './kernels.ts';

/** What a thread can be asked for: a kernel by name, or to end. A command has its position. */
export const OPERATIONS = [
  'stop',
  'sgemm',
  'axpy',
  'dotChunks',
  'gatherIds',
  'scatterAddIds',
  'firstOutside',
  'firstRepeated',
  'adagradIds',
  'adagradDense',
  'softmaxCrossEntropyRows',
  'float16ToFloat32',
  'float32ToFloat16',
  'int32ToFloat32',
  'float32ToInt32',
  'uint8ToFloat32',
  'float32ToUint8',
  'zero',
] as const satisfies readonly ('stop' | keyof KernelExports)[];

export type Operation = Exclude<(typeof OPERATIONS)[number], 'stop'>;

/** One kernel with its arguments, without the scratch that `sgemm` takes last. */
export interface Task {
  readonly operation: Operation;
  readonly args: readonly number[];
}

/** 32-bit words at the start of a command block. */
export const COMMAND = { requested: 0, completed: 1, operation: 2, argumentCount: 3 } as const;
export const COMMAND_WORDS = 4;

/** After them, as doubles: what the kernel returned, then its arguments (`sgemm` has twelve). */
export const RESULT_OFFSET_BYTES = COMMAND_WORDS * 4;
export const MAX_ARGUMENTS = 12;
export const COMMAND_BYTES = RESULT_OFFSET_BYTES + (1 + MAX_ARGUMENTS) * 8;

/** The two views of a command block. `values[0]` is the result, the arguments follow. */
export function commandViews(memory: WebAssembly.Memory, pointer: number) {
  return {
    words: new Int32Array(memory.buffer, pointer, COMMAND_WORDS),
    values: new Float64Array(memory.buffer, pointer + RESULT_OFFSET_BYTES, 1 + MAX_ARGUMENTS),
  };
}

/** What a thread starts with. */
export interface KernelWorkerData {
  readonly memory: WebAssembly.Memory;
  readonly scratch: Scratch;
  readonly commandPointer: number;
}
