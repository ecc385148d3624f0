// One node's end of the simulated network, in place of `PeerHost`: links by name, control messages,
// calls. It does what the cluster's driver needs and no framing, so that a simulated minute is
// cheap.
import { assert } from '../../src/core/index.ts';
import { failed, NEVER, throughCodec } from './calls.ts';
import type { Clock, FlotillaError, Timer } from '../../src/core/index.ts';
import type { CallOptions, ControlHandler, Handler, Payload } from '../../src/peer/index.ts';
import type { ClusterHost, PeerTraffic } from '../../src/cluster/index.ts';
import type { Network } from './network.ts';
import type { Process } from './world.ts';

/** A connection between two lives; each end learns for itself that it broke. */
interface Link extends PeerTraffic {
  readonly remote: SimHost;
  readonly metrics: Record<'requests' | 'responses' | 'channels', { receivedMessages: number }>;
}

interface Call {
  readonly link: Link;
  fail(error: FlotillaError): void;
}

type Listener = (peer: { readonly name: string }, error: FlotillaError) => void;

const CONNECT_TIMEOUT_MS = 5_000;
const CALL_TIMEOUT_MS = 30_000;

/** One control message in so many goes through the codec, which refuses what cannot travel. */
const CODEC_SAMPLE = 64;

/** The most calls that may wait at one node: the code under test bounds them. */
export const MAX_CALLS = 256;

export class SimHost implements ClusterHost {
  readonly name: string;
  readonly address: string;
  readonly process: Process;
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #handlers = new Map<string, Handler>();
  readonly #controls = new Map<string, ControlHandler>();
  readonly #addresses = new Map<string, string>();
  readonly #links = new Map<string, Link>();
  readonly #connecting = new Map<string, Promise<{ name: string }>>();
  readonly #calls = new Set<Call>();
  readonly #onDisconnect: Listener[] = [];
  #messages = 0;

  constructor(
    components: { network: Network; process: Process; clock: Clock },
    options: { address: string },
  ) {
    this.#network = components.network;
    this.process = components.process;
    this.#clock = components.clock;
    this.name = components.process.name;
    this.address = options.address;
    this.#network.listen(options.address, this);
  }

  /** Calls that wait for their answer. */
  get pending(): number {
    return this.#calls.size;
  }

