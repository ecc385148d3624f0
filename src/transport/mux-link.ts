// A link over one byte pipe: all streams share it as frames. Owns whose turn it is, the tick's one
// write, and both ends' stream tables; bytes come and go through the pipe.
import { FlotillaError } from '../core/index.ts';
import { frameInvalid, MUX_FLAGS, MuxDecoder, readU32, writeU32 } from '../wire/index.ts';
import { decodeReason, encodeReason } from './close-reason.ts';
import {
  BULK_MIN_BYTES,
  COPY_LIMIT_BYTES,
  MAX_PREAMBLE_BYTES,
  MAX_WAITING_SIGNAL_BYTES,
  TRANSPORT_DEFAULTS,
} from './defaults.ts';
import { FrameWriter } from './frame-writer.ts';
import { isBulkOffer, LinkBulk } from './link-bulk.ts';
import { MuxSendStream } from './mux-send-stream.ts';
import type { BulkSupport } from './link-bulk.ts';
import type { MuxSender } from './mux-send-stream.ts';
import type {
  BytePipe,
  Link,
  LinkHandlers,
  LinkIdentity,
  ReceiveStream,
  SendStream,
  SendStreamEvents,
  StreamReader,
} from './link.ts';

export interface MuxLinkComponents {
  readonly pipe: BytePipe;
  /** Makes bulk sockets beside the pipe; without it everything goes over the pipe. */
  readonly bulk?: BulkSupport;
  readonly remote: LinkIdentity;
  readonly dialled: boolean;
  readonly address: string;
}

const NO_PAYLOAD = new Uint8Array(0);
const CREDIT_BYTES = 8;

export class MuxLink implements Link, MuxSender {
  readonly remote: LinkIdentity;
  readonly dialled: boolean;
  readonly address: string;
  readonly #pipe: BytePipe;
  readonly #writer: FrameWriter;
  readonly #decoder: MuxDecoder;
  readonly #sending = new Map<number, MuxSendStream>();
  readonly #receiving = new Map<number, StreamReader>();
  /** Streams that have just got something to send: served before those that keep having it. */
  readonly #fresh: MuxSendStream[] = [];
  readonly #rotation: MuxSendStream[] = [];
  #freshTurn = true;
  #nextStream = 1;
  /** The latest stream that the other end opened. */
  #lastOpened = 0;
  #handlers: LinkHandlers | undefined;
  #flushing = false;
  #state: 'open' | 'closing' | 'ended' | 'closed' = 'open';
  #reason: FlotillaError | undefined;
  #closeWaiters: (() => void)[] = [];
  /** The stream that the last bytes came on: mostly the next ones come on it too. */
  #lastStream = 0;
  #lastReader: StreamReader | undefined;
  readonly #bulk: LinkBulk | undefined;
  /** The other end's reason, while what it sent before on the bulk socket is still on its way. */
  #told: FlotillaError | undefined;

