// Membership of real processes on this machine: `node bench/membership/real.ts [PART...]`. Each
// node is a process of its own, without HTTP, all on 127.0.0.1, preset `local`; what is shown is
// how long all others, or all, take to agree. docs/membership.md has the figures.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/core/index.ts';
import { ClusterAuthority } from '../../src/identity/index.ts';
import { layoutOf } from '../../src/node/index.ts';
import type { ChildProcess } from 'node:child_process';
import type { Go, Said } from './real-node.ts';

const PROGRAM = fileURLToPath(new URL('./real-node.ts', import.meta.url));
const PATIENCE_MS = 120_000;
const SMALL = 5;
const MANY = 50;
const ROUNDS = 5;
const PAUSE_MS = 10_000;
const IDLE_MS = 10_000;
/** Of the kernel's count of processor time; what Linux has on every platform of ours. */
const TICKS_PER_SECOND = 100;

const print = (text: string) => void process.stdout.write(`${text}\n`);
const now = () => Number(process.hrtime.bigint()) / 1e6;

class RealNode {
  readonly name: string;
  readonly child: ChildProcess = fork(PROGRAM);
  readonly loaded: Promise<void>;
  address = '';
  inAt = 0;
  /** What it saw last, and when. */
  healthy = new Set<string>();
  changedAt = 0;
  readonly #heard: () => void;

  constructor(name: string, heard: () => void) {
    this.name = name;
    this.#heard = heard;
    const loaded = Promise.withResolvers<void>();
    this.loaded = loaded.promise;
    this.child.on('message', (said: Said) => {
      if (said.type === 'loaded') loaded.resolve();
      else this.#take(said);
    });
  }

  go(go: Go): void {
    this.child.send(go);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const gone = once(this.child, 'exit');
    this.child.kill(signal);
    await gone;
  }

  #take(said: Said): void {
    if (said.type === 'in') {
      this.address = said.address;
      this.inAt = said.at;
    } else if (said.type === 'sees') {
      this.healthy = new Set(said.healthy);
      this.changedAt = said.at;
    }
    this.#heard();
  }
}

/** Nodes in one temporary folder. */
class RealFleet implements AsyncDisposable {
  readonly nodes: RealNode[] = [];
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  readonly #waiting = new Set<() => void>();
  #token = '';
  #founder = '';

  /** A founder and `count - 1` others that join through it, all at the same moment. */
  static async of(count: number): Promise<{ fleet: RealFleet; joinMs: number; inMs: number }> {
    const fleet = new RealFleet();
    await fleet.start('n00', { found: true });
    const names = Array.from({ length: count - 1 }, (_, i) => `n${String(i + 1).padStart(2, '0')}`);
    const others = await Promise.all(names.map((name) => fleet.spawn(name)));
    const begun = now();
    for (const node of others) fleet.go(node);
    const agreed = await fleet.agree();
    const inMs = Math.max(...others.map(({ inAt }) => inAt)) - begun;
    return { fleet, joinMs: agreed - begun, inMs };
  }

