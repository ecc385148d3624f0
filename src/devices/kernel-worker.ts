// A thread of a `KernelPool`. It sleeps on its command block, computes what it finds there, and
// ends when told to. A trap ends the thread, which the pool reports.
import { parentPort, workerData } from 'node:worker_threads';
import { Kernels } from './kernels.ts';
import { ARGUMENT_WORDS, COMMAND, COMMAND_BYTES, OPERATION_STOP } from './pool-protocol.ts';
import type { KernelWorkerData } from './pool-protocol.ts';

const { memory, scratch, commandPointer } = workerData as KernelWorkerData;
const kernels = await Kernels.attach(memory, scratch);
const command = new Int32Array(memory.buffer, commandPointer, COMMAND_BYTES / 4);
const words = command.subarray(COMMAND.arguments, COMMAND.arguments + ARGUMENT_WORDS);

function run(): void {
  const [transA, transB, accumulate, m, n, k, a, lda, b, ldb, c, ldc] =
    words as unknown as number[];
  kernels.sgemm(
    { transA: transA === 1, transB: transB === 1, accumulate: accumulate === 1 },
    m!,
    n!,
    k!,
    a!,
    lda!,
    b!,
    ldb!,
    c!,
    ldc!,
  );
}

parentPort?.postMessage('ready');
for (let seen = 0; ; ) {
  Atomics.wait(command, COMMAND.requested, seen);
  seen = Atomics.load(command, COMMAND.requested);
  if (command[COMMAND.operation] === OPERATION_STOP) break;
  run();
  Atomics.store(command, COMMAND.completed, seen);
  Atomics.notify(command, COMMAND.completed);
}
