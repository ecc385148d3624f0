// A worker thread of `many.ts`: runs the seeds that it is given, one after the other.
import { parentPort } from 'node:worker_threads';
import { simulate } from './simulation.ts';
import type { SimulationOptions } from './plan.ts';

const port = parentPort!;

port.on('message', (options: SimulationOptions) => {
  void simulate(options).then((outcome) => port.postMessage(outcome));
});
