// A simulated network inside one process: links with delay, partitions and breaks on a given clock,
// all from one seed. The same multiplexer runs on it as on TLS.
import { FlotillaError } from '../core/index.ts';
import { formatAddress, parseAddress } from './address.ts';
import { MEMORY_DELAY_MS, TRANSPORT_DEFAULTS } from './defaults.ts';
import { unreachable } from './dial-errors.ts';
import { MuxLink } from './mux-link.ts';
import type { Clock, Prng } from '../core/index.ts';
import type { Address, BytePipe, BytePipeEvents, ConnectOptions, Link, Transport } from './link.ts';

export interface MemoryNetworkComponents {
  readonly clock: Clock;
  readonly prng: Prng;
}

export interface MemoryNetworkOptions {
  /** One-way delay of every chunk. @default 1 */
  readonly delayMs?: number;
  /** Up to this much is added at random; order within a link stays. @default 0 */
  readonly jitterMs?: number;
  /** Probability that a chunk is lost for good, which breaks its link. @default 0 */
  readonly loss?: number;
  /** Chunks are cut into pieces of random size, as a real network may. @default false */
  readonly cut?: boolean;
}

const FIRST_PORT = 7400;

/** The network. Each node gets a transport of its own from `transport`. */
export class MemoryNetwork {
  readonly #components: MemoryNetworkComponents;
  readonly #options: Required<MemoryNetworkOptions>;
  readonly #listeners = new Map<string, { name: string; onLink: (link: Link) => void }>();
  readonly #pipes = new Set<MemoryPipe>();
  readonly #partitioned = new Set<string>();
  #nextPort = FIRST_PORT;

  constructor(components: MemoryNetworkComponents, options: MemoryNetworkOptions = {}) {
    this.#components = components;
    this.#options = { delayMs: MEMORY_DELAY_MS, jitterMs: 0, loss: 0, cut: false, ...options };
  }

  /** The transport of the node `name`. */
  transport(name: string): Transport {
    return {
      name,
      listen: async (address, onLink) => this.#listen(name, address, onLink),
      connect: (address, options) => this.#connect(name, address, options),
      stop: async () => {
        for (const [address, listener] of this.#listeners) {
          if (listener.name === name) this.#listeners.delete(address);
        }
      },
    };
  }

  /** Bytes from `from` to `to` wait from now on; connects between them time out. */
  partition(from: string, to: string): void {
    this.#partitioned.add(`${from}>${to}`);
  }

  /** Ends a partition: what waited goes on its way. */
  heal(from: string, to: string): void {
    this.#partitioned.delete(`${from}>${to}`);
    for (const pipe of this.#pipes) pipe.resume();
  }

  /** Breaks every link between two nodes, as a reset would. */
  break(one: string, other: string): void {
    for (const pipe of [...this.#pipes]) {
      if ((pipe.from === one && pipe.to === other) || (pipe.from === other && pipe.to === one)) {
        pipe.fail(new Error('the simulated link broke'));
      }
    }
  }

  isPartitioned(from: string, to: string): boolean {
    return this.#partitioned.has(`${from}>${to}`);
  }

  #listen(name: string, address: Address, onLink: (link: Link) => void): Address {
    const bound = { host: address.host, port: address.port || this.#nextPort++ };
    const key = formatAddress(bound);
    if (this.#listeners.has(key)) {
      throw new FlotillaError('port_in_use', `another process already listens on ${key}`, {
        details: { address: key },
      });
    }
    this.#listeners.set(key, { name, onLink });
    return bound;
  }

  #connect(from: string, address: string, options: ConnectOptions = {}): Promise<Link> {
    const { clock } = this.#components;
    const { delayMs } = this.#options;
    parseAddress(address);
    return new Promise((resolve, reject) => {
      const listener = this.#listeners.get(address);
      const to = listener?.name ?? '';
      if (listener !== undefined && this.#cutBetween(from, to)) {
        const timeoutMs = options.timeoutMs ?? TRANSPORT_DEFAULTS.connectTimeoutMs;
        const error = unreachable(address, `no answer within ${timeoutMs} ms`);
        clock.schedule(timeoutMs, () => reject(error));
        return;
      }
      clock.schedule(2 * delayMs, () => {
        if (listener === undefined || this.#listeners.get(address) !== listener) {
          reject(unreachable(address, 'the connection was refused'));
        } else if (options.name !== undefined && options.name !== to) {
          const message = `the node at ${address} was refused: it is ${to}, not ${options.name}`;
          reject(new FlotillaError('identity_refused', message, { details: { address } }));
        } else {
          const [near, far] = this.#pair(from, to, address);
          listener.onLink(far);
          resolve(near);
        }
      });
    });
  }

  #cutBetween(one: string, other: string): boolean {
    return this.isPartitioned(one, other) || this.isPartitioned(other, one);
  }

