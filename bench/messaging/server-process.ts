// The second process of a contestant: started from its own file, told what it needs over IPC, ended
// with the first one, however that ends.
import { fork } from 'node:child_process';
import { once } from 'node:events';

export interface ServerProcess<Ready> {
  readonly ready: Ready;
  readonly pid: number;
  /** What it sends next, beside its `Ready`. */
  nextMessage(): Promise<unknown>;
  stop(): Promise<void>;
}

/** Starts `file` with the mode `server` and hands it `setup`; it answers once with `Ready`. */
export async function startServer<Ready>(
  file: string,
  setup: object,
): Promise<ServerProcess<Ready>> {
  const child = fork(file, [process.argv[2] ?? '{}', 'server'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit');
  child.send(setup);
  const [ready] = (await Promise.race([
    once(child, 'message'),
    ended.then(([code]) => {
      throw new Error(`the server process ended with ${String(code)} before it was ready`);
    }),
  ])) as [Ready];
  return {
    ready,
    pid: child.pid!,
    async nextMessage() {
      const [message] = (await once(child, 'message')) as [unknown];
      return message;
    },
    async stop() {
      child.disconnect();
      await ended;
    },
  };
}

/** In the server process: starts with what it gets, and ends when the first process is gone. */
export function serve<Setup>(start: (setup: Setup) => Promise<object>): void {
  process.once('disconnect', () => process.exit(0));
  process.once('message', (setup) => {
    void start(setup as Setup).then((ready) => process.send?.(ready));
  });
}
