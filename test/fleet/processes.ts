// Runs Flotilla's processes for the fleet tests: starts them, waits for what they print, and leaves
// none behind. Waiting is for output or for an answer, never for a time.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChildProcess } from 'node:child_process';

const MAIN = path.join(import.meta.dirname, '../../src/cli/main.ts');
const PATIENCE_MS = 60_000;

/** A running `flotilla` command. */
export class Running {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  output = '';
  readonly #watchers = new Set<() => void>();

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const { FLOTILLA_URL: _url, FLOTILLA_TOKEN: _token, ...inherited } = process.env;
    this.child = spawn(process.execPath, [MAIN, ...args], { env: { ...inherited, ...env } });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
        this.#changed();
      });
    }
    this.exited = new Promise((resolve) => {
      this.child.once('close', (code) => {
        resolve(code);
        this.#changed();
      });
    });
  }

  /** The first match of `pattern` in what was printed so far or will be. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${why} before ${pattern}:\n${this.output}`));
      const timer = setTimeout(() => settle(() => fail('no match')), PATIENCE_MS);
      const settle = (action: () => void) => {
        clearTimeout(timer);
        this.#watchers.delete(check);
        action();
      };
      const check = () => {
        const match = pattern.exec(this.output);
        if (match !== null) settle(() => resolve(match));
        else if (this.child.exitCode !== null) settle(() => fail(`exit ${this.child.exitCode}`));
      };
      this.#watchers.add(check);
      check();
    });
  }

  /** Sends the signal and resolves to the exit code. */
  end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.child.kill(signal);
    return this.exited;
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher();
  }
}

/** One node of a fleet, as its own process. */
export interface NodeProcess {
  readonly running: Running;
  readonly name: string;
  readonly address: string;
  readonly url: string;
}

/** Starts `flotilla node` and waits until it listens. */
export async function startNode(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<NodeProcess> {
  const ports = ['--listen', '127.0.0.1:0', '--http', '127.0.0.1:0'];
  const running = new Running(['node', '--name', name, ...ports, ...args], env);
  try {
    const pattern = /listens for peers at (\S+), HTTP at (http:\/\/[^;\s]+)/;
    const [, address = '', url = ''] = await running.waitFor(pattern);
    return { running, name, address, url };
  } catch (error) {
    await running.end('SIGKILL');
    throw error;
  }
}

/** Asks until `accept` likes the answer; the last answer is in the error when it never does. */
export async function eventually<T>(
  ask: () => Promise<T>,
  accept: (answer: T) => boolean,
): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (accept(answer)) return answer;
    if (performance.now() > deadline) throw new Error(`never: ${JSON.stringify(answer)}`);
    await delay(50);
  }
}

/** A folder that is removed by `dispose`. */
export function temporaryFolder(): { readonly path: string; dispose(): void } {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  return { path: folder, dispose: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A small graph with structure: a family tree and its inverse relations. Returns the file. */
export function writeSmallGraph(folder: string): string {
  const lines: string[] = [];
  for (let child = 1; child < 200; child++) {
    const parent = Math.floor((child - 1) / 3);
    lines.push(`person-${child}\tchild_of\tperson-${parent}`);
    if (child % 3 !== 0) lines.push(`person-${child}\tsibling_of\tperson-${child + 1}`);
    lines.push(`person-${child}\tlives_in\ttown-${parent % 7}`);
  }
  const file = path.join(folder, 'family.tsv');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}
