// One direction of a QUIC stream: gathers what a tick writes, hands it to the binding one write at
// a time, and ends or resets the direction after it. What the bytes mean is its owner's.
import { QUIC_WRITE_BYTES } from './defaults.ts';
import { SendQueue } from './send-queue.ts';
import type { QuicStream } from './quic-binding.ts';

export interface QuicWriterEvents {
  /** Nothing waits any more. */
  drained?(): void;
}

export class QuicWriter {
  readonly #queue = new SendQueue();
  readonly #events: QuicWriterEvents;
  #stream: QuicStream | undefined;
  #state: 'open' | 'finishing' | 'resetting' | 'done' = 'open';
  /** A call of the binding is under way: the chunk that it reads stays at the queue's head. */
  #busy = false;
  #scheduled = false;
  #clearing = false;
  /** Bytes of the chunk at the queue's head that the binding is taking. */
  #underWay = 0;
  #begun = false;
  #waiters: (() => void)[] = [];
  #bytes = 0;

  constructor(events: QuicWriterEvents = {}) {
    this.#events = events;
  }

  /** Bytes that the binding has not taken. */
  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** Bytes written in all. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True once the binding has been given the first bytes. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Starts once the binding has opened the stream. */
  attach(stream: QuicStream): void {
    this.#stream = stream;
    this.#pump();
  }

  write(bytes: Uint8Array, start: number, end: number): void {
    if (this.#state !== 'open') return;
    this.#bytes += end - start;
    this.#queue.push(bytes, start, end);
    this.#schedule();
  }

  /** Hands what the binding has not begun to take over to another queue. */
  detach(to: SendQueue): void {
    let kept = this.#underWay;
    const head = this.#queue.peek();
    for (let chunk = head; chunk !== undefined; chunk = this.#queue.peek()) {
      const { bytes, start, end } = chunk;
      if (start + kept < end) to.push(bytes, start + kept, end);
      this.#bytes -= end - start - kept;
      this.#queue.consume(end - start);
      kept = 0;
    }
    // What is under way is taken off when the binding has it; until then only its length counts.
    if (this.#underWay > 0 && head !== undefined) this.#queue.push(head.bytes, 0, this.#underWay);
  }

  /** Ends the direction after what waits. */
  finish(): void {
    if (this.#state !== 'open') return;
    this.#state = 'finishing';
    this.#schedule();
  }

  /** Drops what waits, and voids what the other end has not read. */
  reset(): void {
    if (this.#state === 'done' || this.#state === 'resetting') return;
    this.#state = 'resetting';
    this.#clear();
    this.#schedule();
  }

  /** Resolves when nothing is left to hand over, or nothing can be any more. */
  flushed(): Promise<void> {
    if (this.#idle) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** The connection is gone. */
  fail(): void {
    this.#state = 'done';
    this.#clear();
    this.#wake();
  }

  get #idle(): boolean {
    if (this.#state === 'done') return true;
    return this.#state === 'open' && !this.#busy && this.#queue.bytes === 0;
  }

  #clear(): void {
    if (this.#busy) this.#clearing = true;
    else this.#queue.clear();
  }

  /** One write a tick: what follows in the same tick joins it. */
  #schedule(): void {
    if (this.#scheduled || this.#busy || this.#stream === undefined) return;
    this.#scheduled = true;
    process.nextTick(pumpWriter, this);
  }

  pumpNow(): void {
    this.#scheduled = false;
    this.#pump();
  }

  #pump(): void {
    const stream = this.#stream;
    if (stream === undefined || this.#busy) return;
    const chunk = this.#queue.peek();
    if (this.#state === 'resetting') {
      this.#run(stream.resetWrite(), this.#ended);
    } else if (chunk !== undefined) {
      const { bytes, start } = chunk;
      const end = Math.min(chunk.end, start + QUIC_WRITE_BYTES);
      this.#underWay = end - start;
      this.#begun = true;
      this.#run(stream.write(bytes.subarray(start, end)), this.#taken);
    } else if (this.#state === 'finishing') {
      this.#run(stream.finishWrite(), this.#ended);
    }
  }

  #run(call: Promise<void>, then: () => void): void {
    this.#busy = true;
    // A rejection means that the connection is gone, and `fail` comes too.
    call.then(then, this.#ended);
  }

  readonly #taken = (): void => {
    const count = this.#underWay;
    this.#underWay = 0;
    this.#busy = false;
    if (this.#clearing) {
      this.#clearing = false;
      this.#queue.clear();
    } else {
      this.#queue.consume(count);
    }
    if (this.#queue.bytes === 0 && this.#state !== 'done') this.#events.drained?.();
    this.#pump();
    if (this.#idle) this.#wake();
  };

  readonly #ended = (): void => {
    this.#underWay = 0;
    this.#busy = false;
    this.#state = 'done';
    this.#queue.clear();
    this.#wake();
  };

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }
}

/** Shared, so that a flush costs no closure. */
function pumpWriter(writer: QuicWriter): void {
  writer.pumpNow();
}
