// Cuts a stream's bytes into messages: framed `[length u64][head length u32][head][bytes]` or raw
// `[length u64][bytes]`, little-endian. Lengths meet the limits first; memory follows the bytes.
import { FIRST_PARTIAL_BYTES, PARTIAL_GROWTH, POOLED_BYTES } from './defaults.ts';
import { messageMemory } from './message-memory.ts';
import { frameInvalid, readU32, writeU32 } from './mux-frame.ts';

/** Memory that unfinished messages of one peer hold together, and the limits on one message. */
export class ReceiveBudget {
  readonly maxMessageBytes: number;
  readonly maxHeadBytes: number;
  readonly #maxPartialBytes: number;
  #held = 0;

  constructor(limits: { maxMessageBytes: number; maxHeadBytes: number; maxPartialBytes: number }) {
    this.maxMessageBytes = limits.maxMessageBytes;
    this.maxHeadBytes = limits.maxHeadBytes;
    this.#maxPartialBytes = limits.maxPartialBytes;
  }

  get heldBytes(): number {
    return this.#held;
  }

  take(bytes: number): void {
    if (this.#held + bytes > this.#maxPartialBytes) {
      throw frameInvalid(`unfinished messages beyond ${this.#maxPartialBytes} bytes`);
    }
    this.#held += bytes;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}

export interface MessageSink {
  /**
   * One message. The head is `buffer[start, end)`, valid during the call (empty on raw streams).
   * `bytes` is the receiver's own memory, to keep, at offset 0 of its buffer when over 4 KiB.
   */
  message(buffer: Uint8Array, start: number, end: number, bytes: Uint8Array | undefined): void;
  /**
   * Memory of `length` bytes that somebody lends to the raw message that is arriving: it is handed
   * over there. Asked for as bytes come, until it is lent. `withdraw` takes it back before that.
   */
  lend?(length: number, withdraw: () => void): Uint8Array | undefined;
}

const LENGTH_BYTES = 8;
const HEAD_LENGTH_BYTES = 4;
/** What precedes the head of a framed message. */
export const FRAMED_PREFIX_BYTES = LENGTH_BYTES + HEAD_LENGTH_BYTES;
/** What precedes a raw message. */
export const RAW_PREFIX_BYTES = LENGTH_BYTES;

const NOTHING = new Uint8Array(0);
const TWO_32 = 2 ** 32;

/** Writes the prefix of a framed message with `headBytes` and `bytes` beside it. */
export function writeFramedPrefix(
  target: Uint8Array,
  at: number,
  sizes: { headBytes: number; bytes: number },
): void {
  writeRawPrefix(target, at, HEAD_LENGTH_BYTES + sizes.headBytes + sizes.bytes);
  writeU32(target, at + LENGTH_BYTES, sizes.headBytes);
}

/** Writes the prefix of a raw message. */
export function writeRawPrefix(target: Uint8Array, at: number, length: number): void {
  writeU32(target, at, length % TWO_32);
  writeU32(target, at + 4, Math.floor(length / TWO_32));
}

/** A part of a message, collected across chunks, in memory of its own or in lent memory. */
class Collector {
  #buffer: Uint8Array = NOTHING;
  #length = 0;
  #filled = 0;
  /** What it has of the budget; lent memory counts as its own would, for it may have to go. */
  #held = 0;
  lent = false;

  get whole(): boolean {
    return this.#filled === this.#length;
  }

  begin(length: number): void {
    this.#length = length;
    this.#filled = 0;
  }

  /** Copies what it lacks of `bytes[start, end)`; returns where it stopped. */
  add(bytes: Uint8Array, span: { start: number; end: number }, budget: ReceiveBudget): number {
    const taken = Math.min(this.#length - this.#filled, span.end - span.start);
    if (taken === 0) return span.start;
    if (this.#filled + taken > this.#held) this.#grow(this.#filled + taken, budget);
    this.#buffer.set(bytes.subarray(span.start, span.start + taken), this.#filled);
    this.#filled += taken;
    return span.start + taken;
  }

  /** The part, whole; the collector forgets it. */
  finish(budget: ReceiveBudget): Uint8Array {
    const buffer = this.#buffer;
    budget.give(this.#held);
    this.#held = 0;
    this.#buffer = NOTHING;
    this.lent = false;
    return buffer;
  }

  /** Goes on in memory that somebody lends. */
  borrow(memory: Uint8Array): void {
    this.#move(memory);
    this.lent = true;
  }

  /** Gives lent memory back and goes on in memory of its own. */
  withdraw(): void {
    if (!this.lent) return;
    this.lent = false;
    this.#move(messageMemory.take(this.#held));
  }

  #grow(needed: number, budget: ReceiveBudget): void {
    const next = Math.max(FIRST_PARTIAL_BYTES, needed * PARTIAL_GROWTH);
    const size = Math.min(this.#length, next);
    budget.take(size - this.#held);
    this.#held = size;
    if (this.lent) return;
    const before = this.#buffer;
    this.#move(messageMemory.take(size));
    messageMemory.release(before);
  }

  #move(memory: Uint8Array): void {
    if (this.#filled > 0) memory.set(this.#buffer.subarray(0, this.#filled));
    this.#buffer = memory;
  }
}

/** Decodes the messages of one stream from chunks cut anywhere. */
export class MessageDecoder {
  readonly #sink: MessageSink;
  readonly #budget: ReceiveBudget;
  readonly #framed: boolean;
  readonly #prefixBytes: number;
  readonly #prefix = new Uint8Array(FRAMED_PREFIX_BYTES);
  #prefixFilled = 0;
  #begun = false;
  #dropped = false;
  #headLength = 0;
  #bytesLength = 0;
  readonly #head = new Collector();
  readonly #bytes = new Collector();
  /** Reused between calls of `add`, so that a chunk costs no allocation. */
  readonly #span = { start: 0, end: 0 };

  constructor(sink: MessageSink, budget: ReceiveBudget, kind: 'framed' | 'raw') {
    this.#sink = sink;
    this.#budget = budget;
    this.#framed = kind === 'framed';
    this.#prefixBytes = this.#framed ? FRAMED_PREFIX_BYTES : RAW_PREFIX_BYTES;
  }

  /** True between messages. */
  get idle(): boolean {
    return !this.#begun && this.#prefixFilled === 0;
  }

  /**
   * Feeds `bytes[start, end)`. Throws `frame_invalid`; the decoder is of no use afterwards. The
   * sink may drop it in the middle.
   */
  push(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end && !this.#dropped) {
      if (!this.#begun) {
        at = this.#readPrefix(bytes, at, end);
        if (!this.#begun) return;
        // Mostly the whole message is there: no copy but that of its bytes.
        if (this.#headLength + this.#bytesLength <= end - at) {
          at = this.#deliverWhole(bytes, at);
          continue;
        }
      }
      const span = this.#span;
      span.start = at;
      span.end = end;
      span.start = this.#head.add(bytes, span, this.#budget);
      if (!this.#bytes.lent && !this.#framed && span.start < end) this.#borrow();
      at = this.#bytes.add(bytes, span, this.#budget);
      if (this.#head.whole && this.#bytes.whole) this.#deliverCollected();
    }
  }

  /** Reads no more, and gives the memory of an unfinished message back. */
  drop(): void {
    this.#dropped = true;
    this.#head.finish(this.#budget);
    this.#bytes.finish(this.#budget);
    this.#begun = false;
    this.#prefixFilled = 0;
  }

  readonly #withdraw = (): void => this.#bytes.withdraw();

  #borrow(): void {
    const memory = this.#sink.lend?.(this.#bytesLength, this.#withdraw);
    if (memory !== undefined) this.#bytes.borrow(memory);
  }

  #readPrefix(bytes: Uint8Array, start: number, end: number): number {
    if (this.#prefixFilled === 0 && end - start >= this.#prefixBytes) {
      this.#begin(bytes, start);
      return start + this.#prefixBytes;
    }
    let at = start;
    while (at < end && this.#prefixFilled < this.#prefixBytes) {
      this.#prefix[this.#prefixFilled++] = bytes[at++]!;
    }
    if (this.#prefixFilled === this.#prefixBytes) {
      this.#prefixFilled = 0;
      this.#begin(this.#prefix, 0);
    }
    return at;
  }

  #begin(prefix: Uint8Array, at: number): void {
    const length = readU32(prefix, at) + readU32(prefix, at + 4) * TWO_32;
    const { maxMessageBytes, maxHeadBytes } = this.#budget;
    if (length > maxMessageBytes + (this.#framed ? HEAD_LENGTH_BYTES : 0)) {
      throw frameInvalid(`a message of ${length} bytes (the limit is ${maxMessageBytes})`);
    }
    this.#headLength = 0;
    this.#bytesLength = length;
    if (this.#framed) {
      const head = readU32(prefix, at + LENGTH_BYTES);
      if (length < HEAD_LENGTH_BYTES || head > length - HEAD_LENGTH_BYTES || head > maxHeadBytes) {
        throw frameInvalid(`a head of ${head} bytes in a message of ${length}`);
      }
      this.#headLength = head;
      this.#bytesLength = length - HEAD_LENGTH_BYTES - head;
    }
    this.#begun = true;
    this.#head.begin(this.#headLength);
    this.#bytes.begin(this.#bytesLength);
  }

  #deliverWhole(buffer: Uint8Array, at: number): number {
    const headEnd = at + this.#headLength;
    const messageEnd = headEnd + this.#bytesLength;
    this.#begun = false;
    let bytes: Uint8Array | undefined;
    if (this.#bytesLength > 0) {
      // Small ones come out of Node's pool, 8-byte aligned; others get memory of their own.
      const length = this.#bytesLength;
      if (!this.#framed) bytes = this.#sink.lend?.(length, this.#withdraw);
      bytes ??= length <= POOLED_BYTES ? Buffer.allocUnsafe(length) : messageMemory.take(length);
      bytes.set(buffer.subarray(headEnd, messageEnd));
    }
    this.#sink.message(buffer, at, headEnd, bytes);
    return messageEnd;
  }

  #deliverCollected(): void {
    const head = this.#head.finish(this.#budget);
    const bytes = this.#bytes.finish(this.#budget);
    this.#begun = false;
    this.#sink.message(head, 0, head.length, bytes.length > 0 ? bytes : undefined);
  }
}
