// Starts the processes of tests with counters and speaks to them.
import { fork } from 'node:child_process';
import path from 'node:path';
import { flotilla } from '../cli/run-cli.ts';
import type { ChildProcess } from 'node:child_process';
import type { Command } from './counter-node.ts';

const PROGRAM = path.join(import.meta.dirname, 'counter-node.ts');

interface Ready {
  readonly ready: string;
  readonly url?: string;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** One node, as its own process. */
export class CounterNode {
  readonly name: string;
  readonly address: string;
  /** Where the founder's command line finds it. */
  readonly url: string;
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;

  private constructor(name: string, { ready, url }: Ready, child: ChildProcess) {
    this.name = name;
    this.address = ready;
    this.url = url ?? '';
    this.#child = child;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code) => {
        resolve(code);
        for (const { reject } of this.#waiting.values())
          reject(new Error(`${name} ended: ${code}`));
      });
    });
    child.on('message', ({ id, value, error }: { id: number; value: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(value);
      else waiting?.reject(new Error(`${name}: ${error}`));
    });
  }

  /** Founds a fleet, or joins that of `seed`. */
  static async start(folder: string, name: string, seed?: CounterNode): Promise<CounterNode> {
    if (seed === undefined) return CounterNode.#fork(folder, name, []);
    const founder = path.join(folder, seed.name);
    const { stdout } = await flotilla(['token', '--data-dir', founder]);
    return CounterNode.#fork(folder, name, ['0', seed.address, stdout.trim()]);
  }

  /** The founder again, once it has ended, where it was before. */
  restart(folder: string): Promise<CounterNode> {
    const { port } = new URL(`tcp://${this.address}`);
    return CounterNode.#fork(folder, this.name, [port]);
  }

  static async #fork(folder: string, name: string, rest: string[]): Promise<CounterNode> {
    const args = [name, path.join(folder, name), ...rest];
    const child = fork(PROGRAM, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const ready = await new Promise<Ready>((resolve, reject) => {
      child.once('message', resolve as (message: unknown) => void);
      child.once('exit', (code) => reject(new Error(`${name} ended with ${code} at its start`)));
    });
    return new CounterNode(name, ready, child);
  }

  run<T>(command: Command): Promise<T> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#child.send({ id, command });
    });
  }

  kill(): Promise<number | null> {
    this.#child.kill('SIGKILL');
    return this.exited;
  }
}
