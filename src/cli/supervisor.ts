// Founds a fleet of node processes on this machine and keeps account of them: the founder first,
// the others joined to it, all stopped together. What the fleet is used for is not its business.
import net from 'node:net';
import path from 'node:path';
import { FlotillaError, messageOf } from '../core/index.ts';
import { ClusterAuthority, ensureDirectory, loadCredentials } from '../identity/index.ts';
import { layoutOf } from '../node/index.ts';
import { SUPERVISOR } from './defaults.ts';
import { NodeProcess } from './node-process.ts';
import type { Clock } from '../core/index.ts';
import type { NodeExit } from './node-process.ts';
import type { ReadyMessage } from './node-messages.ts';

export interface SupervisorOptions {
  /** What is started for each node: the command line's own entry. */
  readonly entry: string;
  /** Holds a folder per node. */
  readonly dataDir: string;
  readonly nodes: number;
  readonly host: string;
  /** Node i listens on port + i; 0 lets the system choose all. */
  readonly httpPort: number;
  readonly peerPort: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Further arguments of each node. */
  readonly nodeArgs?: readonly string[];
}

export interface SupervisorEvents {
  /** A node ended though nobody stopped it. */
  readonly onLost: (name: string, exit: NodeExit) => void;
}

export class Supervisor {
  readonly #clock: Clock;
  readonly #options: SupervisorOptions;
  readonly #events: SupervisorEvents;
  readonly #processes: NodeProcess[] = [];
  #stopped = false;

  constructor(components: { clock: Clock } & SupervisorEvents, options: SupervisorOptions) {
    this.#clock = components.clock;
    this.#events = components;
    this.#options = options;
  }

  /**
   * Finds out early what would fail late. Errors: `directory_not_writable`, `port_in_use`,
   * `listen_failed`.
   */
  async check(): Promise<void> {
    const { dataDir, nodes, host, httpPort, peerPort } = this.#options;
    ensureDirectory(dataDir);
    for (let index = 0; index < nodes; index++) {
      await checkPortFree(host, portOf(peerPort, index), '--peer-port');
      await checkPortFree(host, portOf(httpPort, index), '--port');
    }
  }

  /**
   * Starts all nodes; the first is the founder, and the one that engines of the configuration are
   * behind. When one fails, those that run are stopped.
   * Errors: `node_failed`, `deadline_exceeded`, and those of a node's start.
   */
  async start(): Promise<ReadyMessage[]> {
    try {
      const founder = await this.#startNode(0, ['--found']);
      const env = await this.#joinEnv();
      const others = Array.from({ length: this.#options.nodes - 1 }, (_, index) =>
        this.#startNode(index + 1, ['--join', founder.address, '--no-engines'], env),
      );
      return [founder, ...(await Promise.all(others))];
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Stops every node and waits for them. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const [founder, ...others] = this.#processes;
    // First who runs the trainings: what a cancelled one undoes, it undoes on the other nodes.
    await founder?.stop();
    await Promise.all(others.map((node) => node.stop()));
  }

  /** Ends every node at once. */
  kill(): void {
    this.#stopped = true;
    for (const node of this.#processes) node.kill();
  }

  /** Process ids, in the order of the nodes. */
  pids(): number[] {
    return this.#processes.map(({ pid }) => pid).filter((pid) => pid !== undefined);
  }

  nodeDirectory(index: number): string {
    return path.join(this.#options.dataDir, `node-${index}`);
  }

  async #startNode(index: number, args: string[], joinEnv = {}): Promise<ReadyMessage> {
    if (this.#stopped) throw new FlotillaError('cancelled', 'the fleet was stopped');
    const { entry, env, clock, host, nodeArgs = [] } = { ...this.#options, clock: this.#clock };
    const name = `node-${index}`;
    const address = (port: number) => `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const node = new NodeProcess({
      name,
      entry,
      clock,
      env: { ...env, FLOTILLA_TOKEN: undefined, ...joinEnv },
      args: [
        ...['node', '--name', name, ...args, '--data-dir', this.nodeDirectory(index)],
        ...['--listen', address(portOf(this.#options.peerPort, index))],
        ...['--http', address(portOf(this.#options.httpPort, index)), ...nodeArgs],
      ],
    });
    this.#processes.push(node);
    const ready = await node.ready;
    void node.exited.then((exit) => {
      if (!node.stopping) this.#events.onLost(name, exit);
    });
    return ready;
  }

  /** A token for the nodes that have no certificate yet; it travels in their environment. */
  async #joinEnv(): Promise<{ FLOTILLA_TOKEN?: string }> {
    let uses = 0;
    for (let index = 1; index < this.#options.nodes; index++) {
      if (!loadCredentials(layoutOf(this.nodeDirectory(index)).identity)) uses++;
    }
    if (uses === 0) return {};
    const directory = layoutOf(this.nodeDirectory(0)).identity;
    const authority = await ClusterAuthority.open(directory, { clock: this.#clock, create: false });
    return { FLOTILLA_TOKEN: authority.createToken({ ttlMs: SUPERVISOR.tokenTtlMs, uses }) };
  }
}

function portOf(base: number, index: number): number {
  return base === 0 ? 0 : base + index;
}

/** Raises `port_in_use` naming the address and the option that changes it. */
async function checkPortFree(host: string, port: number, option: string): Promise<void> {
  const server = net.createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen({ host, port, exclusive: true }, resolve);
    });
  } catch (cause) {
    const address = `${host}:${port}`;
    const { code } = cause as { code?: string };
    const message =
      code === 'EADDRINUSE'
        ? `another program listens on ${address}; stop it or choose other ports with ${option}`
        : `cannot listen on ${address}: ${messageOf(cause)}`;
    throw new FlotillaError(code === 'EADDRINUSE' ? 'port_in_use' : 'listen_failed', message, {
      details: { address },
      cause,
    });
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}
