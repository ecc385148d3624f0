// Many seeds over worker threads: hands them out one at a time and tells the outcomes as they come.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { SimulationOptions } from './plan.ts';
import type { Outcome } from './simulation.ts';

export interface ManyOptions extends Omit<SimulationOptions, 'seed' | 'onLine' | 'onProgress'> {
  readonly first: number;
  readonly last: number;
  readonly jobs: number;
  /** Ends once so many seeds have failed. */
  readonly maxFailures: number;
  readonly onOutcome: (outcome: Outcome) => void;
}

export async function simulateMany(options: ManyOptions): Promise<void> {
  const { first, last, jobs, maxFailures, onOutcome, ...simulation } = options;
  let next = first;
  let failures = 0;
  const work = async () => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url));
    try {
      while (next <= last && failures < maxFailures) {
        worker.postMessage({ ...simulation, seed: next++ });
        const [outcome] = (await once(worker, 'message')) as [Outcome];
        if (outcome.violation !== undefined) failures++;
        onOutcome(outcome);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
}
