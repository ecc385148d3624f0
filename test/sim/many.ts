// Many seeds over worker threads: hands them out one at a time and tells the outcomes as they come.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Outcome } from './history.ts';
import type { SubjectName } from './subjects.ts';

export interface ManyOptions {
  readonly of: SubjectName;
  readonly first: number;
  readonly last: number;
  readonly jobs: number;
  /** Ends once so many seeds have failed. */
  readonly maxFailures: number;
  /** What every history is given besides its seed. */
  readonly shared: object;
  readonly onOutcome: (outcome: Outcome) => void;
}

export async function simulateMany(options: ManyOptions): Promise<void> {
  const { of, first, last, jobs, maxFailures, shared, onOutcome } = options;
  let next = first;
  let failures = 0;
  const work = async () => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: of });
    try {
      while (next <= last && failures < maxFailures) {
        worker.postMessage({ ...shared, seed: next++ });
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
