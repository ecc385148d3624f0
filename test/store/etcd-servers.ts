// Real etcd servers on loopback with fresh data, for one test or one file: started, killed, frozen
// and started again on the same data. Nothing outlives the test.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import * as path from 'node:path';
import { optionalProgram } from '../support/optional-programs.ts';
import type { ChildProcess } from 'node:child_process';

export const ETCD = optionalProgram('etcd', 'apt-get install etcd-server');

const READY_MS = 30_000;

/** A run that is broken off leaves no server behind. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Polls until `holds` is true. */
export async function until(what: string, holds: () => unknown): Promise<void> {
  for (const endAt = performance.now() + READY_MS; !(await holds()); await pause(20)) {
    assert.ok(performance.now() < endAt, `${what} did not happen in ${READY_MS} ms`);
  }
}

interface Member {
  readonly name: string;
  readonly host: string;
  readonly peerUrl: string;
  readonly directory: string;
  child: ChildProcess | undefined;
  log: string;
}

/** Ports that were free a moment ago; another program that takes one makes the start fail. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => net.createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** What etcd answers at `path`, or undefined while it cannot. */
async function ask(host: string, where: string, body?: object): Promise<unknown> {
  try {
    const response = await fetch(`http://${host}${where}`, {
      signal: AbortSignal.timeout(1_000),
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
    });
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}

export class EtcdServers {
  readonly #root = fs.mkdtempSync(path.join(os.tmpdir(), 'flotilla-etcd-'));
  readonly #members: Member[];
  readonly #flags: readonly string[];

  private constructor(ports: readonly number[], flags: readonly string[]) {
    this.#flags = flags;
    this.#members = Array.from({ length: ports.length / 2 }, (_, i) => ({
      name: `m${i}`,
      host: `127.0.0.1:${ports[2 * i]}`,
      peerUrl: `http://127.0.0.1:${ports[2 * i + 1]}`,
      directory: path.join(this.#root, `m${i}`),
      child: undefined,
      log: '',
    }));
  }

  static async start(count: number, flags: readonly string[] = []): Promise<EtcdServers> {
    const servers = new EtcdServers(await freePorts(2 * count), flags);
    try {
      for (const member of servers.#members) servers.#spawn(member, 'new');
      await servers.ready();
    } catch (error) {
      await servers.stop();
      throw error;
    }
    return servers;
  }

  get hosts(): string[] {
    return this.#members.map(({ host }) => host);
  }

  /** Every member that runs knows a leader. */
  async ready(): Promise<void> {
    for (const member of this.#members) {
      await until(`${member.name} ready\n${member.log}`, async () => {
        if (member.child === undefined) return true;
        assert.equal(member.child.exitCode, null, member.log);
        const answer = (await ask(member.host, '/health')) as { health?: string } | undefined;
        return answer?.health === 'true';
      });
    }
  }

  /** Which member leads. */
  async leader(): Promise<number> {
    let found = -1;
    await until('a leader', async () => {
      const all = this.#members.map(({ host }) => ask(host, '/v3/maintenance/status', {}));
      const states = (await Promise.all(all)) as {
        header?: { member_id: string };
        leader?: string;
      }[];
      found = states.findIndex((state) => state && state.header?.member_id === state.leader);
      return found >= 0;
    });
    return found;
  }

  async kill(index = 0): Promise<void> {
    const member = this.#members[index]!;
    const { child } = member;
    member.child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** Starts a member that was killed, on its data. */
  async restart(index = 0): Promise<void> {
    this.#spawn(this.#members[index]!, 'existing');
    await this.ready();
  }

  /** Resolves once all of its threads have stopped: until then it still answers. */
  async freeze(index = 0): Promise<void> {
    const { pid } = this.#members[index]!.child!;
    process.kill(pid!, 'SIGSTOP');
    while (!hasStopped(pid!)) await new Promise((resolve) => setImmediate(resolve));
  }

  thaw(index = 0): void {
    this.#members[index]!.child?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    await Promise.all(this.#members.map((_, i) => this.kill(i)));
    fs.rmSync(this.#root, { recursive: true, force: true });
  }

  #spawn(member: Member, state: 'new' | 'existing'): void {
    assert.ok(ETCD.skip === false);
    const { name, host, peerUrl, directory } = member;
    const cluster = this.#members.map((each) => `${each.name}=${each.peerUrl}`).join(',');
    const flags = {
      name,
      'data-dir': directory,
      'listen-client-urls': `http://${host}`,
      'advertise-client-urls': `http://${host}`,
      'listen-peer-urls': peerUrl,
      'initial-advertise-peer-urls': peerUrl,
      'initial-cluster': cluster,
      'initial-cluster-state': state,
      'log-level': 'warn',
      // Disk syncs of a shared machine are slow now and then; that must not cost the leader.
      'heartbeat-interval': '100',
      'election-timeout': '1000',
    };
    const list = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    const child = spawn(ETCD.file, [...list, ...this.#flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const keep = (chunk: Buffer) => {
      member.log = (member.log + chunk).slice(-4_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    running.add(child);
    child.once('exit', () => running.delete(child));
    member.child = child;
  }
}

/** By the state of each of its threads in `/proc`. */
function hasStopped(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  return fs.readdirSync(tasks).every((task) => {
    const stat = fs.readFileSync(`${tasks}/${task}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  });
}
