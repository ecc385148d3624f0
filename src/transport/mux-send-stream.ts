// This end's half of a stream that shares a connection: keeps its queue and its owner's events.
// When its bytes leave is the link's decision.
import { MUX_FLAGS } from '../wire/index.ts';
import { SendQueue } from './send-queue.ts';
import type { SendStream, SendStreamEvents } from './link.ts';

/** What a stream asks of its link. */
export interface MuxSender {
  send(stream: MuxSendStream, bytes: Uint8Array, span: { start: number; end: number }): boolean;
  /** Ends a stream once its queue has left, or at once. */
  finish(stream: MuxSendStream, flag: number): void;
}

export class MuxSendStream implements SendStream {
  readonly id: number;
  readonly queue = new SendQueue();
  readonly #events: SendStreamEvents;
  readonly #link: MuxSender;
  readonly #span = { start: 0, end: 0 };
  /** Its bytes travel on the bulk socket from here on. */
  bulk = false;
  #ending = false;
  #done = false;

  constructor(id: number, events: SendStreamEvents, link: MuxSender) {
    this.id = id;
    this.#events = events;
    this.#link = link;
  }

  get queuedBytes(): number {
    return this.queue.bytes;
  }

  write(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
    if (this.#done || this.#ending || start === end) return true;
    this.#span.start = start;
    this.#span.end = end;
    return this.#link.send(this, bytes, this.#span);
  }

  end(): void {
    if (this.#done || this.#ending) return;
    this.#ending = true;
    this.#link.finish(this, MUX_FLAGS.end);
  }

  reset(): void {
    if (this.#done) return;
    this.#done = true;
    this.#link.finish(this, MUX_FLAGS.reset);
  }

  drained(): void {
    if (this.#ending) this.#link.finish(this, MUX_FLAGS.end);
    this.#events.drain?.();
  }

  credited(messages: number, bytes: number): void {
    this.#events.credit?.(messages, bytes);
  }

  refused(): void {
    this.#done = true;
    this.queue.clear();
    this.#link.finish(this, MUX_FLAGS.reset);
    this.#events.refused?.();
  }
}
