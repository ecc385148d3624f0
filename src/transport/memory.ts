// A simulated network inside one process: nodes, their links and every fault that a real network
// has, on a given clock and from one seed. The same multiplexer runs on it as on TLS.
import { FlotillaError } from '../core/index.ts';
import { formatAddress, parseAddress } from './address.ts';
import { MEMORY_FIRST_PORT, TRANSPORT_DEFAULTS } from './defaults.ts';
import { unreachable } from './dial-errors.ts';
import { MemoryNode } from './memory-node.ts';
import { MemoryPipe } from './memory-pipe.ts';
import { MemoryWire } from './memory-wire.ts';
import { MuxLink } from './mux-link.ts';
import type { Clock, Prng } from '../core/index.ts';
import type { Address, ConnectOptions, Link, Transport } from './link.ts';
import type { MemoryCounters } from './memory-trace.ts';
import type { MemoryConditions, MemoryNetworkOptions } from './memory-wire.ts';

export interface MemoryNetworkComponents {
  readonly clock: Clock;
  readonly prng: Prng;
}

export interface CrashOptions {
  /**
   * The machine outlives its process: after this long it resets the links and refuses dials.
   * Without it the machine is gone too, and nobody is told anything.
   */
  readonly resetAfterMs?: number;
}

interface Listener {
  readonly node: MemoryNode;
  readonly onLink: (link: Link) => void;
}

/**
 * The network. Each node gets a transport of its own from `transport`, and from `clock` its own
 * timers, which is what `freeze` and `crash` reach. A link is an ordered flow of bytes over packets
 * that may be lost, doubled, late or out of order: like TCP, it sends them again and puts them in
 * order, and breaks when one is not acknowledged for `linkTimeoutMs`.
 */
export class MemoryNetwork {
  readonly #clock: Clock;
  readonly #wire: MemoryWire;
  readonly #nodes = new Map<string, MemoryNode>();
  readonly #listeners = new Map<string, Listener>();
  /** Dials under way, by who dials; what gives each of them up. */
  readonly #dials = new Set<{ node: MemoryNode; fail: (error: FlotillaError) => void }>();
  #nextPort = MEMORY_FIRST_PORT;

  constructor(components: MemoryNetworkComponents, options: MemoryNetworkOptions = {}) {
    this.#clock = components.clock;
    this.#wire = new MemoryWire(components, options);
  }

  /** The transport of the node `name`, for its present life. */
  transport(name: string): Transport {
    const node = this.#node(name);
    return {
      name,
      listen: async (address, onLink) => this.#listen(node, address, onLink),
      connect: (address, options) => this.#connect(node, address, options),
      stop: async () => this.#unlisten(node),
    };
  }

  /** The clock of the node `name`, for its present life. */
  clock(name: string): Clock {
    return this.#node(name).clock;
  }

  /** What happened to packets so far. */
  get counters(): Readonly<MemoryCounters> {
    return this.#wire.trace.counters;
  }

  /** 16 hex digits over everything that happened so far: equal seeds give equal ones. */
  get traceHash(): string {
    return this.#wire.trace.hash;
  }

  /** Changes what happens to packets from now on: everywhere, or from one node to another. */
  shape(conditions: Partial<MemoryConditions>, route?: { from: string; to: string }): void {
    this.#wire.shape(conditions, route);
  }

  /**
   * Loses all packets from `from` to `to` from now on; the other direction stays. Dials between
   * the two time out.
   */
  partition(from: string, to: string): void {
    this.#wire.noteFault(from, to);
    this.#wire.partition(from, to);
  }

  /** Ends a partition; what was lost arrives when it is sent again. */
  heal(from: string, to: string): void {
    this.#wire.noteFault(from, to);
    this.#wire.heal(from, to);
  }

  isPartitioned(from: string, to: string): boolean {
    return this.#wire.isPartitioned(from, to);
  }

