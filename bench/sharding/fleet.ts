// The fleet of a contestant: the founder in this process, others in processes of their own that
// start this file.
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { defineEntity, Fleet } from '../../src/node/index.ts';
import type { ChildProcess } from 'node:child_process';

interface Count {
  value: number;
}

export interface CounterOptions {
  readonly shards: number;
  readonly durable: boolean;
}

export type Counter = ReturnType<typeof counterOf>;

function counterOf({ shards, durable }: CounterOptions) {
  return defineEntity({
    name: 'counter',
    shards,
    durable,
    initial: (): Count => ({ value: 0 }),
    handlers: {
      add: (state, amount: number) => {
        state.value += amount;
        return state.value;
      },
      get: (state) => state.value,
    },
  });
}

const CLI = path.join(import.meta.dirname, '../../src/cli/main.ts');

/** What a node is told over IPC; it answers when it is done. */
type Order = 'drain' | 'undrain' | 'leave';

/** A founder in this process, and what it takes to have others join. */
export class BenchFleet {
  readonly counter: Counter;
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), 'flotilla-bench-'));
  readonly #options: CounterOptions;
  readonly #children = new Set<ChildProcess>();
  founder!: Fleet;

  private constructor(options: CounterOptions) {
    this.#options = options;
    this.counter = counterOf(options);
  }

  static async found(options: CounterOptions): Promise<BenchFleet> {
    const bench = new BenchFleet(options);
    bench.founder = await Fleet.found(optionsOf(bench.#folder, 'node-0'));
    bench.founder.host(bench.counter);
    return bench;
  }

  /** Another node, which hosts the counters too. */
  async join(name: string): Promise<ChildProcess> {
    const dataDir = path.join(this.#folder, 'node-0');
    const args = [CLI, 'token', '--data-dir', dataDir];
    // Not synchronously: the asks of this process would have to wait for it.
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const setup = { folder: this.#folder, name, seed: this.founder.address, token: stdout.trim() };
    const child = fork(import.meta.filename, [JSON.stringify({ ...setup, ...this.#options })], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    await once(child, 'message');
    return child;
  }

  async order(child: ChildProcess, order: Order): Promise<void> {
    child.send(order);
    await once(child, 'message');
  }

  get table() {
    return this.founder.sharding.view.tables.get('counter')?.entries ?? [];
  }

  /** Until so many nodes have their part of the shards and none moves. */
  async balanced(nodes: number): Promise<void> {
    for (;;) {
      const { table } = this;
      const counts = new Map<string, number>();
      for (const { owner } of table) counts.set(owner, (counts.get(owner) ?? 0) + 1);
      const still = table.length > 0 && table.every(({ move }) => move === undefined);
      const [most, least] = [Math.max(...counts.values()), Math.min(...counts.values())];
      // As the coordinator has it: nothing more is going to move.
      const even = most - least < Math.max(2, table.length / nodes / 10);
      if (still && !counts.has('') && counts.size === nodes && even) return;
      await delay(20);
    }
  }

  async stop(): Promise<void> {
    for (const child of this.#children) {
      const exited = once(child, 'exit');
      // One that leaves is on its way out already.
      if (child.connected) child.disconnect();
      await exited;
    }
    await this.founder.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function optionsOf(folder: string, name: string) {
  const listen = { host: '127.0.0.1', port: 0 };
  return { name, dataDir: path.join(folder, name), http: false, listen, log: 'silent' } as const;
}

async function runNode(): Promise<void> {
  const { folder, name, seed, token, ...options } = JSON.parse(process.argv[2]!);
  const fleet = await Fleet.join({ ...optionsOf(folder, name), seeds: [seed], token });
  fleet.host(counterOf(options));
  const orders: Record<Order, () => unknown> = {
    drain: () => fleet.sharding.drain(60_000),
    undrain: () => fleet.sharding.undrain(),
    leave: () => fleet.leave(),
  };
  process.on('message', async (order: Order) => {
    await orders[order]();
    process.send!({ done: order });
    if (order === 'leave') process.disconnect();
  });
  process.once('disconnect', () => process.exit(0));
  process.send!({ ready: true });
}

if (process.argv[1] === import.meta.filename) await runNode();