  #pair(from: string, to: string, address: string): [Link, Link] {
    const environment = { ...this.#components, ...this.#options, network: this };
    const near = new MemoryPipe(from, to, environment);
    const far = new MemoryPipe(to, from, environment);
    near.join(far);
    far.join(near);
    for (const pipe of [near, far]) {
      this.#pipes.add(pipe);
      pipe.onGone = () => this.#pipes.delete(pipe);
    }
    const link = (pipe: MemoryPipe, name: string, dialled: boolean) =>
      new MuxLink({ pipe, remote: { name, fingerprint: `memory:${name}` }, dialled, address });
    return [link(near, to, true), link(far, from, false)];
  }
}

interface Environment extends MemoryNetworkComponents, Required<MemoryNetworkOptions> {
  readonly network: MemoryNetwork;
}

/** One direction's sending end; `join` gives it the other. */
class MemoryPipe implements BytePipe {
  readonly from: string;
  readonly to: string;
  onGone: () => void = () => {};
  readonly #environment: Environment;
  #other: MemoryPipe | undefined;
  #events: BytePipeEvents | undefined;
  /** What arrived before `start`, or waits for a partition to heal. */
  #arrived: (Buffer | 'end')[] = [];
  readonly #steps: (() => void)[] = [];
  #pendingWrites = 0;
  #lastArrivalMs = 0;
  #closed = false;
  #failure: Error | undefined;

  constructor(from: string, to: string, environment: Environment) {
    this.from = from;
    this.to = to;
    this.#environment = environment;
  }

  get pendingWrites(): number {
    return this.#pendingWrites;
  }

  join(other: MemoryPipe): void {
    this.#other = other;
  }

  start(events: BytePipeEvents): void {
    this.#events = events;
    if (this.#closed) process.nextTick(() => events.closed(this.#failure));
    else this.resume();
  }

  write(bytes: Uint8Array, owner?: Buffer): void {
    const { prng, loss, cut } = this.#environment;
    if (this.#closed) return;
    const copy = Buffer.from(bytes);
    const at = cut && copy.length > 1 ? 1 + prng.int(copy.length - 1) : copy.length;
    this.#pendingWrites++;
    if (at < copy.length) this.#later(() => this.#other?.arrive(copy.subarray(0, at)));
    if (loss > 0 && prng.next() < loss) {
      this.fail(new Error('the simulated network lost a chunk'));
      return;
    }
    this.#later(() => {
      this.#pendingWrites--;
      this.#other?.arrive(at < copy.length ? copy.subarray(at) : copy);
      if (!this.#closed) this.#events?.written(owner);
    });
  }

  end(): void {
    if (this.#closed) return;
    this.#later(() => {
      this.#other?.arrive('end');
      this.#close();
    });
  }

  /** The link breaks at both ends at once. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#close();
    this.#other?.failed(error);
  }

  failed(error: Error): void {
    this.#failure ??= error;
    this.#close();
  }

  arrive(item: Buffer | 'end'): void {
    if (this.#closed) return;
    this.#arrived.push(item);
    this.resume();
  }

  /** Delivers what has arrived, unless nobody listens yet or a partition holds it. */
  resume(): void {
    if (this.#events === undefined) return;
    if (this.#environment.network.isPartitioned(this.to, this.from)) return;
    while (this.#arrived.length > 0 && !this.#closed) {
      const item = this.#arrived.shift()!;
      if (item === 'end') this.#close();
      else if (item.length > 0) this.#events.data(item, 0, item.length);
    }
  }

  /** Runs `step` after the delay, after the earlier ones of this direction. */
  #later(step: () => void): void {
    const { clock, prng, delayMs, jitterMs } = this.#environment;
    const now = clock.now();
    const arrival = now + delayMs + (jitterMs > 0 ? prng.next() * jitterMs : 0);
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, arrival);
    // Real timers round, so each one takes the oldest step rather than its own.
    this.#steps.push(step);
    clock.schedule(this.#lastArrivalMs - now, () => this.#steps.shift()?.());
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#arrived = [];
    this.onGone();
    this.#events?.closed(this.#failure);
  }
}