  constructor({ pipe, remote, dialled, address, bulk }: MuxLinkComponents) {
    this.#pipe = pipe;
    this.remote = remote;
    this.dialled = dialled;
    this.address = address;
    this.#writer = new FrameWriter(pipe);
    this.#bulk = bulk && new LinkBulk(this, bulk);
    this.#decoder = new MuxDecoder({
      muxData: (stream, bytes, start, end) => this.receive(stream, bytes, { start, end }),
      muxSignal: (stream, flag, payload) => this.signalled(stream, flag, payload),
    });
  }

  get closed(): boolean {
    return this.#state === 'ended' || this.#state === 'closed';
  }

  get canOpenStream(): boolean {
    return this.#sending.size < TRANSPORT_DEFAULTS.maxInboundStreams;
  }

  open(handlers: LinkHandlers): void {
    this.#handlers = handlers;
    this.#pipe.start({
      data: (bytes, start, end) => this.#feed(bytes, start, end),
      written: (owner) => {
        if (owner !== undefined) this.#writer.release(owner);
        if (this.#state === 'open' || this.#state === 'closing') this.#flush();
      },
      closed: (cause) => this.#pipeClosed(cause),
    });
  }

  openStream(preamble: Uint8Array, events: SendStreamEvents = {}): SendStream {
    const stream = new MuxSendStream(this.#nextStream++, events, this);
    if (this.#state !== 'open') return stream;
    this.#sending.set(stream.id, stream);
    this.#signal(stream.id, MUX_FLAGS.open, preamble);
    return stream;
  }

  close(reason: FlotillaError): Promise<void> {
    if (this.#state === 'closed') return Promise.resolve();
    if (this.#state === 'open') {
      this.#state = 'closing';
      this.#reason = reason;
      this.#scheduleFlush();
    }
    return new Promise((resolve) => this.#closeWaiters.push(resolve));
  }

  destroy(reason: FlotillaError): void {
    if (!this.closed) this.#finish(reason);
  }

  /** Sends bytes of a stream now when nothing of it waits and the pipe takes them, else queues. */
  send(stream: MuxSendStream, bytes: Uint8Array, span: { start: number; end: number }): boolean {
    if (this.#state !== 'open') return true;
    const { queue } = stream;
    if (stream.bulk || (span.end - span.start > BULK_MIN_BYTES && this.#bulk?.moves(stream))) {
      queue.push(bytes, span.start, span.end);
      this.#bulk?.ready(stream);
      return false;
    }
    const direct = span.end - span.start <= COPY_LIMIT_BYTES && queue.bytes === 0;
    this.#scheduleFlush();
    if (direct && !this.#writer.full) {
      this.#writer.append(stream.id, bytes, span);
      return true;
    }
    if (queue.bytes === 0) this.#fresh.push(stream);
    queue.push(bytes, span.start, span.end);
    return false;
  }

  /** Ends a stream once its queue has left, or at once. */
  finish(stream: MuxSendStream, flag: number): void {
    if (!this.#sending.has(stream.id)) return;
    if (flag === MUX_FLAGS.reset) {
      stream.queue.clear();
    } else if (stream.queue.bytes > 0) {
      return;
    }
    this.#sending.delete(stream.id);
    if (this.#state === 'open' || this.#state === 'closing') {
      if (stream.bulk) this.#bulk?.signal(stream.id, flag);
      else this.#signal(stream.id, flag, NO_PAYLOAD);
    }
  }

  waiting(minBytes: number): readonly MuxSendStream[] {
    return [...this.#sending.values()].filter(({ queue }) => queue.bytes > minBytes);
  }

  /** Sends bytes of a stream behind what the page holds, past its queue. */
  sendNow(stream: SendStream, bytes: Uint8Array): void {
    if (this.#state !== 'open') return;
    this.#writer.append(stream.id, bytes, { start: 0, end: bytes.length });
    this.#scheduleFlush();
  }

  /** Runs a step that delivers what came on the bulk socket. */
  deliver(step: () => void): void {
    if (this.closed) return;
    try {
      step();
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      this.destroy(error);
    }
  }

  /** The bulk socket went without a word, and the other one did not follow. */
  bulkBroke(): void {
    this.#pipeBroke(undefined);
  }

  /** Sends a frame about a stream of the other end. */
  #answer(stream: number, flag: number, payload: Uint8Array): void {
    if (this.#state === 'open') this.#signal(stream, flag, payload);
  }

  /** Frames with flags wait for no credit: an end that reads none of them loses the link. */
  #signal(stream: number, flag: number, payload: Uint8Array): void {
    this.#writer.signal(stream, flag, payload);
    this.#scheduleFlush();
    if (this.#writer.waitingBytes > MAX_WAITING_SIGNAL_BYTES) this.destroy(stuck(this.remote.name));
  }

  #scheduleFlush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    process.nextTick(flushLink, this);
  }

  /** Hands the tick's frames to the pipe and gives waiting streams their turns. */
  flushNow(): void {
    this.#flushing = false;
    if (this.#state === 'open' || this.#state === 'closing') this.#flush();
  }

  #flush(): void {
    const writer = this.#writer;
    for (;;) {
      if (writer.full) writer.flush();
      if (writer.full) return;
      const stream = this.#next();
      if (stream === undefined) break;
      this.#takeFragment(stream);
    }
    if (this.#state !== 'closing') writer.flush();
    else if (this.#bulk?.busy) writer.flush();
    else {
      this.#bulk?.finish();
      this.#finish(this.#reason!);
    }
  }

  /** New streams and lasting ones alternate, so that neither waits for more than one fragment. */
  #next(): MuxSendStream | undefined {
    this.#freshTurn = !this.#freshTurn;
    if (this.#freshTurn) return this.#rotation.shift() ?? this.#fresh.shift();
    return this.#fresh.shift() ?? this.#rotation.shift();
  }

  #takeFragment(stream: MuxSendStream): void {
    const { queue } = stream;
    const chunk = queue.peek();
    // Empty when it was reset while it waited; or it moved to the bulk socket.
    if (chunk === undefined || stream.bulk) return;
    const { bytes, start } = chunk;
    const count = Math.min(this.#writer.room, chunk.end - start);
    this.#writer.append(stream.id, bytes, { start, end: start + count });
    queue.consume(count);
    if (queue.bytes > 0) this.#rotation.push(stream);
    else stream.drained();
  }

  #feed(bytes: Uint8Array, start: number, end: number): void {
    this.deliver(() => this.#decoder.push(bytes, start, end));
  }

  receive(stream: number, bytes: Uint8Array, { start, end }: { start: number; end: number }) {
    if (this.closed) return;
    let reader = this.#lastReader;
    if (stream !== this.#lastStream || reader === undefined) {
      reader = this.#receiving.get(stream);
      if (reader === undefined) throw frameInvalid(`bytes on stream ${stream}, which is not open`);
      this.#lastStream = stream;
      this.#lastReader = reader;
    }
    reader.data(bytes, start, end);
  }

  signalled(stream: number, flag: number, payload: Uint8Array): void {
    if (this.closed) return;
    switch (flag) {
      case MUX_FLAGS.open:
        this.#opened(stream, payload);
        return;
      case MUX_FLAGS.end:
      case MUX_FLAGS.reset: {
        const reader = this.#receiving.get(stream);
        if (reader === undefined)
          throw frameInvalid(`an end of stream ${stream}, which is not open`);
        this.#receiving.delete(stream);
        this.#lastReader = undefined;
        if (flag === MUX_FLAGS.end) reader.end();
        else reader.reset();
        return;
      }
      case MUX_FLAGS.credit:
        if (payload.length !== CREDIT_BYTES) throw frameInvalid('a credit of the wrong size');
        this.#sending.get(stream)?.credited(readU32(payload, 0), readU32(payload, 4));
        return;
      case MUX_FLAGS.refuse:
        this.#sending.get(stream)?.refused();
        return;
      default:
        this.#told = decodeReason(payload);
        this.#afterBulk(() => this.#end(this.#told!));
    }
  }

  #opened(id: number, preamble: Uint8Array): void {
    const used = this.#pipe.reordersStreams ? this.#receiving.has(id) : id <= this.#lastOpened;
    if (used) throw frameInvalid(`stream ${id} after ${this.#lastOpened}`);
    this.#lastOpened = id;
    if (this.#receiving.size >= TRANSPORT_DEFAULTS.maxInboundStreams) {
      throw frameInvalid(`more than ${TRANSPORT_DEFAULTS.maxInboundStreams} streams`);
    }
    if (preamble.length > MAX_PREAMBLE_BYTES) throw frameInvalid('a preamble that is too long');
    let refused = false;
    const stream: ReceiveStream = {
      id,
      preamble,
      grant: (messages, bytes) => {
        const payload = new Uint8Array(CREDIT_BYTES);
        writeU32(payload, 0, messages);
        writeU32(payload, 4, bytes);
        this.#answer(id, MUX_FLAGS.credit, payload);
      },
      refuse: () => {
        if (refused || !this.#receiving.has(id)) return;
        refused = true;
        this.#receiving.set(id, DISCARD);
        this.#lastReader = undefined;
        this.#answer(id, MUX_FLAGS.refuse, NO_PAYLOAD);
      },
    };
    this.#receiving.set(id, DISCARD);
    const reader = this.#readerOf(stream);
    if (!refused) this.#receiving.set(id, reader);
  }

  #readerOf(stream: ReceiveStream): StreamReader {
    if (!isBulkOffer(stream.preamble)) return this.#handlers!.stream(stream);
    if (this.#bulk !== undefined) return this.#bulk.accept(stream);
    stream.refuse();
    return DISCARD;
  }

  /** Writes the close reason after what the pipe has, and ends. */
  #finish(reason: FlotillaError): void {
    this.#writer.signal(0, MUX_FLAGS.close, encodeReason(reason));
    this.#writer.flushAll();
    this.#end(reason);
  }

  /** Nothing is sent or delivered from here on. */
  #end(reason: FlotillaError): void {
    if (this.closed) return;
    this.#state = 'ended';
    this.#writer.clear();
    this.#lastReader = undefined;
    this.#pipe.end();
    this.#bulk?.close();
    const readers = [...this.#receiving.values()];
    this.#receiving.clear();
    this.#sending.clear();
    this.#fresh.length = 0;
    this.#rotation.length = 0;
    for (const reader of readers) reader.reset();
    this.#handlers?.closed(reason);
  }

  #pipeClosed(cause: Error | undefined): void {
    this.#afterBulk(() => {
      this.#pipeBroke(cause);
      this.#state = 'closed';
      for (const resolve of this.#closeWaiters) resolve();
      this.#closeWaiters = [];
    });
  }

  /** Runs the last steps of a closing once the bulk socket has delivered what came before it. */
  #afterBulk(step: () => void): void {
    if (this.#told === undefined || this.#bulk === undefined || this.closed) step();
    else this.#bulk.whenRead(step);
  }

  #pipeBroke(cause: Error | undefined): void {
    this.#end(
      this.#reason ??
        this.#told ??
        new FlotillaError('link_closed', `the connection to ${this.remote.name} broke`, {
          details: { peer: this.remote.name, address: this.address },
          cause,
        }),
    );
  }
}

/** Shared, so that a flush costs no closure. */
function flushLink(link: MuxLink): void {
  link.flushNow();
}

function stuck(peer: string): FlotillaError {
  const limit = MAX_WAITING_SIGNAL_BYTES;
  const message = `${peer} reads nothing; more than ${limit} bytes of short frames wait for it`;
  return new FlotillaError('link_stuck', message, { details: { peer, limit } });
}

/** Reads what nobody wants. */
const DISCARD: StreamReader = { data() {}, end() {}, reset() {} };
