// One channel: both directions of a data, raw, communicator or tag lane. Messages keep their order;
// a sender without credit waits, the receive loop never does, and every end wakes both.
import { BoundedQueue, FlotillaError } from '../core/index.ts';
import { frameInvalid } from '../wire/index.ts';
import { ReceiveCredit, SendCredit } from './credit.ts';
import { CHANNEL_CREDIT, MAX_CHANNEL_STREAMS, MAX_CHANNEL_WAITERS } from './defaults.ts';
import { laneFull } from './errors.ts';
import { doesNotFit, ReceiveLine, ReceiveWait } from './receive-line.ts';
import { Wait, waitCancelled } from './wait.ts';
import type { ReceiveStream, SendStream, SendStreamEvents } from '../transport/index.ts';
import type { LaneCounters } from './metrics.ts';
import type { WaitComponents } from './wait.ts';

export interface ChannelOptions {
  /** How long to wait for credit and for the connection, or for a message. @default 30 000 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface ReceiveOptions extends ChannelOptions {
  /**
   * Where to put the message, e.g. a view of WASM memory: who uses the same memory again spares the
   * making of new memory for each message. Who waits when the message begins to arrive has it put
   * there as it comes. A longer message rejects with `memory_too_small` and stays for the next one.
   */
  readonly into?: Uint8Array;
}

/** A channel of raw bytes. */
export interface RawChannel extends Channel<Uint8Array> {
  /** As on any channel; with `into`, the part of that memory that the message takes. */
  receive(options?: ReceiveOptions): Promise<Uint8Array>;
}

/** What a channel carries, e.g. bytes; the format on the stream is `ChannelWriter`'s. */
export interface Channel<T> {
  /**
   * Resolves once there was credit and the connection has taken the message: its memory may then be
   * used again. After `deadline_exceeded` or `cancelled` it may still be on its way. Errors: those
   * two, `peer_disconnected`, `channel_removed`, `message_too_large`, `body_unencodable`, and
   * `lane_full` (too many senders wait, or too many channels send).
   */
  send(message: T, options?: ChannelOptions): Promise<void>;
  /**
   * The next message, in the order of sending; the receiver's own memory. What had arrived before a
   * disconnect, or before the other end removed the channel, comes before the error. Errors:
   * `deadline_exceeded`, `cancelled`, `peer_disconnected`, `channel_removed`, `lane_full`.
   */
  receive(options?: ChannelOptions): Promise<T>;
  /** Frees the channel at both ends. What arrives for it from now on is dropped and counted. */
  remove(): void;
}

/** Writes a message and returns its size. Throws `message_too_large`, `body_unencodable`. */
export type ChannelWriter<T> = (stream: SendStream, message: T) => number;

export interface ChannelComponents<T> extends WaitComponents {
  readonly counters: LaneCounters;
  readonly write: ChannelWriter<T>;
  readonly callTimeoutMs: number;
  /** Throws `lane_full`. */
  openStream(events: SendStreamEvents): SendStream;
  /** The stream that was opened last is over. */
  streamOver(): void;
  /** The channel is over; `byThisEnd` when the application removed it here. */
  freed(byThisEnd: boolean): void;
}

/** A stream that the other end sends on. */
interface Source {
  readonly stream: ReceiveStream;
  readonly credit: ReceiveCredit;
  open: boolean;
}

interface Received<T> {
  readonly message: T;
  readonly size: number;
  readonly source: Source;
}

/** A sender that waits, with its message. */
class SendWait<T> extends Wait<void> {
  message: T | undefined;
}

/** Messages of the streams of a channel that are open together, and of one before them. */
const MAX_RECEIVED = (MAX_CHANNEL_STREAMS + 1) * CHANNEL_CREDIT.messages;

export class LaneChannel<T> implements Channel<T> {
  readonly #components: ChannelComponents<T>;
  readonly #received = new BoundedQueue<Received<T>>(MAX_RECEIVED);
  #heldBytes = 0;
  /** Nothing is held while there are any. */
  readonly #receivers = new ReceiveLine<T, Source>();
  /** Senders that wait for credit, in order. */
  readonly #senders = new Set<SendWait<T>>();
  /** Senders whose message is written but has not left. */
  readonly #leaving = new Set<SendWait<T>>();
  #outgoing: SendStream | undefined;
  #credit = new SendCredit();
  readonly #sources = new Set<Source>();
  /** The other end removed the channel; what it sent before can still be taken. */
  #ending: FlotillaError | undefined;
  #closed: FlotillaError | undefined;
  /** True when the application of this end has asked for the channel. */
  claimed = false;

