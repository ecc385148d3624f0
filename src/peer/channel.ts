// One channel: both directions of a data, raw, communicator or tag lane. Messages keep their order; a
// sender without credit waits, the receive loop never does, and a disconnect wakes both.
import { BoundedQueue, FlotillaError } from '../core/index.ts';
import { frameInvalid } from '../wire/index.ts';
import { CHANNEL_CREDIT, CREDIT_SHARE } from './defaults.ts';
import type { Clock, Deadlines } from '../core/index.ts';
import type { ReceiveStream, SendStream, SendStreamEvents } from '../transport/index.ts';
import type { LaneCounters } from './metrics.ts';

export interface ChannelOptions {
  /** How long to wait for credit, or for a message. @default 30 000 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** What a channel carries, e.g. bytes; the format on the stream is `ChannelFormat`'s. */
export interface Channel<T> {
  /**
   * Resolves once the message is on its way; its bytes stay unchanged until the connection took
   * them. Errors: `deadline_exceeded`, `cancelled`, `peer_disconnected`, `channel_removed`.
   */
  send(message: T, options?: ChannelOptions): Promise<void>;
  /** The next message, in the order of sending. Errors as for `send`. */
  receive(options?: ChannelOptions): Promise<T>;
  /** Frees the channel. What arrives late is dropped and counted. */
  remove(): void;
}

export interface ChannelFormat<T> {
  /** Throws `message_too_large`, `body_unencodable`. Returns the bytes sent. */
  write(stream: SendStream, message: T): number;
  sizeOf(message: T): number;
}

export interface ChannelComponents<T> {
  readonly peer: string;
  readonly label: string;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly counters: LaneCounters;
  readonly format: ChannelFormat<T>;
  readonly callTimeoutMs: number;
  openStream(events: SendStreamEvents): SendStream;
  removed(): void;
}

interface CreditWaiter {
  readonly wake: () => void;
  readonly reject: (error: FlotillaError) => void;
}

export class LaneChannel<T> implements Channel<T> {
  readonly #components: ChannelComponents<T>;
  readonly #received = new BoundedQueue<T>(CHANNEL_CREDIT.messages);
  readonly #waiters: CreditWaiter[] = [];
  #outgoing: SendStream | undefined;
  #incoming: ReceiveStream | undefined;
  #messageCredit: number = CHANNEL_CREDIT.messages;
  #byteCredit: number = CHANNEL_CREDIT.bytes;
  #takenMessages = 0;
  #takenBytes = 0;
  #closed: FlotillaError | undefined;

  constructor(components: ChannelComponents<T>) {
    this.#components = components;
  }

  async send(message: T, options: ChannelOptions = {}): Promise<void> {
    if (this.#closed === undefined && (!this.#hasCredit() || this.#waiters.length > 0)) {
      await this.#credit(options);
    }
    if (this.#closed !== undefined) throw this.#closed;
    const { counters, format } = this.#components;
    this.#outgoing ??= this.#components.openStream({
      credit: (messages, bytes) => this.#granted(messages, bytes),
      refused: () => this.#end(this.#removedError('the other end')),
    });
    const size = format.write(this.#outgoing, message);
    this.#messageCredit--;
    this.#byteCredit -= size;
    counters.sentMessages++;
    counters.sentBytes += size;
    this.#wakeNext();
  }

  receive(options: ChannelOptions = {}): Promise<T> {
    const ready = this.#received.poll();
    if (ready !== undefined) {
      this.#taken(ready);
      return Promise.resolve(ready);
    }
    return this.#receiveLater(options);
  }