  /** Breaks every link between two nodes, as a reset at both ends would. */
  break(one: string, other: string): void {
    this.#wire.noteFault(one, other);
    for (const pipe of [...this.#wire.pipes]) {
      const [from, to] = [pipe.from.name, pipe.to.name];
      if ((from === one && to === other) || (from === other && to === one)) {
        pipe.fail(new Error('the simulated link broke'));
      }
    }
  }

  /**
   * Stops a node's world: it sends nothing, sees nothing, and its timers wait, until `thaw` or for
   * `durationMs`. All of it happens then, in order. The others see silence.
   */
  freeze(name: string, durationMs?: number): void {
    const node = this.#node(name);
    this.#wire.noteFault(name, name);
    node.freeze();
    if (durationMs !== undefined) this.#clock.schedule(durationMs, () => node.thaw());
  }

  thaw(name: string): void {
    this.#wire.noteFault(name, name);
    this.#node(name).thaw();
  }

  /**
   * Ends a node's life: its transport and its clock are dead for good, and whoever waits at its own
   * ends of links is told so. The others find out as `options` say, or when a link times out.
   */
  crash(name: string, { resetAfterMs }: CrashOptions = {}): void {
    const node = this.#node(name);
    if (node.dead) return;
    this.#wire.noteFault(name, name);
    node.die();
    for (const dial of [...this.#dials]) if (dial.node === node) dial.fail(this.#crashed(name));
    const links = [...this.#wire.pipes].filter(({ from, to }) => from === node || to === node);
    for (const pipe of links) {
      if (pipe.from === node) pipe.fail(new Error(`${name} crashed`));
    }
    if (resetAfterMs === undefined) return;
    this.#clock.schedule(resetAfterMs, () => {
      node.answersDead = true;
      const error = new Error('the connection was reset');
      for (const pipe of links) {
        if (pipe.to !== node || this.isPartitioned(name, pipe.from.name)) continue;
        pipe.from.run(() => pipe.fail(error));
      }
    });
  }

  /**
   * Gives a crashed node another life: ask for its transport and clock anew. What others still send
   * to the one before is answered with a reset.
   */
  restart(name: string): void {
    const before = this.#node(name);
    if (!before.dead) return;
    this.#wire.noteFault(name, name);
    before.answersDead = true;
    this.#unlisten(before);
    this.#nodes.set(name, new MemoryNode(name, this.#clock));
  }

  #node(name: string): MemoryNode {
    let node = this.#nodes.get(name);
    if (node === undefined) {
      node = new MemoryNode(name, this.#clock);
      this.#nodes.set(name, node);
    }
    return node;
  }

  #crashed(name: string): FlotillaError {
    return new FlotillaError('link_closed', `${name} crashed`, { details: { peer: name } });
  }

  #unlisten(node: MemoryNode): void {
    for (const [address, listener] of this.#listeners) {
      if (listener.node === node) this.#listeners.delete(address);
    }
  }

  #listen(node: MemoryNode, address: Address, onLink: (link: Link) => void): Address {
    if (node.dead) throw this.#crashed(node.name);
    const bound = { host: address.host, port: address.port || this.#nextPort++ };
    const key = formatAddress(bound);
    if (this.#listeners.has(key)) {
      throw new FlotillaError('port_in_use', `another process already listens on ${key}`, {
        details: { address: key },
      });
    }
    this.#listeners.set(key, { node, onLink });
    return bound;
  }

  #connect(node: MemoryNode, address: string, options: ConnectOptions = {}): Promise<Link> {
    parseAddress(address);
    if (node.dead) return Promise.reject(this.#crashed(node.name));
    const timeoutMs = options.timeoutMs ?? TRANSPORT_DEFAULTS.connectTimeoutMs;
    return new Promise((resolve, reject) => {
      let retry = { cancel() {} };
      const settle = () => {
        this.#dials.delete(dial);
        timeout.cancel();
        retry.cancel();
      };
      const fail = (error: FlotillaError) => {
        settle();
        reject(error);
      };
      const dial = { node, fail };
      this.#dials.add(dial);
      const timeout = node.clock.schedule(timeoutMs, () => {
        fail(unreachable(address, `no answer within ${timeoutMs} ms`));
      });
      const knock = (attempt: number) => {
        const to = this.#listeners.get(address)?.node.name ?? '';
        retry = node.clock.schedule(this.#wire.redialMs(attempt), () => knock(attempt + 1));
        this.#wire.roundTrip(node.name, to, () => {
          this.#answer(address, options, {
            waits: () => this.#dials.has(dial),
            fail: (error) => node.run(() => fail(error)),
            done: (to, accept) => {
              settle();
              resolve(this.#pair(node, to, { address, accept }));
            },
          });
        });
      };
      node.run(() => knock(1));
    });
  }

  /** A dial's question is at `address`, and its answer would be back. */
  #answer(
    address: string,
    { name }: ConnectOptions,
    dial: {
      waits(): boolean;
      fail(error: FlotillaError): void;
      done(to: MemoryNode, accept: (link: Link) => void): void;
    },
  ): void {
    const listener = this.#listeners.get(address);
    if (listener === undefined || (listener.node.dead && listener.node.answersDead)) {
      if (dial.waits()) dial.fail(unreachable(address, 'the connection was refused'));
      return;
    }
    const { node, onLink } = listener;
    node.run(() => {
      if (!dial.waits()) return;
      if (name === undefined || name === node.name) dial.done(node, onLink);
      else {
        const message = `the node at ${address} was refused: it is ${node.name}, not ${name}`;
        const refused = new FlotillaError('identity_refused', message, { details: { address } });
        dial.fail(refused);
      }
    });
  }

  /** Links two nodes; the accepting one gets its end first. */
  #pair(
    from: MemoryNode,
    to: MemoryNode,
    { address, accept }: { address: string; accept: (link: Link) => void },
  ): Link {
    const near = new MemoryPipe(from, to, this.#wire);
    const far = new MemoryPipe(to, from, this.#wire);
    near.join(far);
    far.join(near);
    this.#wire.pipes.add(near).add(far);
    const link = (pipe: MemoryPipe, dialled: boolean) => {
      const { name } = pipe.to;
      const remote = { name, fingerprint: `memory:${name}` };
      return new MuxLink({ pipe, remote, dialled, address });
    };
    accept(link(far, false));
    return link(near, true);
  }
}
