// A lane's two ends on a QUIC stream of its own: the sender writes header and bytes, the reader's
// credits and its refusal come back the other way. What a link does about them is `QuicLink`'s.
import { COPY_LIMIT_BYTES, QUIC_QUEUE_BYTES, QUIC_READ_BYTES } from './defaults.ts';
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
import type { QuicStream } from './quic-binding.ts';
import type { StreamHeader } from './quic-records.ts';

/** What a sending stream tells its link. */
export interface SendOwner {
  /** It was ended or reset. */
  finished(stream: QuicSendStream): void;
  /** Runs a step for what the other end sent: what it throws ends the link. */
  deliver(step: () => void): void;
}

export class QuicSendStream implements SendStream {
  readonly id: number;
  readonly writer: QuicWriter;
  readonly #events: SendStreamEvents;
  readonly #owner: SendOwner;
  readonly #headerBytes: number;
  /** A write was told that bytes wait. */
  #waiting = false;
  #done = false;

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
    return this.#waiting ? this.writer.queuedBytes : 0;
  }

  /** Bytes written by the stream's owner. */
  get bytes(): number {
    return this.writer.bytes - this.#headerBytes;
  }

  write(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
    if (this.#done || start === end) return true;
    this.writer.write(bytes, start, end);
    const copied = end - start <= COPY_LIMIT_BYTES;
    if (!copied || this.writer.queuedBytes > QUIC_QUEUE_BYTES) this.#waiting = true;
    return !this.#waiting;
  }

  end(): void {
    if (this.#done) return;
    this.#done = true;
    this.writer.finish();
    this.#owner.finished(this);
  }

  reset(): void {
    const before = this.#done;
    this.#done = true;
    this.writer.reset();
    if (!before) this.#owner.finished(this);
  }

  /** The connection is gone. */
  fail(): void {
    this.#done = true;
    this.writer.fail();
  }

  /** The binding has opened the stream: bytes go out, the reader's signals come in. */
  async attach(stream: QuicStream): Promise<void> {
    this.writer.attach(stream);
    const collector = new ByteCollector();
    for (;;) {
      const chunk = await readChunk(stream);
      if (chunk === undefined || chunk === null) return;
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

  #drained(): void {
    if (!this.#waiting) return;
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
    if (ended === undefined) {
      // Reset before its header came: nobody has heard of it.
      if (!owner.closed) owner.advanced(this, true);
      return;
    }
    await owner.turn(ended);
    if (owner.closed) return;
    const reader = owner.announce(this);
    this.#reader ??= reader;
    let chunk = collector.take(collector.length);
    while (!owner.closed) {
      if (chunk !== undefined && chunk.length > 0) this.#deliver(chunk);
      if (owner.closed) return;
      const next = await readChunk(this.#stream);
      if (owner.closed) return;
      if (next === null || next === undefined) {
        this.#finish(next === null);
        return;
      }
      chunk = next;
    }
  }

  /** The link ended. */
  close(): void {
    this.#back.fail();
    this.#reader?.reset();
  }

  async #readHeader(collector: ByteCollector): Promise<number | undefined> {
    for (;;) {
      const chunk = await readChunk(this.#stream);
      if (chunk === undefined || chunk === null) return undefined;
      collector.push(chunk);
      let header: StreamHeader | undefined;
      this.#owner.deliver(() => {
        header = takeHeader(collector);
      });
      if (this.#owner.closed) return undefined;
      if (header === undefined) continue;
      this.id = header.id;
      this.preamble = header.preamble;
      return header.ended;
    }
  }

  #deliver(chunk: Uint8Array): void {
    this.#owner.deliver(() => this.#reader?.data(chunk, 0, chunk.length));
    this.bytes += chunk.length;
    this.#owner.advanced(this, false);
  }

  #finish(whole: boolean): void {
    this.#back.finish();
    this.#owner.deliver(() => {
      if (whole) this.#reader?.end();
      else this.#reader?.reset();
    });
    this.#owner.advanced(this, true);
  }
}

/** The next bytes; null at the end, undefined when the stream was reset or the connection broke. */
async function readChunk(stream: QuicStream): Promise<Uint8Array | null | undefined> {
  try {
    return await stream.read(QUIC_READ_BYTES);
  } catch {
    return undefined;
  }
}

/** Reads what nobody wants. */
const DISCARD: StreamReader = { data() {}, end() {}, reset() {} };
