// A thread of a `KernelPool`. It sleeps on its command block, computes what it finds there, and
// ends when told to. A trap ends the thread, which the pool reports.
import { parentPort, workerData } from 'node:worker_threads';
import { Kernels } from './kernels.ts';
import { COMMAND, commandViews, OPERATIONS } from './pool-protocol.ts';
import type { KernelWorkerData } from './pool-protocol.ts';

const { memory, scratch, commandPointer } = workerData as KernelWorkerData;
const kernels = await Kernels.attach(memory, scratch);
const { words, values } = commandViews(memory, commandPointer);

parentPort?.postMessage('ready');
for (let seen = 0; ; ) {
  Atomics.wait(words, COMMAND.requested, seen);
  seen = Atomics.load(words, COMMAND.requested);
  const operation = OPERATIONS[words[COMMAND.operation]!]!;
  if (operation === 'stop') break;
  const args = Array.from(values.subarray(1, 1 + words[COMMAND.argumentCount]!));
  values[0] = kernels.invoke({ operation, args });
  Atomics.store(words, COMMAND.completed, seen);
  Atomics.notify(words, COMMAND.completed);
}