  constructor(components: ChannelComponents<T>) {
    this.#components = components;
  }

  /** Bytes of the messages that wait to be taken. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  send(message: T, options: ChannelOptions = {}): Promise<void> {
    const { counters, peer, label } = this.#components;
    const over = this.#closed ?? this.#ending;
    if (over !== undefined) return Promise.reject(over);
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(waitCancelled(this.#components, signal));
    const waits = this.#senders.size > 0 || !this.#credit.open;
    if (this.#senders.size + this.#leaving.size >= MAX_CHANNEL_WAITERS) {
      return Promise.reject(laneFull(peer, label, MAX_CHANNEL_WAITERS));
    }
    if (!waits) {
      try {
        if (this.#write(message)) return Promise.resolve();
      } catch (error) {
        return Promise.reject(error);
      }
    } else {
      counters.creditWaits++;
    }
    const line = waits ? this.#senders : this.#leaving;
    const wait = new SendWait<T>(this.#components, this.#limits(options), line);
    if (waits) wait.message = message;
    line.add(wait);
    return wait.promise;
  }

  receive(options: ReceiveOptions = {}): Promise<T> {
    const { into } = options;
    const ready = this.#received.peek();
    if (ready !== undefined) {
      if (into !== undefined && ready.size > into.length) {
        return Promise.reject(doesNotFit(ready.size, into));
      }
      this.#received.poll();
      this.#forget(ready);
      const message = this.#taken(ready);
      return Promise.resolve(into === undefined ? message : copyInto(message, into));
    }
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(waitCancelled(this.#components, signal));
    if (this.#receivers.size >= MAX_CHANNEL_WAITERS) {
      const { peer, label } = this.#components;
      return Promise.reject(laneFull(peer, label, MAX_CHANNEL_WAITERS));
    }
    const wait = new ReceiveWait<T>(this.#components, this.#limits(options), this.#receivers);
    wait.into = into;
    this.#receivers.add(wait);
    return wait.promise;
  }

  remove(): void {
    if (this.#closed !== undefined) return;
    const byThisEnd = this.#ending === undefined;
    for (const { stream } of this.#sources) stream.refuse();
    this.#sources.clear();
    this.discard();
    this.#end(this.#removedError('this end'), byThisEnd);
  }

  /** Drops what waits to be taken. */
  discard(): void {
    const { counters } = this.#components;
    for (let item = this.#received.poll(); item !== undefined; item = this.#received.poll()) {
      this.#forget(item);
      counters.drops++;
    }
  }

  /**
   * The other end opened its direction, for the first time or again after a removal. Undefined when
   * it may not: more than a channel holds still waits to be taken.
   */
  attach(stream: ReceiveStream): Source | undefined {
    if (this.#sources.size >= MAX_CHANNEL_STREAMS) {
      throw frameInvalid(`more than ${MAX_CHANNEL_STREAMS} streams of ${this.#components.label}`);
    }
    const full =
      this.#received.size >= CHANNEL_CREDIT.messages || this.#heldBytes >= CHANNEL_CREDIT.bytes;
    if (full) return undefined;
    this.#ending = undefined;
    const source = { stream, credit: new ReceiveCredit(), open: true };
    this.#sources.add(source);
    return source;
  }

