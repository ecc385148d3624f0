// A lane's two ends on a QUIC stream of its own: the sender writes header and bytes, the reader's
// credits and its refusal come back the other way. What a link does about them is `QuicLink`'s.
import { BULK_MIN_BYTES, COPY_LIMIT_BYTES, QUIC_QUEUE_BYTES, QUIC_READ_BYTES } from './defaults.ts';
import { isStreamReset } from './quic-binding.ts';
import {
  ByteCollector,
  CREDIT_SIGNAL,
  encodeHeader,
  encodeSignal,
  REFUSE_SIGNAL,
  SIGNAL_BYTES,
  takeHeader,
} from './quic-records.ts';
import { QuicWriter } from './quic-writer.ts';
import { frameInvalid, readU32 } from '../wire/index.ts';
import type { ReceiveStream, SendStream, SendStreamEvents, StreamReader } from './link.ts';
import type { MuxSendStream } from './mux-send-stream.ts';
import type { QuicStream } from './quic-binding.ts';
import type { StreamHeader } from './quic-records.ts';

/** What a sending stream tells its link. */
export interface SendOwner {
  /** Its end or its reset was handed over. */
  finished(stream: QuicSendStream): void;
  /** It has much to send: it may be moved to a bulk socket. */
  lengthy(stream: QuicSendStream): void;
  /** Runs a step for what the other end sent: what it throws ends the link. */
  deliver(step: () => void): void;
}

export class QuicSendStream implements SendStream {
  readonly id: number;
  readonly writer: QuicWriter;
  readonly #events: SendStreamEvents;
  readonly #owner: SendOwner;
  readonly #headerBytes: number;
  /** What takes its bytes to the bulk socket, once it has moved there. */
  #moved: MuxSendStream | undefined;
  /** Bytes of it are on their way to the bulk socket. */
  #onBulk = false;
  /** A write was told that bytes wait. */
  #waiting = false;
  #done = false;
  #bytes = 0;

