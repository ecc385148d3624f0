// One connection to another node, cut into lanes. Owns greeting, dispatch of streams to lanes and
// the end of everything when the link ends; who is connected to whom is `PeerHost`'s.
import { FlotillaError, hasCode } from '../core/index.ts';
import {
  decodeBody,
  encodeBody,
  frameInvalid,
  MessageDecoder,
  ReceiveBudget,
  WIRE_DEFAULTS,
} from '../wire/index.ts';
import { TRANSPORT_DEFAULTS } from '../transport/index.ts';
import { Channels } from './channels.ts';
import { ControlLane } from './control-lane.ts';
import { MAX_CONTROL_KINDS } from './defaults.ts';
import { disconnected, laneFull } from './errors.ts';
import { decodeGreeting, encodeGreeting, negotiate } from './handshake.ts';
import { decodePreamble, encodePreamble } from './lanes.ts';
import { FIELDS_AT, writeMessage } from './message-writer.ts';
import { LaneCounters, sumOf } from './metrics.ts';
import { RelayLane } from './relay-lane.ts';
import { RpcClient } from './rpc-client.ts';
import { RpcServer } from './rpc-server.ts';
import type { Clock, Deadlines, Logger, Timer } from '../core/index.ts';
import type {
  Link,
  LinkIdentity,
  ReceiveStream,
  SendStream,
  StreamReader,
} from '../transport/index.ts';
import type { MessageSink } from '../wire/index.ts';
import type { Channel, RawChannel } from './channel.ts';
import type { Greeting, VersionRange } from './handshake.ts';
import type { LaneAddress } from './lanes.ts';
import type { PeerMetrics } from './metrics.ts';
import type { CallOptions, ControlHandler, Handler, Payload } from './payload.ts';
import type { RelayFrame } from './relay.ts';
import type { RelayContent } from './relay-lane.ts';
import type { RelayHeader } from './relay-messages.ts';

/** Limits of a peer; defaults in `PEER_DEFAULTS`. */
export interface PeerLimits {
  readonly maxMessageBytes: number;
  readonly maxPartialBytes: number;
  readonly maxPendingCalls: number;
  readonly maxInboundCalls: number;
  readonly maxInboundBytes: number;
  readonly maxQueuedBytes: number;
  readonly maxControlBytes: number;
  readonly laneCapacity: number;
  readonly maxRelayBytes: number;
  readonly handshakeTimeoutMs: number;
  readonly callTimeoutMs: number;
}

/** What a peer needs of the host that owns it. */
export interface PeerOwner {
  readonly name: string;
  readonly instance: string;
  readonly versions: VersionRange;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly log: Logger;
  readonly handlers: ReadonlyMap<string, Handler>;
  readonly controls: ReadonlyMap<string, ControlHandler>;
  readonly limits: PeerLimits;
  /** The greeting is sound: throws when this connection is not wanted. */
  readonly admit: (peer: Peer, greeting: Greeting) => void;
  readonly live: (peer: Peer) => void;
  readonly gone: (peer: Peer, error: FlotillaError) => void;
  /** A message of the relay lane arrived from the peer of that name. */
  readonly relayed: (frame: RelayFrame, peer: string, counters: LaneCounters) => void;
}

const HELLO = 'hello';
const WELCOME = 'welcome';

export class Peer {
  readonly name: string;
  readonly remote: LinkIdentity;
  /** True when this node dialled. */
  readonly dialled: boolean;
  readonly address: string;
  /** Settles with the greeting. */
  readonly ready: Promise<Peer>;
  readonly #link: Link;
  readonly #owner: PeerOwner;
  readonly #budget: ReceiveBudget;
  readonly #client: RpcClient;
  readonly #server: RpcServer;
  readonly #control: ControlLane;
  readonly #requests = new LaneCounters();
  readonly #responses = new LaneCounters();
  readonly #controlCounters = new LaneCounters();
  readonly #channels: Channels;
  readonly #relayCounters = new LaneCounters();
  readonly #relay: RelayLane;
  #becomeReady!: (peer: Peer) => void;
  #failReady!: (error: FlotillaError) => void;
  #timer: Timer | undefined;
  #state: 'greeting' | 'live' | 'closed' = 'greeting';
  #error: FlotillaError | undefined;
  #instance = '';
  #attempt = 0;

