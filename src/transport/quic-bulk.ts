// The bulk sockets of a link over QUIC: those of a link over TLS (`LinkBulk`), told what differs.
// QUIC streams have no order between them, so the word that a stream moves says how many of its
// bytes went before; who reads waits for them before it takes what the bulk socket brings.
import { frameInvalid, MUX_FLAGS, readU32, writeU32 } from '../wire/index.ts';
import { BULK_MIN_BYTES, TRANSPORT_DEFAULTS } from './defaults.ts';
import { isBulkOffer, LinkBulk } from './link-bulk.ts';
import { MuxSendStream } from './mux-send-stream.ts';
import { ByteCollector } from './quic-records.ts';
import type { BulkHost, BulkSupport } from './link-bulk.ts';
import type { LinkIdentity, ReceiveStream, SendStream, StreamReader } from './link.ts';
import type { MuxSender } from './mux-send-stream.ts';
import type { QuicReceiveStream, QuicSendStream } from './quic-streams.ts';

/** How long writes left, over all links of a transport. */
export interface QuicBulkCounters {
  /** Streams that moved to a bulk socket. */
  movedStreams: number;
  /** Long writes that stayed on QUIC because there is no bulk socket to be had. */
  stayedWrites: number;
}

/** What it needs of its link. */
export interface QuicBulkOwner {
  readonly remote: LinkIdentity;
  readonly dialled: boolean;
  readonly address: string;
  readonly closed: boolean;
  /** False from the moment that the link is asked to close. */
  readonly sendsMore: boolean;
  readonly canOpenStream: boolean;
  openStream(preamble: Uint8Array, events: { refused(): void }): SendStream;
  sending(): Iterable<QuicSendStream>;
  receiving(id: number): QuicReceiveStream | undefined;
  deliver(step: () => void): void;
  /** A moved stream's end or reset was handed over. */
  finished(stream: QuicSendStream): void;
  bulkBroke(): void;
}

/** `[stream u32][bytes before u64]`; the first field is the word of a link over TLS. */
const WORD_BYTES = 12;
const STREAM_BYTES = 4;
const LOW = 2 ** 32;
const MAX_HIGH = 2 ** 21;

interface Moving {
  readonly stream: QuicSendStream;
  /** What its bytes leave by. */
  readonly half: MuxSendStream;
}

export class QuicBulk implements BulkHost, MuxSender {
  readonly #owner: QuicBulkOwner;
  readonly #bulk: LinkBulk;
  readonly #counters: QuicBulkCounters;
  /** Streams that moved and have not ended, or that may move now. */
  readonly #moving = new Map<number, Moving>();
  #asked = false;
  #refused = false;
  #idleWaiters: (() => void)[] = [];
  /** Bytes that streams of the other end have to bring over QUIC before they go on here. */
  readonly #words = new Map<number, number>();
  #offer: StreamReader | undefined;

  constructor(owner: QuicBulkOwner, support: BulkSupport, counters: QuicBulkCounters) {
    this.#owner = owner;
    this.#counters = counters;
    this.#bulk = new LinkBulk(this, support);
  }

  get remote(): LinkIdentity {
    return this.#owner.remote;
  }

  get dialled(): boolean {
    return this.#owner.dialled;
  }

  get address(): string {
    return this.#owner.address;
  }

  get closed(): boolean {
    return this.#owner.closed;
  }

  get canOpenStream(): boolean {
    return this.#owner.canOpenStream;
  }

