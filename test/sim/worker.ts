// A worker thread of `many.ts`: runs the seeds that it is given, one after the other.
import { parentPort, workerData } from 'node:worker_threads';
import { SUBJECTS } from './subjects.ts';
import type { HistoryOptions } from './history.ts';
import type { SubjectName } from './subjects.ts';

const port = parentPort!;
const subject = SUBJECTS[workerData as SubjectName];

port.on('message', (options: HistoryOptions) => {
  void subject.simulate(options).then((outcome) => port.postMessage(outcome));
});
