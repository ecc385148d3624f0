// Messages between nodes that share no link, passed on by those between them. Owns the choice of
// the next hop, the word to a source whose message cannot go on, and who waits for that word.
import { assert, invalidOption, messageOf } from '../core/index.ts';
import { decodeBody, encodeBody } from '../wire/index.ts';
import { MAX_NAME_BYTES, MAX_RELAY_HOPS } from './defaults.ts';
import { laneFull, relayUnreachable } from './errors.ts';
import { checkSize } from './message-writer.ts';
import { payloadOf } from './payload.ts';
import { readRelayHeader, RELAY } from './relay-messages.ts';
import { cancelled, expired } from './rpc-client.ts';
import { errorBody, readError } from './rpc-messages.ts';
import type { Clock, Deadlines, FlotillaError, Logger } from '../core/index.ts';
import type { EncodedBody } from '../wire/index.ts';
import type { LaneCounters } from './metrics.ts';
import type { CallOptions, Payload } from './payload.ts';
import type { RelayContent } from './relay-lane.ts';
import type { RelayHeader } from './relay-messages.ts';

/** Where a message goes from here, by name: two nodes that this one shares a link with. */
export interface RelayHops {
  readonly next: string;
  /** Tried when the link to `next` is down or its relay lane full. */
  readonly alternate?: string | undefined;
}

/** The way to `target`; undefined when there is none. */
export type RelayRoute = (target: string) => RelayHops | undefined;

/** Takes what others relayed to this node. `source` is what the relaying nodes vouch for. */
export type RelayHandler = (message: Payload, source: string) => void;

/** What the relay needs of a live connection. */
export interface RelayPeer {
  readonly name: string;
  sendRelay(header: RelayHeader, content: RelayContent): boolean;
}

/** A relayed message as it arrives: its head `buffer[start, end)`, valid during the call. */
export interface RelayFrame {
  readonly buffer: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array | undefined;
}

export interface RelayComponents {
  readonly name: string;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly log: Logger;
  /** The live connection to a name. */
  peer(name: string): RelayPeer | undefined;
}

export interface RelayLimits {
  readonly callTimeoutMs: number;
  readonly relayHops: number;
  readonly maxPendingCalls: number;
  readonly laneCapacity: number;
}

interface Waiter {
  readonly target: string;
  /** The link that the message left by. */
  readonly via: string;
  resolve(): void;
  reject(error: FlotillaError): void;
}

const NO_BODY: EncodedBody = { buffer: new Uint8Array(0), start: 0, end: 0 };

export class Relay {
  readonly #components: RelayComponents;
  readonly #limits: RelayLimits;
  readonly #waiters = new Map<number, Waiter>();
  #route: RelayRoute = () => undefined;
  #handler: RelayHandler | undefined;
  #nextId = 1;
  #stopped: FlotillaError | undefined;

  constructor(components: RelayComponents, limits: RelayLimits) {
    const { relayHops } = limits;
    if (!Number.isInteger(relayHops) || relayHops < 1 || relayHops > MAX_RELAY_HOPS) {
      throw invalidOption('relayHops', `an integer from 1 to ${MAX_RELAY_HOPS}`, relayHops);
    }
    this.#components = components;
    this.#limits = limits;
  }

  route(route: RelayRoute): void {
    this.#route = route;
  }