  /** Moves a stream that has much to send, if it can; the first time it only asks for a socket. */
  lengthy(stream: QuicSendStream): void {
    if (!this.#owner.sendsMore || !stream.movable) return;
    const half = this.#prepare(stream);
    if (this.#bulk.moves(half)) {
      if (half.queuedBytes > 0) this.#bulk.ready(half);
      return;
    }
    this.#moving.delete(stream.id);
    if (this.#refused || !this.#asked) this.#counters.stayedWrites++;
  }

  /** Reads the stream with which the other end offers its bulk socket, if it is that. */
  accept(stream: ReceiveStream): StreamReader | undefined {
    if (!isBulkOffer(stream.preamble)) return undefined;
    if (this.#offer !== undefined) throw frameInvalid('a second offer of a bulk socket');
    this.#offer = this.#bulk.accept(stream);
    const collector = new ByteCollector();
    return {
      data: (bytes, start, end) => {
        collector.push(bytes.subarray(start, end));
        for (let word = collector.take(WORD_BYTES); word; word = collector.take(WORD_BYTES)) {
          this.#told(word);
        }
      },
      end() {},
      reset() {},
    };
  }

  /** A stream of the other end is further than before: perhaps as far as it goes over QUIC. */
  advanced(stream: QuicReceiveStream): void {
    const before = this.#words.get(stream.id);
    if (before === undefined || stream.bytes < before) return;
    if (stream.bytes > before) throw frameInvalid(`bytes of stream ${stream.id} behind its move`);
    this.#words.delete(stream.id);
    stream.move();
    const word = new Uint8Array(STREAM_BYTES);
    writeU32(word, 0, stream.id);
    this.#offer!.data(word, 0, STREAM_BYTES);
  }

  /** Resolves when everything that was handed over has left. */
  flushed(): Promise<void> {
    if (!this.#bulk.busy) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Ends the sending half. */
  finishAll(): void {
    this.#bulk.finish();
  }

  /** The link ended. */
  close(): void {
    this.#bulk.close();
    this.#wake();
  }

  // What a moved stream asks for.

  send(half: MuxSendStream, bytes: Uint8Array, { start, end }: { start: number; end: number }) {
    half.queue.push(bytes, start, end);
    this.#bulk.ready(half);
    return false;
  }

  finish(half: MuxSendStream, flag: number): void {
    const moving = this.#moving.get(half.id);
    if (moving === undefined) return;
    if (flag === MUX_FLAGS.reset) half.queue.clear();
    else if (half.queue.bytes > 0) return;
    this.#moving.delete(half.id);
    this.#bulk.signal(half.id, flag);
    // Told only now: an opening that waits for this end is then never behind it on the socket.
    this.#owner.finished(moving.stream);
  }

  // What `LinkBulk` asks for.

  openStream(preamble: Uint8Array, events: { refused(): void }): SendStream {
    this.#asked = true;
    return this.#owner.openStream(preamble, {
      refused: () => {
        this.#refused = true;
        this.#counters.stayedWrites += this.#lengthyStreams(BULK_MIN_BYTES).length;
        events.refused();
      },
    });
  }

  waiting(minBytes: number): readonly MuxSendStream[] {
    return this.#lengthyStreams(minBytes).map((stream) => this.#prepare(stream));
  }

  /** The word that a stream moves, on the link's own stream. */
  sendNow(own: SendStream, bytes: Uint8Array): void {
    const { stream, half } = this.#moving.get(readU32(bytes, 0))!;
    const before = stream.move(half);
    const word = new Uint8Array(WORD_BYTES);
    writeU32(word, 0, stream.id);
    writeU32(word, STREAM_BYTES, before % LOW);
    writeU32(word, 2 * STREAM_BYTES, Math.floor(before / LOW));
    own.write(word);
    this.#counters.movedStreams++;
  }

  receive(id: number, bytes: Uint8Array, { start, end }: { start: number; end: number }): void {
    if (!this.closed) this.#receiving(id).deliver(bytes, start, end);
  }

  signalled(id: number, flag: number): void {
    if (!this.closed) this.#receiving(id).finish(flag === MUX_FLAGS.end);
  }

  deliver(step: () => void): void {
    if (!this.closed) this.#owner.deliver(step);
  }

  /** Nothing waits for the bulk socket. */
  flushNow(): void {
    if (!this.#bulk.busy) this.#wake();
  }

  bulkBroke(): void {
    this.#owner.bulkBroke();
  }

  #lengthyStreams(minBytes: number): QuicSendStream[] {
    return [...this.#owner.sending()].filter(
      (stream) => stream.movable && stream.queuedBytes > minBytes,
    );
  }

  #prepare(stream: QuicSendStream): MuxSendStream {
    const half = new MuxSendStream(stream.id, { drain: stream.bulkDrained }, this);
    this.#moving.set(stream.id, { stream, half });
    return half;
  }

  #told(word: Uint8Array): void {
    const id = readU32(word, 0);
    const high = readU32(word, 2 * STREAM_BYTES);
    const before = high * LOW + readU32(word, STREAM_BYTES);
    if (high >= MAX_HIGH || this.#words.has(id)) throw frameInvalid(`a move of stream ${id}`);
    if (this.#words.size >= TRANSPORT_DEFAULTS.maxInboundStreams) {
      throw frameInvalid(`more than ${TRANSPORT_DEFAULTS.maxInboundStreams} moves that wait`);
    }
    this.#words.set(id, before);
    const stream = this.#owner.receiving(id);
    if (stream !== undefined) this.advanced(stream);
  }

  #receiving(id: number): QuicReceiveStream {
    const stream = this.#owner.receiving(id);
    if (stream === undefined) throw frameInvalid(`stream ${id} on the bulk socket is not open`);
    return stream;
  }

  #wake(): void {
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }
}
