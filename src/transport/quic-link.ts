// A link over a QUIC connection: every stream is a QUIC stream, so that a lost packet holds up its
// own stream only. Owns both ends' stream tables, the order of ends and openings, and the close.
import { FlotillaError } from '../core/index.ts';
import { frameInvalid } from '../wire/index.ts';
import { decodeReason, encodeReason } from './close-reason.ts';
import { QUIC_READ_BYTES, TRANSPORT_DEFAULTS } from './defaults.ts';
import { isBulkOffer } from './link-bulk.ts';
import { QuicBulk } from './quic-bulk.ts';
import { ByteCollector, decodeClose, encodeRecord, takeRecord } from './quic-records.ts';
import { QuicReceiveStream, QuicSendStream } from './quic-streams.ts';
import { QuicWriter } from './quic-writer.ts';
import type { Clock } from '../core/index.ts';
import type { BulkSupport } from './link-bulk.ts';
import type { Link, LinkHandlers, LinkIdentity, SendStream, SendStreamEvents } from './link.ts';
import type { StreamReader } from './link.ts';
import type { QuicConnection, QuicStream } from './quic-binding.ts';
import type { QuicBulkCounters, QuicBulkOwner } from './quic-bulk.ts';
import type { CloseRecord } from './quic-records.ts';
import type { ReceiveOwner, SendOwner } from './quic-streams.ts';

/** The connection's first stream: proofs of identity, then how the connection ends. */
export class QuicControl {
  readonly writer = new QuicWriter();
  readonly #stream: QuicStream;
  readonly #collector = new ByteCollector();

  constructor(stream: QuicStream) {
    this.#stream = stream;
    this.writer.attach(stream);
  }

  send(record: object): void {
    const bytes = encodeRecord(record);
    this.writer.write(bytes, 0, bytes.length);
  }

  /** The next record; undefined at the end. Throws `frame_invalid`; rejects when it broke. */
  async read(): Promise<unknown> {
    for (;;) {
      const record = takeRecord(this.#collector);
      if (record !== undefined) return record;
      const chunk = await this.#stream.read(QUIC_READ_BYTES);
      if (chunk === null) return undefined;
      this.#collector.push(chunk);
    }
  }
}

/** What makes bulk sockets, and counts what they carry. */
export interface QuicBulkSupport {
  readonly support: BulkSupport;
  readonly counters: QuicBulkCounters;
}

export interface QuicLinkComponents {
  readonly connection: QuicConnection;
  readonly control: QuicControl;
  /** Without it everything goes over QUIC. */
  readonly bulk?: QuicBulkSupport | undefined;
  readonly remote: LinkIdentity;
  readonly dialled: boolean;
  readonly address: string;
  readonly clock: Clock;
}

export class QuicLink implements Link, SendOwner, ReceiveOwner, QuicBulkOwner {
  readonly remote: LinkIdentity;
  readonly dialled: boolean;
  readonly address: string;
  readonly #connection: QuicConnection;
  readonly #control: QuicControl;
  readonly #clock: Clock;
  readonly #bulk: QuicBulk | undefined;
  readonly #sending = new Map<number, QuicSendStream>();
  /** Ended or reset streams whose end is not handed over yet. */
  readonly #finishing = new Set<QuicSendStream>();
  readonly #receiving = new Map<number, QuicReceiveStream>();
  /** Streams that wait for earlier ends, in any order. */
  #turns: { ended: number; resolve: () => void }[] = [];
  #nextStream = 1;
  /** Streams that this end has ended or reset; streams of the other end read to their end. */
  #endedCount = 0;
  #readCount = 0;
  #handlers: LinkHandlers | undefined;
  #state: 'open' | 'closing' | 'ended' | 'closed' = 'open';
  #pendingClose: CloseRecord | undefined;
  #reason: FlotillaError | undefined;
  #closeWaiters: (() => void)[] = [];