  receive(handler: RelayHandler): void {
    assert(this.#handler === undefined, 'relayed messages have a receiver already');
    this.#handler = handler;
  }

  async send(target: string, message: Payload, options: CallOptions = {}): Promise<void> {
    const { name } = this.#components;
    const { relayHops, maxPendingCalls } = this.#limits;
    if (this.#stopped !== undefined) throw this.#stopped;
    if (options.signal?.aborted) throw cancelled('relay', options.signal);
    if (target === name) return this.#sendToSelf(message);
    if (this.#waiters.size >= maxPendingCalls) throw laneFull(target, 'relay', maxPendingCalls);
    if (target === '') throw relayUnreachable(target, 'it has no name');
    checkSize(Buffer.byteLength(target), MAX_NAME_BYTES);
    const id = this.#nextId;
    this.#nextId = id === 0xffffffff ? 1 : id + 1;
    const header = { type: RELAY.message, hops: relayHops, id, source: name, target };
    const via = this.#forward(header, { body: encodeBody(message.body), bytes: message.bytes });
    await this.#outcome({ id, target, via }, options);
  }

  /** A relayed message or notice came in from a peer. Throws `frame_invalid` on broken fields. */
  arrived(frame: RelayFrame, from: string, counters: LaneCounters): void {
    const { buffer, start, end, bytes } = frame;
    counters.receivedMessages++;
    counters.receivedBytes += end - start + (bytes?.length ?? 0);
    const { header, bodyAt } = readRelayHeader(buffer, start, end);
    const content = { body: { buffer, start: bodyAt, end }, bytes };
    if (header.target === this.#components.name) {
      if (header.type === RELAY.message) this.#deliver(header, content, counters);
      else this.#noticed(header, content, counters);
      return;
    }
    try {
      const hops = Math.min(header.hops, this.#limits.relayHops) - 1;
      if (hops < 1) throw relayUnreachable(header.target, 'its hops are used up');
      this.#forward({ ...header, hops }, content, from);
    } catch (error) {
      counters.drops++;
      this.#report(header, error);
    }
  }

  /** A connection ended: what left by it may be lost. */
  lost(peer: string, error: FlotillaError): void {
    for (const waiter of [...this.#waiters.values()]) {
      if (waiter.via === peer) waiter.reject(error);
    }
  }

  stop(error: FlotillaError): void {
    this.#stopped = error;
    for (const waiter of [...this.#waiters.values()]) waiter.reject(error);
  }

  /** Sends one hop on; returns the peer it left by. Throws when no link takes it. */
  #forward(header: RelayHeader, content: RelayContent, from?: string): string {
    const { target } = header;
    const { peer } = this.#components;
    const hops = peer(target) === undefined ? this.#route(target) : { next: target };
    if (hops === undefined) throw relayUnreachable(target, 'no way to it is known');
    let full: string | undefined;
    for (const name of [hops.next, hops.alternate]) {
      // Back where it came from, it would only go in circles.
      const link = name === undefined || name === from ? undefined : peer(name);
      if (link?.sendRelay(header, content) === true) return link.name;
      full ??= link?.name;
    }
    if (full !== undefined) throw laneFull(full, 'relay', this.#limits.laneCapacity);
    const tried = hops.alternate === undefined ? hops.next : `${hops.next} nor ${hops.alternate}`;
    throw relayUnreachable(target, `${this.#components.name} cannot pass it on to ${tried}`);
  }

  #deliver(header: RelayHeader, { body, bytes }: RelayContent, counters: LaneCounters): void {
    const { log, name } = this.#components;
    const { source } = header;
    try {
      if (this.#handler === undefined) throw relayUnreachable(name, 'it takes no relayed messages');
      const decoded = decodeBody(body.buffer, body.start, body.end);
      this.#call(this.#handler, payloadOf(decoded, bytes), source);
    } catch (error) {
      // The peer that passed it on did not write it: a broken body costs the message only.
      counters.drops++;
      log.warn({ source, err: error }, `a relayed message was dropped: ${messageOf(error)}`);
      this.#report(header, error);
      return;
    }
    this.#answer(header, RELAY.delivered, NO_BODY);
  }

  #call(handler: RelayHandler, message: Payload, source: string): void {
    try {
      handler(message, source);
    } catch (error) {
      const text = `a handler of relayed messages failed: ${messageOf(error)}`;
      this.#components.log.error({ source, err: error }, text);
    }
  }

  /** Word of one of this node's own messages. */
  #noticed(header: RelayHeader, { body }: RelayContent, counters: LaneCounters): void {
    const waiter = this.#waiters.get(header.id);
    const genuine = header.type === RELAY.undeliverable || header.source === waiter?.target;
    if (waiter === undefined || !genuine) {
      counters.drops++;
      return;
    }
    if (header.type === RELAY.delivered) waiter.resolve();
    else waiter.reject(readNotice(body, waiter.target));
  }

  /** Tells the source why its message ends here. There are no notices about notices. */
  #report(header: RelayHeader, error: unknown): void {
    if (header.type !== RELAY.message) return;
    this.#answer(header, RELAY.undeliverable, encodeBody(errorBody(error, 'relay')));
  }

  #answer({ id, source }: RelayHeader, type: number, body: EncodedBody): void {
    const { name, log } = this.#components;
    const header = { type, hops: this.#limits.relayHops, id, source: name, target: source };
    try {
      this.#forward(header, { body, bytes: undefined });
    } catch (error) {
      log.debug({ source, err: error }, 'word of a relayed message found no way back');
    }
  }

  async #sendToSelf({ body, bytes }: Payload): Promise<void> {
    const { buffer, start, end } = encodeBody(body);
    const copy = payloadOf(decodeBody(buffer, start, end), bytes && new Uint8Array(bytes));
    // As over a connection, the handler never runs within the sender's own step.
    await undefined;
    const { name } = this.#components;
    if (this.#handler === undefined) throw relayUnreachable(name, 'it takes no relayed messages');
    this.#call(this.#handler, copy, name);
  }

  #outcome(
    { id, target, via }: { id: number; target: string; via: string },
    { timeoutMs = this.#limits.callTimeoutMs, signal }: CallOptions,
  ): Promise<void> {
    const { clock, deadlines } = this.#components;
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.#waiters.delete(id);
        deadlines.remove(expirable, tick);
        signal?.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        target,
        via,
        resolve: () => {
          settle();
          resolve();
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      const expirable = { expire: () => waiter.reject(expired('relay', target)) };
      const onAbort = () => waiter.reject(cancelled('relay', signal!));
      const tick = deadlines.add(expirable, clock.now() + timeoutMs);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.set(id, waiter);
    });
  }
}

/** The error in a notice. The peer that passed it on did not write it: its faults are not his. */
function readNotice({ buffer, start, end }: EncodedBody, target: string): FlotillaError {
  try {
    return readError(decodeBody(buffer, start, end));
  } catch {
    return relayUnreachable(target, 'the notice about it is broken');
  }
}