  handle(procedure: string, handler: Handler): void {
    assert(!this.#handlers.has(procedure), `the procedure ${procedure} has a handler already`);
    this.#handlers.set(procedure, handler);
  }

  onControl(kind: string, handler: ControlHandler): void {
    assert(!this.#controls.has(kind), `the control kind ${kind} has a handler already`);
    this.#controls.set(kind, handler);
  }

  onDisconnect(listener: Listener): void {
    this.#onDisconnect.push(listener);
  }

  learn(name: string, address: string): void {
    this.#addresses.set(name, address);
  }

  forget(name: string): void {
    this.#addresses.delete(name);
  }

  /** Ends both ends of a link; the other one hears of it by a message, or when it sends. */
  disconnect(name: string): void {
    const link = this.#links.get(name);
    if (link === undefined) return;
    const { remote } = link;
    this.break(name);
    this.#network.send(this.name, remote.process, () => remote.break(this.name, this));
  }

  peers(): readonly PeerTraffic[] {
    return [...this.#links.values()];
  }

  sendControl(name: string, kind: string, body: unknown): boolean {
    if (name === this.name) {
      this.#network.world.at(0, this.process, () => this.#controls.get(kind)?.(body, name));
      return true;
    }
    const link = this.#links.get(name);
    if (link === undefined) return false;
    const sample = ++this.#messages % CODEC_SAMPLE === 0;
    const travelled = sample ? throughCodec(body) : body;
    const { remote } = link;
    this.#network.send(this.name, remote.process, () => {
      if (!remote.#hears(this)) return;
      remote.#controls.get(kind)?.(travelled, this.name);
    });
    return true;
  }

  connect(address: string): Promise<{ name: string }> {
    const running = this.#connecting.get(address);
    if (running !== undefined) return running;
    const connecting = this.#connect(address).finally(() => this.#connecting.delete(address));
    this.#connecting.set(address, connecting);
    return connecting;
  }

  async call(
    name: string,
    procedure: string,
    request: Payload,
    options: CallOptions = {},
  ): Promise<Payload> {
    const { timeoutMs = CALL_TIMEOUT_MS } = options;
    const deadlineMs = this.#clock.now() + timeoutMs;
    this.#network.world.unsettle();
    if (name === this.name) return this.#serve(name, procedure, request);
    if (!this.#links.has(name)) {
      const address = this.#addresses.get(name);
      if (address === undefined) throw failed('peer_unreachable', name);
      await this.connect(address);
    }
    const link = this.#links.get(name);
    if (link === undefined) throw failed('peer_disconnected', name);
    return this.#call(link, { procedure, request, leftMs: deadlineMs - this.#clock.now() });
  }

  /** Ends this end of a link; whoever waits on it hears of it. */
  break(name: string, remote?: SimHost): void {
    const link = this.#links.get(name);
    if (link === undefined || (remote !== undefined && link.remote !== remote)) return;
    this.#links.delete(name);
    this.#network.world.unsettle();
    const error = failed('peer_disconnected', name);
    for (const call of [...this.#calls]) if (call.link === link) call.fail(error);
    for (const listener of this.#onDisconnect) listener({ name }, error);
  }

  /** Names that this node has a link to. */
  linked(): string[] {
    return [...this.#links.keys()];
  }

  #connect(address: string): Promise<{ name: string }> {
    const { world } = this.#network;
    world.unsettle();
    const { promise, resolve, reject } = Promise.withResolvers<{ name: string }>();
    let open = true;
    const settle = (outcome: () => void) => {
      if (!open) return;
      open = false;
      timer.cancel();
      world.unsettle();
      outcome();
    };
    const refuse = () => settle(() => reject(failed('peer_unreachable', address)));
    const timer: Timer = this.#clock.schedule(CONNECT_TIMEOUT_MS, refuse);
    const wanted = () => open && this.process.alive;
    const remote = this.#network.at(address);
    if (remote === undefined) {
      world.at(1, this.process, refuse);
    } else if (remote === this) {
      world.at(0, this.process, refuse);
    } else {
      const back = () =>
        settle(() => {
          this.#accept(remote);
          resolve({ name: remote.name });
        });
      const deliver = () => {
        remote.#accept(this);
        remote.#network.sendReliably(remote.name, this.process, { deliver: back, wanted });
      };
      this.#network.sendReliably(this.name, remote.process, { deliver, wanted });
    }
    return promise;
  }

  #accept(remote: SimHost): void {
    const standing = this.#links.get(remote.name);
    if (standing?.remote === remote) return;
    if (standing !== undefined) this.break(remote.name);
    const metrics = {
      requests: { receivedMessages: 0 },
      responses: { receivedMessages: 0 },
      channels: { receivedMessages: 0 },
    };
    this.#links.set(remote.name, { name: remote.name, remote, metrics });
  }

  /** A message over a link that ended here: its sender is told so. */
  #hears(from: SimHost): boolean {
    if (this.#links.get(from.name)?.remote === from) return true;
    this.#network.send(this.name, from.process, () => from.break(this.name, this));
    return false;
  }

  #call(
    link: Link,
    what: { procedure: string; request: Payload; leftMs: number },
  ): Promise<Payload> {
    const { world } = this.#network;
    const { remote } = link;
    const { promise, resolve, reject } = Promise.withResolvers<Payload>();
    const settle = (outcome: () => void) => {
      if (!this.#calls.delete(call)) return;
      timer.cancel();
      world.unsettle();
      outcome();
    };
    const call: Call = { link, fail: (error) => settle(() => reject(error)) };
    this.#calls.add(call);
    const late = () => call.fail(failed('deadline_exceeded', link.remote.name));
    const timer = this.#clock.schedule(Math.max(0, what.leftMs), late);
    const wanted = () => this.#calls.has(call) && this.process.alive;
    const answer = (outcome: () => void) => {
      remote.#network.sendReliably(remote.name, this.process, {
        deliver: () => {
          link.metrics.responses.receivedMessages++;
          settle(outcome);
        },
        wanted,
      });
    };
    this.#network.sendReliably(this.name, remote.process, {
      wanted,
      deliver: () => {
        if (!remote.#hears(this)) return;
        world.unsettle();
        remote.#links.get(this.name)!.metrics.requests.receivedMessages++;
        remote.#serve(this.name, what.procedure, what.request).then(
          (reply) => answer(() => resolve(reply)),
          (error) => answer(() => reject(error)),
        );
      },
    });
    return promise;
  }

  async #serve(peer: string, procedure: string, request: Payload): Promise<Payload> {
    const handler = this.#handlers.get(procedure);
    if (handler === undefined) throw failed('unknown_procedure', procedure);
    return handler(request, { peer, signal: NEVER });
  }
}
