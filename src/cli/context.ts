// What a command may touch of its process: where it writes, the environment, the clock, the program
// that node processes are started with.
import { FlotillaError } from '../core/index.ts';
import type { Clock } from '../core/index.ts';
import type { Terminal } from './terminal.ts';

export interface CliContext {
  readonly out: Terminal;
  readonly err: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** The file that runs the command line, for child processes. */
  readonly entry: string;
}

export interface Interrupts extends Disposable {
  /** Aborts with the code `cancelled` on the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
}

/** Listens for Ctrl-C. `again` runs on the second one, for those who cannot wait. */
export function listenForInterrupts(again: () => void): Interrupts {
  const controller = new AbortController();
  const listener = () => {
    if (controller.signal.aborted) again();
    else controller.abort(new FlotillaError('cancelled', 'stopped'));
  };
  for (const name of SIGNALS) process.on(name, listener);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const name of SIGNALS) process.off(name, listener);
    },
  };
}

/** Ctrl-C, an operator's kill, a terminal that is closed. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Settles as `promise` does, or rejects with the signal's reason when that comes first. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