  constructor(components: QuicLinkComponents) {
    this.remote = components.remote;
    this.dialled = components.dialled;
    this.address = components.address;
    this.#connection = components.connection;
    this.#control = components.control;
    this.#clock = components.clock;
    const { bulk } = components;
    this.#bulk = bulk && new QuicBulk(this, bulk.support, bulk.counters);
  }

  get closed(): boolean {
    return this.#state === 'ended' || this.#state === 'closed';
  }

  get sendsMore(): boolean {
    return this.#state === 'open';
  }

  get canOpenStream(): boolean {
    return this.#sending.size < TRANSPORT_DEFAULTS.maxInboundStreams;
  }

  open(handlers: LinkHandlers): void {
    this.#handlers = handlers;
    void this.#connection.closed().then(() => this.#gone());
    void this.#readControl();
    void this.#accept();
  }

  openStream(preamble: Uint8Array, events: SendStreamEvents = {}): SendStream {
    const header = { id: this.#nextStream++, ended: this.#endedCount, preamble };
    const stream = new QuicSendStream(header, events, this);
    if (this.#state !== 'open') {
      stream.fail();
      return stream;
    }
    this.#sending.set(stream.id, stream);
    // A rejection means that the connection is gone, which `closed` tells.
    this.#connection.outboundStream().then(
      (opened) => stream.attach(opened),
      () => stream.fail(),
    );
    return stream;
  }

