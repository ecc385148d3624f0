// The thread that computes training steps, so that the node's event loop stays free for heartbeats,
// pulls and requests. It shares the node's memory and keeps nothing else of it.
import { parentPort, workerData } from 'node:worker_threads';
import { defined } from '../core/index.ts';
import { Kernels } from '../devices/index.ts';
import { ComplexStep } from './complex.ts';
import type { ScratchLayout, SlotLayout, StepCounts, StepShape } from './complex.ts';

/** What the thread is started with. */
export interface StepThreadData {
  readonly memory: WebAssembly.Memory;
  /** The block in which this thread's kernels pack their operands. */
  readonly kernelScratch: { readonly pointer: number; readonly bytes: number };
  readonly shape: StepShape;
  readonly scratch: ScratchLayout;
  readonly regularisation: number;
}

export interface StepRequest {
  readonly id: number;
  readonly slot: SlotLayout;
  readonly counts: StepCounts;
}

/** The first message, without an id, says that the thread is ready. */
export interface StepReply {
  readonly id: number;
  /** Mean loss of a direction. */
  readonly loss: number;
}

const port = defined(parentPort, 'step-worker.ts runs as a worker thread only');
const data = workerData as StepThreadData;
const kernels = await Kernels.attach(data.memory, data.kernelScratch);
const step = new ComplexStep(kernels, data, data.regularisation);

port.on('message', ({ id, slot, counts }: StepRequest) => {
  port.postMessage({ id, loss: step.run(slot, counts) } satisfies StepReply);
});
port.postMessage({ id: -1, loss: 0 } satisfies StepReply);