  /** A process that has loaded the program and waits for the word. */
  async spawn(name: string): Promise<RealNode> {
    const node = new RealNode(name, () => {
      for (const check of this.#waiting) check();
    });
    const place = this.nodes.findIndex((other) => other.name === name);
    if (place < 0) this.nodes.push(node);
    else this.nodes[place] = node;
    await node.loaded;
    return node;
  }

  go(node: RealNode, { found = false, port = 0 } = {}): void {
    const { name } = node;
    const listen = { host: '127.0.0.1', port };
    const dataDir = path.join(this.#folder, name);
    const way = found ? {} : { seeds: [this.#founder], token: this.#token };
    node.go({ found, config: { name, dataDir, listen, http: false, log: 'silent', ...way } });
  }

  /** Starts a node, or its next life; how long it took from the word to being in. */
  async start(name: string, { found = false, port = 0 } = {}): Promise<number> {
    const node = await this.spawn(name);
    const begun = now();
    this.go(node, { found, port });
    await this.until(() => node.inAt > 0);
    if (found) {
      this.#founder = node.address;
      const { identity } = layoutOf(path.join(this.#folder, name));
      const authority = await ClusterAuthority.open(identity, { clock: systemClock });
      this.#token = authority.createToken({ ttlMs: PATIENCE_MS, uses: MANY });
    }
    return begun;
  }

  /** When the last of `nodes` came to see exactly `names`. */
  async agree(nodes = this.nodes, names = this.nodes.map(({ name }) => name)): Promise<number> {
    await this.until(() =>
      nodes.every(
        ({ healthy }) => healthy.size === names.length && names.every((name) => healthy.has(name)),
      ),
    );
    return Math.max(...nodes.map(({ changedAt }) => changedAt));
  }

  until(holds: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = () => {
      if (holds()) resolve();
    };
    const timer = setTimeout(() => reject(new Error(this.#views())), PATIENCE_MS);
    this.#waiting.add(check);
    check();
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(check);
    });
  }

  #views(): string {
    return this.nodes.map(({ name, healthy }) => `${name} sees ${[...healthy]}`).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end('SIGKILL')));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function seconds(times: readonly number[]): string {
  const sorted = times.map((ms) => ms / 1000).sort((a, b) => a - b);
  const [least = 0, middle = 0, most = 0] = [0, Math.floor(sorted.length / 2), -1].map((at) =>
    sorted.at(at),
  );
  return `${middle.toFixed(2)} s (${least.toFixed(2)} to ${most.toFixed(2)}, ${sorted.length})`;
}

async function kill(): Promise<void> {
  const { fleet } = await RealFleet.of(SMALL);
  await using _ = fleet;
  const dead: number[] = [];
  const back: number[] = [];
  const quick: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const victim = fleet.nodes.at(-1)!;
    const others = fleet.nodes.filter((node) => node !== victim);
    const killed = now();
    await victim.end('SIGKILL');
    const gone = await fleet.agree(
      others,
      others.map(({ name }) => name),
    );
    dead.push(gone - killed);
    back.push(-(await fleet.start(victim.name)) + (await fleet.agree()));
    // And once more before anybody could have found it dead.
    await fleet.nodes.at(-1)!.end('SIGKILL');
    quick.push(-(await fleet.start(victim.name)) + (await fleet.agree()));
  }
  print(`kill -9, shown unhealthy by all ${SMALL - 1} others: ${seconds(dead)}`);
  print(`started again under its name, all see all: ${seconds(back)}`);
  print(`started again at once, all see all: ${seconds(quick)}`);
}

async function pause(): Promise<void> {
  const { fleet } = await RealFleet.of(SMALL);
  await using _ = fleet;
  const dead: number[] = [];
  const back: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const victim = fleet.nodes.at(-1)!;
    const others = fleet.nodes.filter((node) => node !== victim);
    const names = others.map(({ name }) => name);
    const stopped = now();
    victim.child.kill('SIGSTOP');
    dead.push((await fleet.agree(others, names)) - stopped);
    await delay(PAUSE_MS - (now() - stopped));
    const goesOn = now();
    victim.child.kill('SIGCONT');
    back.push((await fleet.agree()) - goesOn);
    await delay(1_000);
  }
  print(`SIGSTOP, shown unhealthy by all ${SMALL - 1} others: ${seconds(dead)}`);
  print(`SIGCONT after ${PAUSE_MS / 1000} s, all see all: ${seconds(back)}`);
}

async function founder(): Promise<void> {
  const { fleet } = await RealFleet.of(SMALL);
  await using _ = fleet;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const gone: number[] = [];
    const back: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const [first, ...others] = fleet.nodes as [RealNode, ...RealNode[]];
      const port = Number(first.address.split(':').at(-1));
      const names = others.map(({ name }) => name);
      const ended = now();
      await first.end(signal);
      gone.push((await fleet.agree(others, names)) - ended);
      back.push(-(await fleet.start(first.name, { found: true, port })) + (await fleet.agree()));
    }
    print(`founder ended by ${signal}, gone for all ${SMALL - 1} others: ${seconds(gone)}`);
    print(`founder started again without seeds, all see all: ${seconds(back)}`);
  }
}

/** Proportional share of memory, MiB: what the process would free by ending. */
function memoryOf({ child }: RealNode): number {
  const text = readFileSync(`/proc/${child.pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss: +(\d+) kB/m.exec(text)?.[1]) / 1024;
}

/** Processor seconds that the process has used. */
function processorOf({ child }: RealNode): number {
  const text = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

async function many(): Promise<void> {
  const { fleet, joinMs, inMs } = await RealFleet.of(MANY);
  await using _ = fleet;
  await delay(IDLE_MS);
  const before = fleet.nodes.map(processorOf);
  const begun = now();
  await delay(IDLE_MS);
  const elapsed = (now() - begun) / 1000;
  const shares = fleet.nodes.map((node, i) => (processorOf(node) - before[i]!) / elapsed);
  const memory = fleet.nodes.map(memoryOf);
  const total = memory.reduce((sum, each) => sum + each, 0);
  const joined = `the last is in after ${(inMs / 1000).toFixed(2)} s`;
  print(`${MANY - 1} nodes join one at once, each with its first certificate: ${joined}`);
  print(`all ${MANY} see all ${MANY} after ${(joinMs / 1000).toFixed(2)} s`);
  print(`memory ${median(memory).toFixed(0)} MiB a node, ${total.toFixed(0)} MiB in all`);
  print(`idle, processor ${(100 * median(shares)).toFixed(1)} % of a core a node (median)`);
  const victim = fleet.nodes.at(-1)!;
  const others = fleet.nodes.filter((node) => node !== victim);
  const killed = now();
  await victim.end('SIGKILL');
  const names = others.map(({ name }) => name);
  const gone = (await fleet.agree(others, names)) - killed;
  print(`kill -9 of one, shown unhealthy by all ${MANY - 1}: ${(gone / 1000).toFixed(2)} s`);
  fleet.nodes.pop();
}

const PARTS = { kill, pause, founder, many };
const chosen = process.argv.slice(2);
for (const [name, part] of Object.entries(PARTS)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  await part();
}