  /** The other end ended its direction: it has removed the channel. */
  detach(source: Source): void {
    source.open = false;
    this.#receivers.abandon(source);
    if (this.#sources.delete(source) && this.#sources.size === 0) this.#removedThere();
  }

  /** Memory of a receiver for the message of `length` bytes that `source` is bringing. */
  lend(source: Source, length: number, withdraw: () => void): Uint8Array | undefined {
    return this.#receivers.lend(source, length, withdraw);
  }

  /** A message of `size` bytes arrived. Throws `frame_invalid` when there was no credit for it. */
  deliver(source: Source, message: T, size: number): void {
    const { counters, label } = this.#components;
    counters.receivedMessages++;
    counters.receivedBytes += size;
    if (!source.credit.arrived(size)) throw frameInvalid(`more than the credit of ${label}`);
    if (this.#closed !== undefined) {
      counters.drops++;
      return;
    }
    const item = { message, size, source };
    const receiver = this.#receivers.take(source);
    if (receiver !== undefined) {
      receiver.resolve(this.#taken(item));
      return;
    }
    this.#heldBytes += size;
    counters.depth++;
    counters.depthBytes += size;
    this.#received.offer(item);
  }

  /** The connection is over: wakes everyone who waits, now and later. */
  close(error: FlotillaError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    this.#rejectSenders(error);
    this.#receivers.reject(error);
  }

  /** True when the message has left already. */
  #write(message: T): boolean {
    const { counters, write } = this.#components;
    this.#outgoing ??= this.#open();
    const size = write(this.#outgoing, message);
    this.#credit.spend(size);
    counters.sentMessages++;
    counters.sentBytes += size;
    return this.#outgoing.queuedBytes === 0;
  }

  #open(): SendStream {
    const stream: SendStream = this.#components.openStream({
      drain: () => {
        if (this.#outgoing !== stream) return;
        for (const wait of this.#leaving) wait.resolve();
      },
      credit: (messages, bytes) => {
        if (this.#outgoing !== stream) return;
        this.#credit.grant(messages, bytes);
        this.#sendWaiting();
      },
      refused: () => {
        if (this.#outgoing === stream) this.#removedThere();
      },
    });
    return stream;
  }

  /** At once and in order, so that nobody who comes now gets before those who waited. */
  #sendWaiting(): void {
    for (const wait of this.#senders) {
      if (!this.#credit.open) return;
      try {
        if (this.#write(wait.message as T)) wait.resolve();
        else this.#leave(wait);
      } catch (error) {
        wait.reject(error);
      }
    }
  }

  #leave(wait: SendWait<T>): void {
    this.#senders.delete(wait);
    this.#leaving.add(wait);
    wait.line = this.#leaving;
    wait.message = undefined;
  }

  #taken({ source, size, message }: Received<T>): T {
    source.credit.taken(size, (messages, bytes) => {
      if (source.open) source.stream.grant(messages, bytes);
    });
    this.#finishEnding();
    return message;
  }

  #forget({ size }: Received<T>): void {
    const { counters } = this.#components;
    this.#heldBytes -= size;
    counters.depth--;
    counters.depthBytes -= size;
  }

  #removedThere(): void {
    if (this.#closed !== undefined) return;
    this.#ending ??= this.#removedError('the other end');
    this.#stopSending();
    this.#rejectSenders(this.#ending);
    this.#finishEnding();
  }

  /** The channel is over when the other end has removed it and all that it sent is taken. */
  #finishEnding(): void {
    if (this.#ending === undefined || this.#sources.size > 0 || this.#received.size > 0) return;
    this.#end(this.#ending, false);
  }

  #end(error: FlotillaError, byThisEnd: boolean): void {
    if (this.#closed !== undefined) return;
    this.#stopSending();
    this.close(error);
    this.#components.freed(byThisEnd);
  }

  /** Gives the stream up: senders whose message has not left hear so, what has left goes on. */
  #stopSending(): void {
    const stream = this.#outgoing;
    if (stream === undefined) return;
    this.#outgoing = undefined;
    this.#credit = new SendCredit();
    if (stream.queuedBytes > 0) stream.reset();
    else stream.end();
    this.#components.streamOver();
  }

  #rejectSenders(error: FlotillaError): void {
    for (const wait of this.#senders) wait.reject(error);
    for (const wait of this.#leaving) wait.reject(error);
  }

  #limits({ timeoutMs = this.#components.callTimeoutMs, signal }: ChannelOptions) {
    return { timeoutMs, signal };
  }

  #removedError(end: string): FlotillaError {
    const { peer, label } = this.#components;
    const message = `${end} removed ${label} with ${peer}`;
    return new FlotillaError('channel_removed', message, { details: { peer, channel: label } });
  }
}

/** The part of `into` that a message of raw bytes takes. */
function copyInto<T>(message: T, into: Uint8Array): T {
  if (!(message instanceof Uint8Array)) return message;
  into.set(message);
  return into.subarray(0, message.length) as T & Uint8Array;
}

export type { Source };