  close(reason: FlotillaError): Promise<void> {
    if (this.#state === 'closed') return Promise.resolve();
    if (this.#state === 'open') {
      this.#state = 'closing';
      this.#reason = reason;
      void this.#closeAfterFlush(reason);
    }
    return new Promise((resolve) => this.#closeWaiters.push(resolve));
  }

  destroy(reason: FlotillaError): void {
    if (this.closed) return;
    this.#sendClose(reason, true);
    // Not reset: that might be read before the reason, and looks like the streams' own ends.
    for (const stream of [...this.#sending.values(), ...this.#finishing]) stream.fail();
    this.#end(reason);
  }

  finished(stream: QuicSendStream): void {
    if (!this.#sending.delete(stream.id)) return;
    this.#endedCount++;
    this.#finishing.add(stream);
    void stream.writer.flushed().then(() => this.#finishing.delete(stream));
  }

  lengthy(stream: QuicSendStream): void {
    this.#bulk?.lengthy(stream);
  }

  sending(): Iterable<QuicSendStream> {
    return this.#sending.values();
  }

  receiving(id: number): QuicReceiveStream | undefined {
    return this.#receiving.get(id);
  }

  /** What was on its way on the bulk socket is lost: so is the link. */
  bulkBroke(): void {
    this.#connection.abort();
  }

  turn(ended: number): Promise<void> {
    if (this.#readCount >= ended) return Promise.resolve();
    return new Promise((resolve) => this.#turns.push({ ended, resolve }));
  }

  announce(stream: QuicReceiveStream): StreamReader | undefined {
    let reader: StreamReader | undefined;
    this.deliver(() => {
      const { maxInboundStreams } = TRANSPORT_DEFAULTS;
      if (this.#receiving.has(stream.id)) throw frameInvalid(`stream ${stream.id} twice`);
      if (this.#receiving.size >= maxInboundStreams) {
        throw frameInvalid(`more than ${maxInboundStreams} streams`);
      }
      this.#receiving.set(stream.id, stream);
      reader = this.#readerOf(stream);
    });
    return reader;
  }

  #readerOf(stream: QuicReceiveStream): StreamReader {
    const { preamble } = stream;
    if (this.#bulk === undefined && isBulkOffer(preamble)) {
      stream.refuse();
      return { data() {}, end() {}, reset() {} };
    }
    return this.#bulk?.accept(stream) ?? this.#handlers!.stream(stream);
  }

  deliver(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      this.destroy(error);
    }
  }

  advanced(stream: QuicReceiveStream, ended: boolean): void {
    if (ended) {
      this.#receiving.delete(stream.id);
      this.#readCount++;
      const due = this.#turns.filter((turn) => turn.ended <= this.#readCount);
      this.#turns = this.#turns.filter((turn) => turn.ended > this.#readCount);
      for (const { resolve } of due) resolve();
    } else if (this.#bulk !== undefined) this.deliver(() => this.#bulk!.advanced(stream));
    if (this.#pendingClose !== undefined) this.#closeWhenRead(this.#pendingClose);
  }

  async #accept(): Promise<void> {
    for (;;) {
      let stream: QuicStream;
      try {
        stream = await this.#connection.inboundStream();
      } catch {
        return;
      }
      if (this.closed) return;
      void new QuicReceiveStream(stream, this).run();
    }
  }

  async #readControl(): Promise<void> {
    try {
      const record = await this.#control.read();
      if (record === undefined) return;
      const close = decodeClose(record);
      if (close === undefined) throw frameInvalid('a record that is no close');
      this.#closing(close);
    } catch (error) {
      // What the binding rejects with means that the connection is gone, which `closed` tells.
      if (error instanceof FlotillaError) this.destroy(error);
    }
  }

  /** The other end closes: what it sent before is read first. */
  #closing(close: CloseRecord): void {
    if (this.closed) this.#connection.abort();
    else if (close.now) this.#endAndAbort(close);
    else {
      this.#pendingClose = close;
      this.#abortLater();
      this.#closeWhenRead(close);
    }
  }

  #closeWhenRead(close: CloseRecord): void {
    if (this.closed || this.#readCount < close.ended) return;
    const read = ([id, bytes]: readonly [number, number]) =>
      (this.#receiving.get(id)?.bytes ?? -1) >= bytes;
    if (close.streams.every(read)) this.#endAndAbort(close);
  }

  #endAndAbort(close: CloseRecord): void {
    this.#end(decodeReason(close.reason));
    this.#connection.abort();
  }

  async #closeAfterFlush(reason: FlotillaError): Promise<void> {
    const writers = [...this.#sending.values(), ...this.#finishing].map(({ writer }) => writer);
    await Promise.all(writers.map((writer) => writer.flushed()));
    await this.#bulk?.flushed();
    if (this.#state !== 'closing') return;
    this.#bulk?.finishAll();
    this.#sendClose(reason, false);
    this.#end(reason);
  }

  /** Tells the other end, which ends the connection when it has read it. */
  #sendClose(reason: FlotillaError, now: boolean): void {
    const open = now ? [] : [...this.#sending.values()];
    const streams = open.map(({ id, bytes }) => [id, bytes]);
    this.#control.send({ reason: encodeReason(reason), now, ended: this.#endedCount, streams });
    this.#control.writer.finish();
    this.#abortLater();
  }

  #abortLater(): void {
    const { closeTimeoutMs } = TRANSPORT_DEFAULTS;
    const timer = this.#clock.schedule(closeTimeoutMs, () => this.#connection.abort());
    void this.#connection.closed().then(() => timer.cancel());
  }

  /** Nothing is sent or delivered from here on. */
  #end(reason: FlotillaError): void {
    if (this.closed) return;
    this.#state = 'ended';
    this.#bulk?.close();
    const streams = [...this.#receiving.values()];
    this.#receiving.clear();
    this.#sending.clear();
    for (const { resolve } of this.#turns.splice(0)) resolve();
    for (const stream of streams) stream.close();
    this.#handlers?.closed(reason);
  }

  #gone(): void {
    const streams = [...this.#sending.values(), ...this.#finishing];
    for (const stream of streams) stream.fail();
    this.#control.writer.fail();
    const told = this.#pendingClose && decodeReason(this.#pendingClose.reason);
    this.#end(
      this.#reason ??
        told ??
        new FlotillaError('link_closed', `the connection to ${this.remote.name} broke`, {
          details: { peer: this.remote.name, address: this.address },
        }),
    );
    this.#state = 'closed';
    for (const resolve of this.#closeWaiters.splice(0)) resolve();
  }
}