  constructor(link: Link, owner: PeerOwner) {
    this.name = link.remote.name;
    this.remote = link.remote;
    this.dialled = link.dialled;
    this.address = link.address;
    this.#link = link;
    this.#owner = owner;
    const { limits, clock, deadlines, log, handlers, name } = owner;
    this.#budget = new ReceiveBudget({ ...limits, maxHeadBytes: WIRE_DEFAULTS.maxHeadBytes });
    const rpc = { peer: this.name, clock, deadlines, requests: this.#requests };
    const open = (lane: 'requests' | 'responses') => () => this.#openStream({ lane, name: '' });
    this.#client = new RpcClient(
      { ...rpc, responses: this.#responses, openStream: open('requests') },
      limits,
    );
    this.#server = new RpcServer(
      { ...rpc, responses: this.#responses, openStream: open('responses'), log, handlers, name },
      limits,
    );
    this.#control = new ControlLane(
      {
        peer: this.name,
        log,
        handlers: owner.controls,
        counters: this.#controlCounters,
        openStream: (kind, drain) => this.#openStream({ lane: 'control', name: kind }, drain),
      },
      { ...limits, maxControlKinds: MAX_CONTROL_KINDS },
    );
    this.#channels = new Channels(
      {
        peer: this.name,
        clock,
        deadlines,
        callTimeoutMs: limits.callTimeoutMs,
        openStream: (to, events) => {
          if (!this.#link.canOpenStream) {
            throw laneFull(this.name, 'channels', TRANSPORT_DEFAULTS.maxInboundStreams);
          }
          const address = to.lane === 'data' ? { lane: to.lane, name: '' } : to;
          return this.#link.openStream(encodePreamble(address), events);
        },
      },
      limits,
    );
    this.#relay = new RelayLane(
      {
        counters: this.#relayCounters,
        openStream: (drain) => this.#openStream({ lane: 'relay', name: '' }, drain),
      },
      limits,
    );
    this.ready = new Promise((resolve, reject) => {
      this.#becomeReady = resolve;
      this.#failReady = reject;
    });
    // Whoever waits hears of a failure; nobody has to.
    this.ready.catch(() => {});
  }

  /** The life of the other node that this connection belongs to. */
  get instance(): string {
    return this.#instance;
  }

  get live(): boolean {
    return this.#state === 'live';
  }

  get metrics(): PeerMetrics {
    const { data, raw, communicator, tag } = this.#channels.counters;
    return {
      control: { ...this.#controlCounters },
      requests: { ...this.#requests },
      responses: { ...this.#responses },
      channels: sumOf([data, raw, communicator, tag]),
      data: { ...data },
      raw: { ...raw },
      communicator: { ...communicator },
      tag: { ...tag },
      heldChannels: this.#channels.size,
      relay: { ...this.#relayCounters },
      pendingCalls: this.#client.pendingCalls,
      runningCalls: this.#server.runningCalls,
      droppedResponses: this.#client.droppedResponses,
      lateAnswers: this.#server.lateAnswers,
    };
  }

  /** Begins the greeting. `attempt` counts refusals of this dial as a duplicate. */
  start(attempt = 0): Promise<Peer> {
    const { clock, limits } = this.#owner;
    this.#attempt = attempt;
    const { handshakeTimeoutMs } = limits;
    this.#timer = clock.schedule(handshakeTimeoutMs, () => {
      this.destroy(frameInvalid(`no greeting within ${handshakeTimeoutMs} ms`));
    });
    this.#link.open({
      stream: (stream) => this.#accept(stream),
      closed: (error) => this.#closed(error),
    });
    if (this.dialled) this.#greet(HELLO);
    return this.ready;
  }

  call(procedure: string, request: Payload, options: CallOptions = {}): Promise<Payload> {
    return this.#client.call(procedure, request, options);
  }

  sendControl(kind: string, body: unknown): boolean {
    return this.#state === 'live' && this.#control.send(kind, body);
  }

  /** Passes a message on by this connection. False when too much waits for it. */
  sendRelay(header: RelayHeader, content: RelayContent): boolean {
    return this.#state === 'live' && this.#relay.send(header, content);
  }

  /** Point-to-point messages. Both ends see the same channel, whoever asks for it first. */
  get data(): Channel<Payload> {
    return this.#channels.data();
  }

  /** Untagged bulk bytes. */
  get raw(): RawChannel {
    return this.#channels.raw({ lane: 'raw' });
  }

  /** Bulk bytes of one communicator (u64). */
  communicator(id: bigint): RawChannel {
    return this.#channels.raw({ lane: 'communicator', id });
  }

  /** Bulk bytes of one tag (u64), so that transfers run side by side. */
  tag(id: bigint): RawChannel {
    return this.#channels.raw({ lane: 'tag', id });
  }

  /** Sends what is queued, tells the peer why, and ends. Calls that wait reject at once. */
  close(reason: FlotillaError): Promise<void> {
    this.#wake(reason);
    return this.#link.close(reason);
  }

  /** Ends now. */
  destroy(reason: FlotillaError): void {
    this.#link.destroy(reason);
    this.#closed(reason);
  }

  #greet(kind: typeof HELLO | typeof WELCOME): void {
    const { name, instance, versions, limits } = this.#owner;
    const { maxMessageBytes } = limits;
    const greeting = { name, instance, versions, maxMessageBytes, attempt: this.#attempt };
    const stream = this.#openStream({ lane: 'control', name: kind });
    const body = encodeBody(encodeGreeting(greeting));
    writeMessage(stream, { fieldsEnd: FIELDS_AT, body });
    stream.end();
  }

  #greeted(kind: typeof HELLO | typeof WELCOME, body: unknown): void {
    if (this.#state !== 'greeting' || (kind === WELCOME) !== this.dialled) {
      throw frameInvalid(`${kind} at the wrong time`);
    }
    const greeting = decodeGreeting(body);
    if (greeting.name !== this.name) {
      const message = `${this.name} presents itself as ${greeting.name}`;
      throw new FlotillaError('identity_refused', message, { details: { peer: this.name } });
    }
    negotiate(this.#owner.versions, greeting);
    this.#instance = greeting.instance;
    this.#owner.admit(this, greeting);
    const { limits } = this.#owner;
    const maxMessageBytes = Math.min(limits.maxMessageBytes, greeting.maxMessageBytes);
    this.#client.limits = { ...limits, maxMessageBytes };
    this.#server.limits = { ...limits, maxMessageBytes };
    this.#channels.maxMessageBytes = maxMessageBytes;
    this.#relay.limits = { ...limits, maxMessageBytes };
    if (kind === HELLO) this.#greet(WELCOME);
    this.#timer?.cancel();
    this.#state = 'live';
    this.#owner.live(this);
    this.#becomeReady(this);
  }

  #accept(stream: ReceiveStream): StreamReader {
    const address = decodePreamble(stream.preamble);
    let decoder: MessageDecoder | undefined;
    const refuse = () => {
      stream.refuse();
      // What has arrived of a message goes with the stream: its memory counts no longer.
      decoder?.drop();
    };
    const { id, preamble } = stream;
    const grant = (messages: number, bytes: number) => stream.grant(messages, bytes);
    const sink: MessageSink & { ended?(): void } = this.#sinkFor(address, {
      id,
      preamble,
      grant,
      refuse,
    });
    const framed = 'name' in address ? 'framed' : 'raw';
    const reading = new MessageDecoder(sink, this.#budget, framed);
    decoder = reading;
    const link = this.#link;
    return {
      data: (bytes, start, end) => reading.push(bytes, start, end),
      end() {
        if (!reading.idle) throw frameInvalid('a stream that ends within a message');
        sink.ended?.();
      },
      reset() {
        reading.drop();
        // With the connection, channels end for another reason.
        if (!link.closed) sink.ended?.();
      },
    };
  }

  #sinkFor(address: LaneAddress, stream: ReceiveStream): MessageSink {
    const greeting =
      address.lane === 'control' && (address.name === HELLO || address.name === WELCOME)
        ? address.name
        : undefined;
    if (greeting !== undefined) {
      return {
        message: (buffer, start, end) => this.#greeted(greeting, decodeBody(buffer, start, end)),
      };
    }
    if (this.#state !== 'live') throw frameInvalid(`a ${address.lane} stream before the greeting`);
    switch (address.lane) {
      case 'control':
        return this.#control.sink(address.name);
      case 'requests':
        return this.#server;
      case 'responses':
        return this.#client;
      case 'relay':
        return {
          message: (buffer, start, end, bytes) => {
            const frame = { buffer, start, end, bytes };
            this.#owner.relayed(frame, this.name, this.#relayCounters);
          },
        };
      case 'data':
        return this.#channels.accept({ lane: 'data' }, stream);
      default:
        return this.#channels.accept(address, stream);
    }
  }

  #openStream(address: LaneAddress, drain?: () => void): SendStream {
    return this.#link.openStream(encodePreamble(address), drain === undefined ? {} : { drain });
  }

  #closed(error: FlotillaError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#timer?.cancel();
    this.#failReady(hasCode(error, 'link_closed') ? brokenOff(this.address) : error);
    this.#owner.gone(this, this.#wake(error));
  }

  /** Wakes everyone who waits on this connection. */
  #wake(cause: FlotillaError): FlotillaError {
    this.#error ??= disconnected(this.name, cause);
    this.#client.close(this.#error);
    this.#server.close(this.#error);
    this.#channels.close(this.#error);
    return this.#error;
  }
}

/** The connection broke during the greeting: for who dials, the node could not be reached. */
function brokenOff(address: string): FlotillaError {
  const reason = 'it broke off the greeting';
  return new FlotillaError('peer_unreachable', `${address} cannot be reached: ${reason}`, {
    details: { address, reason },
  });
}