  remove(): void {
    if (this.#closed !== undefined) return;
    this.#components.removed();
    this.#incoming?.refuse();
    this.#end(this.#removedError('this end'));
    this.#outgoing?.end();
  }

  /** The other end opened its direction. */
  attach(stream: ReceiveStream): void {
    if (this.#incoming !== undefined) throw frameInvalid(`a second stream of ${this.#label()}`);
    this.#incoming = stream;
  }

  /** The other end's direction is over; it may open another. */
  detach(stream: ReceiveStream): void {
    if (this.#incoming === stream) this.#incoming = undefined;
  }

  /** A message arrived. */
  deliver(message: T): void {
    const { counters, format } = this.#components;
    counters.receivedMessages++;
    counters.receivedBytes += format.sizeOf(message);
    if (this.#closed !== undefined) counters.drops++;
    else if (!this.#received.offer(message)) throw frameInvalid(`${this.#label()} beyond its credit`);
  }

  /** Wakes everyone who waits, now and later. */
  close(error: FlotillaError): void {
    this.#end(error);
  }

  async #receiveLater({ timeoutMs, signal }: ChannelOptions): Promise<T> {
    const controller = new AbortController();
    const release = this.#limit({ timeoutMs, signal }, (error) => controller.abort(error));
    try {
      const message = await this.#received.take(controller.signal);
      this.#taken(message);
      return message;
    } finally {
      release();
    }
  }

  #credit(options: ChannelOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (action: () => void) => {
        release();
        action();
      };
      const waiter: CreditWaiter = {
        wake: () => settle(resolve),
        reject: (error) => settle(() => reject(error)),
      };
      const release = this.#limit(options, (error) => {
        const at = this.#waiters.indexOf(waiter);
        if (at >= 0) this.#waiters.splice(at, 1);
        waiter.reject(error);
      });
      if (options.signal?.aborted !== true) this.#waiters.push(waiter);
    });
  }

  /** Calls `give` up at the deadline or the signal; returns what undoes that. */
  #limit(
    { timeoutMs, signal }: { timeoutMs?: number | undefined; signal?: AbortSignal | undefined },
    giveUp: (error: FlotillaError) => void,
  ): () => void {
    const { clock, deadlines, peer, callTimeoutMs } = this.#components;
    const details = { peer, channel: this.#components.label };
    const expirable = {
      expire: () => {
        const message = `${this.#label()} did not move before the deadline`;
        giveUp(new FlotillaError('deadline_exceeded', message, { details }));
      },
    };
    const onAbort = () => {
      const cause = signal?.reason;
      const message = `the wait on ${this.#label()} was cancelled`;
      giveUp(new FlotillaError('cancelled', message, { details, cause }));
    };
    const tick = deadlines.add(expirable, clock.now() + (timeoutMs ?? callTimeoutMs));
    if (signal?.aborted) queueMicrotask(onAbort);
    signal?.addEventListener('abort', onAbort, { once: true });
    return () => {
      deadlines.remove(expirable, tick);
      signal?.removeEventListener('abort', onAbort);
    };
  }

  #hasCredit(): boolean {
    return this.#messageCredit > 0 && this.#byteCredit > 0;
  }

  #granted(messages: number, bytes: number): void {
    this.#messageCredit += messages;
    this.#byteCredit += bytes;
    this.#wakeNext();
  }

  /** One at a time: the woken sender spends its credit, then wakes the next. */
  #wakeNext(): void {
    if (this.#hasCredit()) this.#waiters.shift()?.wake();
  }

  #taken(message: T): void {
    this.#takenMessages++;
    this.#takenBytes += this.#components.format.sizeOf(message);
    const due =
      this.#takenMessages >= CHANNEL_CREDIT.messages * CREDIT_SHARE ||
      this.#takenBytes >= CHANNEL_CREDIT.bytes * CREDIT_SHARE;
    if (!due) return;
    this.#incoming?.grant(this.#takenMessages, this.#takenBytes);
    this.#takenMessages = 0;
    this.#takenBytes = 0;
  }

  #end(error: FlotillaError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    this.#received.close(error);
  }

  #label(): string {
    return `${this.#components.label} with ${this.#components.peer}`;
  }

  #removedError(end: string): FlotillaError {
    const { peer, label } = this.#components;
    const message = `${end} removed ${this.#label()}`;
    return new FlotillaError('channel_removed', message, { details: { peer, channel: label } });
  }
}
