// Keeps the two processes of a round trip on one core each. Left to the scheduler, two processes
// that wait for each other share a core in one run and not in the next, which is a factor of ten.
import { spawnSync } from 'node:child_process';
import os from 'node:os';

/** Pins the main threads, the first on core 0 and so on, for as long as `measure` takes. */
export async function pinned<T>(pids: readonly number[], measure: () => Promise<T>): Promise<T> {
  const cores = os.availableParallelism();
  if (process.platform !== 'linux' || cores < pids.length) return measure();
  pids.forEach((pid, core) => {
    setCores(pid, String(core));
  });
  try {
    return await measure();
  } finally {
    for (const pid of pids) setCores(pid, `0-${cores - 1}`);
  }
}

function setCores(pid: number, list: string): void {
  spawnSync('taskset', ['-p', '-c', list, String(pid)], { stdio: 'ignore' });
}
