// A node's end of all its connections: the procedures it offers, the peers it has, one connection
// per pair. Cuts nothing and encodes nothing itself; that is `Peer`'s and below.
import {
  assert,
  createPrng,
  Deadlines,
  FlotillaError,
  hasCode,
  invalidOption,
  messageOf,
} from '../core/index.ts';
import { Dialler } from './dialler.ts';
import { MIN_MESSAGE_BYTES, PEER_DEFAULTS, PROTOCOL_VERSIONS } from './defaults.ts';
import { LocalCalls } from './local-calls.ts';
import { Peer } from './peer.ts';
import { Relay } from './relay.ts';
import type { Clock, Logger, Prng } from '../core/index.ts';
import type { Address, Link, Transport } from '../transport/index.ts';
import type { Greeting, VersionRange } from './handshake.ts';
import type { CallOptions, ControlHandler, Handler, Payload, RpcHost } from './payload.ts';
import type { PeerLimits } from './peer.ts';
import type { RelayHandler, RelayRoute } from './relay.ts';

export interface PeerHostComponents {
  /** The node's name is the transport's. */
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Logger;
  /** Spreads redials and tells two lives of this node apart; seeded from the clocks when absent. */
  readonly prng?: Prng;
}

export interface PeerHostOptions extends Partial<PeerLimits> {
  readonly closeTimeoutMs?: number;
  readonly redialMs?: number;
  readonly maxRedialMs?: number;
  /** Links that a relayed message may take. @default 8 */
  readonly relayHops?: number;
  /** Protocol versions to speak. */
  readonly versions?: VersionRange;
}

const NO_OPTIONS: CallOptions = {};
const RESERVED_KINDS = new Set(['hello', 'welcome']);

export class PeerHost implements RpcHost {
  readonly name: string;
  readonly #components: PeerHostComponents;
  readonly #options: typeof PEER_DEFAULTS & PeerHostOptions;
  readonly #deadlines: Deadlines;
  readonly #handlers = new Map<string, Handler>();
  readonly #controls = new Map<string, ControlHandler>();
  readonly #addresses = new Map<string, string>();
  readonly #peers = new Map<string, Peer>();
  /** Every connection that exists, greeted or not. */
  readonly #connections = new Set<Peer>();
  readonly #connecting = new Map<string, Promise<Peer>>();
  readonly #onConnect: ((peer: Peer) => void)[] = [];
  readonly #onDisconnect: ((peer: Peer, error: FlotillaError) => void)[] = [];
  readonly #dialler: Dialler;
  readonly #local: LocalCalls;
  readonly #relay: Relay;
  readonly #instance: string;
  #stopped: Promise<void> | undefined;

