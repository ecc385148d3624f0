// Several nodes of the peer layer in one process, on one simulated clock and network: who starts,
// fails and comes back is up to the test.
import { createPrng, silentLogger } from '../core/index.ts';
import { PeerHost } from '../peer/index.ts';
import { MemoryNetwork } from '../transport/index.ts';
import { SimulatedClock } from './simulated-clock.ts';
import type { PeerHostOptions } from '../peer/index.ts';
import type { CrashOptions, MemoryNetworkOptions } from '../transport/index.ts';

export interface SimulatedFleetOptions {
  /** Everything random comes from it; equal seeds replay the same history. @default 1 */
  readonly seed?: number;
  readonly network?: MemoryNetworkOptions;
  readonly peer?: PeerHostOptions;
}

const PORT = 7400;

/** Nodes that know each other's addresses. `await using` stops them. */
export class SimulatedFleet implements AsyncDisposable {
  readonly seed: number;
  readonly clock = new SimulatedClock();
  readonly network: MemoryNetwork;
  readonly #options: SimulatedFleetOptions;
  readonly #hosts = new Map<string, PeerHost>();
  readonly #addresses = new Map<string, string>();
  #lives = 0;

  constructor(options: SimulatedFleetOptions = {}) {
    this.#options = options;
    this.seed = options.seed ?? 1;
    const prng = createPrng(this.seed);
    this.network = new MemoryNetwork({ clock: this.clock, prng }, options.network);
  }

  /** Starts `names`; the same as `start` for each. */
  static async of(
    names: readonly string[],
    options: SimulatedFleetOptions = {},
  ): Promise<SimulatedFleet> {
    const fleet = new SimulatedFleet(options);
    for (const name of names) await fleet.start(name);
    return fleet;
  }

  /** Starts a node, or another life of one that crashed, at the address it had. */
  async start(name: string): Promise<PeerHost> {
    const { network } = this;
    network.restart(name);
    const components = {
      transport: network.transport(name),
      clock: network.clock(name),
      log: silentLogger,
      prng: createPrng(this.seed, ++this.#lives),
    };
    const host = new PeerHost(components, this.#options.peer);
    const ip = this.#addresses.get(name) ?? `10.0.0.${this.#addresses.size + 1}:${PORT}`;
    await host.listen({ host: ip.slice(0, ip.lastIndexOf(':')), port: PORT });
    this.#addresses.set(name, ip);
    this.#hosts.set(name, host);
    for (const [other, address] of this.#addresses) {
      if (other === name) continue;
      host.learn(other, address);
      this.#hosts.get(other)?.learn(name, ip);
    }
    return host;
  }

  /** The node `name` in its present life. */
  host(name: string): PeerHost {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`${name} was not started`);
    return host;
  }

  /** Ends a node without a word; `start` brings it back. */
  crash(name: string, options?: CrashOptions): void {
    this.network.crash(name, options);
  }

  /** Lets simulated time run until `promise` settles; its outcome. */
  settle<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    return this.clock.resolve(promise, limitMs);
  }

  /** Lets simulated time run until `condition` holds. */
  until(condition: () => boolean, limitMs?: number): Promise<void> {
    return this.clock.until(condition, limitMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#hosts.keys()) this.network.thaw(name);
    const stops = [...this.#hosts.values()].map((host) => host.stop());
    await this.clock.resolve(Promise.all(stops));
  }
}
