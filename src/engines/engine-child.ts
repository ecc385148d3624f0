// One run of an engine's program: a process group of its own, the end of what it writes, and its
// end: asked for with SIGTERM and, when that takes too long, forced. Whether and when to run it
// again is the engine's business.
import { spawn } from 'node:child_process';
import { PROCESS_DEFAULTS } from './defaults.ts';
import type { ChildProcess } from 'node:child_process';
import type { Clock, Timer } from '../core/index.ts';

export interface EngineChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory?: string;
  readonly stopTimeoutMs: number;
}

export class EngineChild {
  /** How it ended, for people: "exit code 1", "SIGKILL", or why it could not be started. */
  readonly exited: Promise<string>;
  readonly #clock: Clock;
  readonly #stopTimeoutMs: number;
  readonly #child: ChildProcess;
  #output = '';
  #killing: Timer | undefined;
  #isOver = false;

  constructor(clock: Clock, options: EngineChildOptions) {
    const { command, args, environment, directory, stopTimeoutMs } = options;
    this.#clock = clock;
    this.#stopTimeoutMs = stopTimeoutMs;
    // A group of its own: what it starts itself ends with it, and Ctrl-C in a terminal is left to
    // the node, which lets requests finish first.
    this.#child = spawn(command, [...args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment,
      ...(directory !== undefined && { cwd: directory }),
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-PROCESS_DEFAULTS.keptOutputCharacters);
      });
    }
    this.exited = new Promise((resolve) => {
      const end = (how: string) => {
        this.#killing?.cancel();
        this.#child.stdout?.destroy();
        this.#child.stderr?.destroy();
        resolve(how);
      };
      this.#child.on('error', (error) => {
        if (this.#child.pid === undefined) end(error.message);
      });
      this.#child.once('exit', (code, signal) => {
        const how = signal ?? `exit code ${code}`;
        // Those that it started and left behind hold its memory.
        this.#signal('SIGKILL');
        this.#isOver = true;
        // Last words may still be on their way; who fled the group must not keep them open.
        const late = clock.schedule(PROCESS_DEFAULTS.lastWordsMs, () => end(how));
        this.#child.once('close', () => {
          late.cancel();
          end(how);
        });
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The end of what it has written, on standard output and error. */
  get output(): string {
    return this.#output;
  }

  /** Asks it to end; when it takes too long, ends it. */
  stop(): void {
    if (this.#killing !== undefined || this.#isOver) return;
    this.#killing = this.#clock.schedule(this.#stopTimeoutMs, () => this.kill());
    this.#signal('SIGTERM');
  }

  kill(): void {
    this.#signal('SIGKILL');
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    const { pid } = this.#child;
    if (pid === undefined || this.#isOver) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // There is no such group any more, or this system has none.
      this.#child.kill(signal);
    }
  }
}