  constructor(components: PeerHostComponents, options: PeerHostOptions = {}) {
    const { clock, transport, log } = components;
    const prng = components.prng ?? createPrng(clock.wallTime() ^ (clock.now() * 1e3));
    checkOptions(options);
    this.name = transport.name;
    this.#components = components;
    this.#options = { ...PEER_DEFAULTS, ...options } as typeof PEER_DEFAULTS & PeerHostOptions;
    this.#instance = `${prng.uint32().toString(16)}-${clock.wallTime().toString(16)}`;
    this.#deadlines = new Deadlines(clock);
    this.#local = new LocalCalls({
      name: this.name,
      deadlines: this.#deadlines,
      log,
      handlers: this.#handlers,
      controls: this.#controls,
    });
    this.#relay = new Relay(
      {
        name: this.name,
        clock,
        deadlines: this.#deadlines,
        log,
        peer: (name) => this.#peers.get(name),
      },
      this.#options,
    );
    this.#dialler = new Dialler(
      {
        clock,
        prng,
        deadlines: this.#deadlines,
        addressOf: (name) => this.#addresses.get(name),
        dial: (name, address, attempt) => this.#dial(name, address, attempt),
      },
      this.#options,
    );
  }

  /** Accepts peers. Resolves with the address bound. Errors: `port_in_use`, `address_unusable`. */
  listen(address: Address): Promise<Address> {
    return this.#components.transport.listen(address, (link) => {
      void this.#greet(link, 0).catch((error: unknown) => {
        const { log } = this.#components;
        const level = hasCode(error, 'connection_duplicate') ? 'debug' : 'warn';
        log[level]({ peer: link.remote.name }, messageOf(error));
      });
    });
  }

  /** Offers a procedure to every peer, and to this node itself. */
  handle(procedure: string, handler: Handler): void {
    assert(!this.#handlers.has(procedure), `the procedure ${procedure} has a handler already`);
    this.#handlers.set(procedure, handler);
  }

  /** Teaches where a name can be dialled, `host:port`. */
  learn(name: string, address: string): void {
    if (this.#addresses.get(name) === address) return;
    this.#addresses.set(name, address);
    this.#dialler.reset(name);
  }

  /** Dials a name no more. A connection that stands is left alone. */
  forget(name: string): void {
    this.#addresses.delete(name);
    this.#dialler.reset(name);
  }

  /**
   * Ends every connection to a name now, without a word: what waits on one fails with
   * `peer_disconnected` and `why`; what waits for one, and has not been sent, with
   * `peer_unreachable`. Either side may dial anew.
   */
  disconnect(name: string, why = 'this node ended the connection'): void {
    const details = { peer: name };
    const reason = new FlotillaError('peer_disconnected', why, { details });
    const message = `${name} cannot be reached: ${why}`;
    this.#dialler.giveUp(name, new FlotillaError('peer_unreachable', message, { details }));
    for (const peer of [...this.#connections]) if (peer.name === name) peer.destroy(reason);
  }

  /** Dials an address and learns from the certificate who is there. */
  connect(address: string): Promise<Peer> {
    const running = this.#connecting.get(address);
    if (running !== undefined) return running;
    const connecting = this.#connect(address).finally(() => this.#connecting.delete(address));
    this.#connecting.set(address, connecting);
    return connecting;
  }

  /** The live connection to a name. */
  peer(name: string): Peer | undefined {
    return this.#peers.get(name);
  }

  /** The live connections. */
  peers(): readonly Peer[] {
    return [...this.#peers.values()];
  }

  /**
   * Calls a procedure of a node, dialling it when needed; this node itself without the network.
   * Errors: `peer_unreachable`, `peer_disconnected`, `unknown_procedure`, `handler_failed`,
   * `deadline_exceeded`, `cancelled`, `message_too_large`, `lane_full`, and the handler's own.
   */
  call(
    name: string,
    procedure: string,
    request: Payload,
    options: CallOptions = NO_OPTIONS,
  ): Promise<Payload> {
    const peer = this.#peers.get(name);
    if (peer !== undefined) return peer.call(procedure, request, options);
    const { clock } = this.#components;
    const deadlineMs = clock.now() + (options.timeoutMs ?? this.#options.callTimeoutMs);
    const wait = { deadlineMs, signal: options.signal };
    if (this.#stopped !== undefined) return Promise.reject(this.#stopError());
    if (name === this.name) return this.#local.call(procedure, request, wait);
    return this.#dialler.wait(name, { procedure, ...wait }).then((found) => {
      const timeoutMs = deadlineMs - clock.now();
      return found.call(procedure, request, { ...options, timeoutMs });
    });
  }

  /** Fire-and-forget. False without a live connection, or when the queue of the kind is full. */
  sendControl(name: string, kind: string, body: unknown): boolean {
    assert(!RESERVED_KINDS.has(kind), `${kind} is a control kind of the protocol itself`);
    if (name === this.name) return this.#local.control(kind, body);
    return this.#peers.get(name)?.sendControl(kind, body) ?? false;
  }

  /** Receives a control kind from every peer. */
  onControl(kind: string, handler: ControlHandler): void {
    assert(!RESERVED_KINDS.has(kind), `${kind} is a control kind of the protocol itself`);
    assert(!this.#controls.has(kind), `the control kind ${kind} has a handler already`);
    this.#controls.set(kind, handler);
  }

  /**
   * Sends a message to a node that this one need not share a link with: over its link if there is
   * one, else over those of `routeRelays`. Dials nobody. Resolves when the target's receiver has
   * it; of a message whose wait ended otherwise nobody knows whether it arrived. Errors:
   * `relay_unreachable`, `message_too_large`, `lane_full`, `peer_disconnected` (the first link
   * ended), `deadline_exceeded`, `cancelled`.
   */
  relay(target: string, message: Payload, options?: CallOptions): Promise<void> {
    return this.#relay.send(target, message, options);
  }

  /** Tells the way to nodes without a link to this one; replaces what was told before. */
  routeRelays(route: RelayRoute): void {
    this.#relay.route(route);
  }

  /** Receives what is relayed to this node. There is one receiver: a second is a bug. */
  onRelay(handler: RelayHandler): void {
    this.#relay.receive(handler);
  }

  onConnect(listener: (peer: Peer) => void): void {
    this.#onConnect.push(listener);
  }

  onDisconnect(listener: (peer: Peer, error: FlotillaError) => void): void {
    this.#onDisconnect.push(listener);
  }

  /** Sends what is queued, closes every connection and listens no more. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const { clock, transport } = this.#components;
    const reason = this.#stopError();
    this.#dialler.stop(reason);
    this.#local.stop(reason);
    this.#relay.stop(reason);
    const connections = [...this.#connections];
    const timer = clock.schedule(this.#options.closeTimeoutMs, () => {
      for (const peer of connections) peer.destroy(reason);
    });
    await Promise.all(connections.map((peer) => peer.close(reason)));
    timer.cancel();
    await transport.stop();
    this.#deadlines.stop();
  }

  #stopError(): FlotillaError {
    return new FlotillaError('peer_disconnected', `${this.name} has stopped`, {
      details: { peer: this.name },
    });
  }

  async #connect(address: string): Promise<Peer> {
    const link = await this.#components.transport.connect(address);
    const { name } = link.remote;
    const existing = this.#peers.get(name);
    if (existing !== undefined || name === this.name || this.#dialler.isDialling(name)) {
      link.open({ stream: () => ({ data() {}, end() {}, reset() {} }), closed() {} });
      link.destroy(duplicate(name));
      if (existing !== undefined) return existing;
      if (name === this.name) throw notItself(address);
    } else {
      if (!this.#addresses.has(name)) this.#addresses.set(name, address);
      try {
        return await this.#dialler.during(name, () => this.#greet(link, 0));
      } catch (error) {
        if (!hasCode(error, 'connection_duplicate')) throw error;
      }
    }
    // Another connection to the same node is being made: that one will do.
    const deadlineMs = this.#components.clock.now() + this.#options.handshakeTimeoutMs;
    return this.#dialler.wait(name, { procedure: 'connect', deadlineMs });
  }

  async #dial(name: string, address: string, attempt: number): Promise<Peer> {
    const link = await this.#components.transport.connect(address, { name });
    return this.#greet(link, attempt);
  }

  #greet(link: Link, attempt: number): Promise<Peer> {
    const { clock, log } = this.#components;
    const peer = new Peer(link, {
      name: this.name,
      instance: this.#instance,
      versions: this.#options.versions ?? PROTOCOL_VERSIONS,
      clock,
      log,
      deadlines: this.#deadlines,
      handlers: this.#handlers,
      controls: this.#controls,
      limits: this.#options,
      admit: (candidate, greeting) => this.#admit(candidate, greeting),
      live: (connected) => this.#live(connected),
      gone: (lost, error) => this.#gone(lost, error),
      relayed: (frame, from, counters) => this.#relay.arrived(frame, from, counters),
    });
    this.#connections.add(peer);
    const ready = peer.start(attempt);
    if (this.#stopped !== undefined) peer.destroy(this.#stopError());
    return ready;
  }

  /**
   * One connection per pair. Of two dials that cross, the one of the smaller name stays. A dialler
   * that was refused and still has no connection, or that was restarted, outranks what stands here.
   */
  #admit(peer: Peer, greeting: Greeting): void {
    const { name } = peer;
    if (name === this.name) throw duplicate(name);
    const existing = this.#peers.get(name);
    if (existing !== undefined) {
      const stale = existing.instance !== greeting.instance || greeting.attempt > 0;
      if (!stale) throw duplicate(name);
      existing.destroy(duplicate(name));
    } else if (!peer.dialled && this.name < name && greeting.attempt === 0) {
      if (this.#dialler.isDialling(name)) throw duplicate(name);
    }
  }

  #live(peer: Peer): void {
    this.#peers.set(peer.name, peer);
    this.#dialler.arrived(peer);
    for (const listener of this.#onConnect) listener(peer);
  }

  #gone(peer: Peer, error: FlotillaError): void {
    this.#connections.delete(peer);
    if (this.#peers.get(peer.name) !== peer) return;
    this.#peers.delete(peer.name);
    this.#relay.lost(peer.name, error);
    for (const listener of this.#onDisconnect) listener(peer, error);
  }
}

/** Every limit and time is a positive number. */
function checkOptions({ versions, ...numbers }: PeerHostOptions): void {
  if (versions !== undefined && !(versions.min >= 1 && versions.min <= versions.max)) {
    throw invalidOption('versions', 'a range from 1 on', `${versions.min} to ${versions.max}`);
  }
  for (const [option, value] of Object.entries(numbers)) {
    if (!(value > 0)) throw invalidOption(option, 'a positive number', value);
    if (option === 'maxMessageBytes' && value < MIN_MESSAGE_BYTES) {
      throw invalidOption(option, `at least ${MIN_MESSAGE_BYTES}`, value);
    }
  }
}

function duplicate(name: string): FlotillaError {
  return new FlotillaError('connection_duplicate', `another connection to ${name} stays`, {
    details: { peer: name },
  });
}

function notItself(address: string): FlotillaError {
  return new FlotillaError('peer_unreachable', `${address} is this node itself`, {
    details: { address },
  });
}
