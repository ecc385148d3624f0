// One node as a child process: started with its arguments, ready when it says so over IPC, stopped
// with SIGTERM and, when that takes too long, killed.
import { fork } from 'node:child_process';
import { FlotillaError } from '../core/index.ts';
import { SUPERVISOR } from './defaults.ts';
import { oneLine } from './report-error.ts';
import type { ChildProcess } from 'node:child_process';
import type { Clock } from '../core/index.ts';
import type { NodeMessage, ReadyMessage } from './node-messages.ts';

export interface NodeProcessOptions {
  readonly name: string;
  /** The program and its arguments. */
  readonly entry: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

/** How a process ended, for people: "exit code 1" or "SIGKILL". */
export interface NodeExit {
  readonly how: string;
  /** The last line that it wrote to standard error; empty when it wrote none. */
  readonly lastWords: string;
}

export class NodeProcess {
  readonly name: string;
  /** Rejects with the node's own error, `node_failed` or `deadline_exceeded`. */
  readonly ready: Promise<ReadyMessage>;
  readonly exited: Promise<NodeExit>;
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  #errorText = '';
  #stopping = false;

  constructor({ name, entry, args, env, clock }: NodeProcessOptions) {
    this.name = name;
    this.#clock = clock;
    this.#child = fork(entry, [...args], { env, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errorText = (this.#errorText + text).slice(-SUPERVISOR.keptErrorCharacters);
    });
    this.exited = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        if (this.#child.pid === undefined) resolve({ how: error.message, lastWords: '' });
      });
      this.#child.once('close', (code, signal) => {
        resolve({ how: signal ?? `exit code ${code}`, lastWords: this.#lastWords() });
      });
    });
    this.ready = this.#awaitReady();
    // Who stops a node before it is ready has no use for the reason.
    this.ready.catch(() => {});
  }

  /** True once `stop` or `kill` was called: its end is no surprise. */
  get stopping(): boolean {
    return this.#stopping;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#child.kill('SIGTERM');
    const kill = this.#clock.schedule(SUPERVISOR.stopTimeoutMs, () => this.kill());
    await this.exited;
    kill.cancel();
  }

  kill(): void {
    this.#stopping = true;
    this.#child.kill('SIGKILL');
  }

  #awaitReady(): Promise<ReadyMessage> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.schedule(SUPERVISOR.readyTimeoutMs, () => {
        const message = `${this.name} was not ready within ${SUPERVISOR.readyTimeoutMs / 1000} s`;
        reject(new FlotillaError('deadline_exceeded', message));
      });
      this.#child.on('message', (message: NodeMessage) => {
        timer.cancel();
        if (message.type === 'ready') resolve(message);
        else reject(new FlotillaError(message.error.code, message.error.message));
      });
      void this.exited.then(({ how, lastWords }) => {
        timer.cancel();
        const words = lastWords === '' ? '' : `: ${lastWords}`;
        const message = `${this.name} ended before it was ready (${how})${words}`;
        reject(new FlotillaError('node_failed', message, { details: { node: this.name } }));
      });
    });
  }

  /** The line with the error, of an uncaught one's source excerpt, message and stack. */
  #lastWords(): string {
    const lines = this.#errorText.split('\n').filter((line) => line.trim() !== '');
    const spoken = lines.find((line) => /^(\w*Error\b|flotilla:|<--|FATAL)/.test(line));
    return oneLine(spoken ?? lines.at(-1) ?? '');
  }
}
