// The fleet of a contestant: the founder in this process, others in processes of their own that
// start this file.
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { defineEntity, Fleet } from '../../src/node/index.ts';
import type { ChildProcess } from 'node:child_process';
import type { ShardingWorkload } from './workload.ts';

interface Count {
  value: number;
}

export function counterOf({ shards }: Pick<ShardingWorkload, 'shards'>, durable = false) {
  return defineEntity({
    name: durable ? 'account' : 'counter',
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

/** A founder in this process, and what it takes to have others join. */
export class BenchFleet {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'flotilla-bench-'));
  readonly #children = new Set<ChildProcess>();
  founder!: Fleet;

  static async found(): Promise<BenchFleet> {
    const bench = new BenchFleet();
    bench.founder = await Fleet.found(optionsOf(bench.folder, 'node-0'));
    return bench;
  }

  /** Another node, which hosts both kinds of counters. */
  async join(name: string, workload: ShardingWorkload): Promise<ChildProcess> {
    const dataDir = path.join(this.folder, 'node-0');
    const args = [CLI, 'token', '--data-dir', dataDir];
    const token = execFileSync(process.execPath, args, { encoding: 'utf8', stdio: 'pipe' }).trim();
    const setup = { folder: this.folder, name, seed: this.founder.address, token };
    const child = fork(
      import.meta.filename,
      [JSON.stringify({ ...setup, shards: workload.shards })],
      {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      },
    );
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    await once(child, 'message');
    return child;
  }

  /** Shards of a type by owner. */
  owners(type: string): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { owner } of this.founder.sharding.view.tables.get(type)?.entries ?? []) {
      if (owner !== '') counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
    return counts;
  }

  /** Until so many nodes have their part of the shards and none moves. */
  async balanced(type: string, nodes: number): Promise<void> {
    for (;;) {
      const entries = this.founder.sharding.view.tables.get(type)?.entries ?? [];
      const counts = [...this.owners(type).values()];
      const still = entries.length > 0 && entries.every(({ move }) => move === undefined);
      const even = Math.max(...counts) - Math.min(...counts) <= Math.max(2, entries.length / 10);
      if (still && counts.length === nodes && even) return;
      await delay(20);
    }
  }

  async stop(): Promise<void> {
    for (const child of this.#children) {
      child.disconnect();
      await once(child, 'exit');
    }
    await this.founder.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function optionsOf(folder: string, name: string) {
  const listen = { host: '127.0.0.1', port: 0 };
  return { name, dataDir: path.join(folder, name), http: false, listen, log: 'silent' } as const;
}

if (process.argv[1] === import.meta.filename) {
  const { folder, name, seed, token, shards } = JSON.parse(process.argv[2]!);
  const fleet = await Fleet.join({ ...optionsOf(folder, name), seeds: [seed], token });
  fleet.host(counterOf({ shards }), counterOf({ shards }, true));
  process.once('message', () => void fleet.leave().then(() => process.exit(0)));
  process.once('disconnect', () => process.exit(0));
  process.send!({ ready: true });
}