  constructor(header: StreamHeader, events: SendStreamEvents, owner: SendOwner) {
    this.id = header.id;
    this.#events = events;
    this.#owner = owner;
    this.writer = new QuicWriter({ drained: () => this.#drained() });
    const bytes = encodeHeader(header);
    this.#headerBytes = bytes.length;
    this.writer.write(bytes, 0, bytes.length);
  }

  get queuedBytes(): number {
    if (!this.#waiting) return 0;
    return this.writer.queuedBytes + (this.#moved?.queuedBytes ?? 0);
  }

  /** Bytes written by the stream's owner. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True while it may still be moved: its header is on its way, its end is not. */
  get movable(): boolean {
    return this.#moved === undefined && this.writer.begun && !this.#done;
  }

  write(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
    if (this.#done || start === end) return true;
    this.#bytes += end - start;
    if (end - start > BULK_MIN_BYTES && this.#moved === undefined) this.#owner.lengthy(this);
    if (this.#moved !== undefined) {
      this.#waiting = true;
      this.#onBulk = true;
      return this.#moved.write(bytes, start, end);
    }
    this.writer.write(bytes, start, end);
    const copied = end - start <= COPY_LIMIT_BYTES;
    if (!copied || this.writer.queuedBytes > QUIC_QUEUE_BYTES) this.#waiting = true;
    return !this.#waiting;
  }

  end(): void {
    if (this.#done) return;
    this.#done = true;
    if (this.#moved !== undefined) {
      this.#moved.end();
      return;
    }
    this.writer.finish();
    this.#owner.finished(this);
  }

  reset(): void {
    const before = this.#done;
    this.#done = true;
    if (this.#moved !== undefined) {
      this.#moved.reset();
      return;
    }
    this.writer.reset();
    if (!before) this.#owner.finished(this);
  }

  /** The connection is gone, or the link: nothing more is sent. */
  fail(): void {
    this.#done = true;
    this.writer.fail();
  }

  /** From here on its bytes leave by `to`. Returns how many went before. */
  move(to: MuxSendStream): number {
    this.#moved = to;
    this.writer.detach(to.queue);
    this.#onBulk = to.queuedBytes > 0;
    return this.writer.bytes - this.#headerBytes;
  }

  /** The binding has opened the stream: bytes go out, the reader's signals come in. */
  async attach(stream: QuicStream): Promise<void> {
    this.writer.attach(stream);
    if (this.writer.queuedBytes > BULK_MIN_BYTES) this.#owner.lengthy(this);
    const collector = new ByteCollector();
    for (;;) {
      const chunk = await readChunk(stream);
      if (typeof chunk === 'string') {
        // The reader has read all that came on the bulk socket: this stream's end means nothing.
        if (this.#moved !== undefined && chunk === 'end') this.writer.finish();
        return;
      }
      collector.push(chunk);
      for (let signal = collector.take(SIGNAL_BYTES); signal !== undefined; ) {
        const [kind, messages, bytes] = [signal[0]!, readU32(signal, 1), readU32(signal, 5)];
        this.#owner.deliver(() => this.#signalled(kind, messages, bytes));
        signal = collector.take(SIGNAL_BYTES);
      }
    }
  }

  #signalled(kind: number, messages: number, bytes: number): void {
    if (kind === CREDIT_SIGNAL) {
      this.#events.credit?.(messages, bytes);
    } else if (kind === REFUSE_SIGNAL) {
      this.reset();
      this.#events.refused?.();
    } else {
      throw frameInvalid(`the unknown signal ${kind}`);
    }
  }

  /** The bulk socket has taken what waited. */
  readonly bulkDrained = (): void => {
    this.#onBulk = false;
    this.#drained();
  };

  #drained(): void {
    if (!this.#waiting || this.writer.queuedBytes > 0 || this.#onBulk) return;
    this.#waiting = false;
    this.#events.drain?.();
  }
}

/** What a receiving stream needs of its link. */
export interface ReceiveOwner {
  readonly closed: boolean;
  /** Resolves when this many streams of the other end have been delivered to their end. */
  turn(ended: number): Promise<void>;
  /** Who reads the stream; undefined when the link ended over it. */
  announce(stream: QuicReceiveStream): StreamReader | undefined;
  /** Runs a reader's step: what it throws ends the link. */
  deliver(step: () => void): void;
  /** Bytes were delivered, or the end. */
  advanced(stream: QuicReceiveStream, ended: boolean): void;
}

export class QuicReceiveStream implements ReceiveStream {
  id = 0;
  preamble: Uint8Array = new Uint8Array(0);
  /** Bytes delivered so far. */
  bytes = 0;
  readonly #stream: QuicStream;
  readonly #owner: ReceiveOwner;
  readonly #back = new QuicWriter();
  #reader: StreamReader | undefined;
  /** The rest of it comes on the bulk socket. */
  #moved = false;

  constructor(stream: QuicStream, owner: ReceiveOwner) {
    this.#stream = stream;
    this.#owner = owner;
    this.#back.attach(stream);
  }

  // Bound, so that whoever reads may pass them on.
  readonly grant = (messages: number, bytes: number): void => {
    this.#back.write(encodeSignal(CREDIT_SIGNAL, messages, bytes), 0, SIGNAL_BYTES);
  };

  readonly refuse = (): void => {
    if (this.#reader === DISCARD) return;
    this.#reader = DISCARD;
    this.#back.write(encodeSignal(REFUSE_SIGNAL), 0, SIGNAL_BYTES);
  };

  /** Reads the stream to its end; a refused one too, so that the sender's reset is noticed. */
  async run(): Promise<void> {
    const owner = this.#owner;
    const collector = new ByteCollector();
    const ended = await this.#readHeader(collector);
    if (ended === undefined) return;
    await owner.turn(ended);
    if (owner.closed) return;
    const reader = owner.announce(this);
    this.#reader ??= reader;
    if (owner.closed) return;
    owner.advanced(this, false);
    let chunk: Uint8Array | 'end' | 'reset' | 'gone' = collector.take(collector.length)!;
    while (!owner.closed) {
      if (typeof chunk === 'string') {
        this.#over(chunk);
        return;
      }
      if (chunk.length > 0) this.#arrived(chunk);
      if (owner.closed) return;
      chunk = await readChunk(this.#stream);
    }
  }

  /** The rest comes on the bulk socket, through `deliver` and `finish`. */
  move(): void {
    this.#moved = true;
  }

  deliver(bytes: Uint8Array, start: number, end: number): void {
    this.#reader?.data(bytes, start, end);
    this.bytes += end - start;
    this.#owner.advanced(this, false);
  }

  finish(whole: boolean): void {
    this.#back.finish();
    if (whole) this.#reader?.end();
    else this.#reader?.reset();
    this.#owner.advanced(this, true);
  }

  /** The link ended. */
  close(): void {
    this.#back.fail();
    this.#reader?.reset();
  }

  async #readHeader(collector: ByteCollector): Promise<number | undefined> {
    const owner = this.#owner;
    for (;;) {
      const chunk = await readChunk(this.#stream);
      if (typeof chunk === 'string') {
        // Reset before its header came: nobody has heard of it.
        if (chunk !== 'gone' && !owner.closed) owner.advanced(this, true);
        return undefined;
      }
      collector.push(chunk);
      let header: StreamHeader | undefined;
      owner.deliver(() => {
        header = takeHeader(collector);
      });
      if (owner.closed) return undefined;
      if (header === undefined) continue;
      this.id = header.id;
      this.preamble = header.preamble;
      return header.ended;
    }
  }

  #arrived(chunk: Uint8Array): void {
    this.#owner.deliver(() => {
      if (this.#moved) throw frameInvalid(`bytes of stream ${this.id} behind its move`);
      this.deliver(chunk, 0, chunk.length);
    });
  }

  /** Nothing follows here. With the connection, the link ends, and the stream with it. */
  #over(how: 'end' | 'reset' | 'gone'): void {
    if (this.#moved || how === 'gone') return;
    this.#owner.deliver(() => this.finish(how === 'end'));
  }
}

/** The next bytes, or why there are none: an end, a reset, or a connection that is gone. */
async function readChunk(stream: QuicStream): Promise<Uint8Array | 'end' | 'reset' | 'gone'> {
  try {
    return (await stream.read(QUIC_READ_BYTES)) ?? 'end';
  } catch (error) {
    return isStreamReset(error) ? 'reset' : 'gone';
  }
}

/** Reads what nobody wants. */
const DISCARD: StreamReader = { data() {}, end() {}, reset() {} };
