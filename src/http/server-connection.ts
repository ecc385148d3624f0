// The server's end of one connection: requests one after the other, their bodies to their readers,
// and what ends it. Bytes that nobody can take yet are held, up to a limit at which reading stops.
import { FlotillaError } from '../core/index.ts';
import { BodyDecoder } from './body-decoder.ts';
import { MAX_PIPELINED_BYTES } from './defaults.ts';
import { statusOf, timedOut } from './errors.ts';
import { ServerExchange } from './exchange.ts';
import { HeadReader } from './head-reader.ts';
import { Output } from './output.ts';
import { parseRequestHead } from './parse-head.ts';
import type { Socket } from 'node:net';
import type { Exchange, ExchangeHost } from './exchange.ts';
import type { Slab } from './output.ts';
import type { RequestHead } from './parse-head.ts';
import type { Swept } from './sweeper.ts';

/** Counts of sweeps after which something has taken too long. */
export interface SweepLimits {
  readonly head: number;
  readonly idle: number;
  readonly body: number;
  readonly linger: number;
}

/** What a connection asks of its server. */
export interface ConnectionHost {
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
  readonly headTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly sweeps: SweepLimits;
  readonly slab: Slab;
  readonly dateLine: string;
  readonly isStopping: boolean;
  handle(exchange: Exchange): void;
  /** False for a request that another server is to serve. */
  takes(method: string, target: string): boolean;
  /** The connection belongs to another server from now on. */
  handOver(connection: ServerConnection, socket: Socket): void;
  closed(connection: ServerConnection): void;
}

export class ServerConnection implements ExchangeHost, Swept {
  readonly output: Output;
  readonly #host: ConnectionHost;
  readonly #socket: Socket;
  readonly #reader: HeadReader;
  readonly #decoder = new BodyDecoder();
  #remoteAddress: string | undefined;
  #exchange: ServerExchange | undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #isConsuming = false;
  #isBodyPaused = false;
  /** The last answer is out; what still comes is dropped until the client closes. */
  #isLingering = false;
  #isClosed = false;
  /** A body broke a rule, so nothing after it can be understood. */
  #isBroken = false;
  /** Sweeps since bytes came, since a head began, and since bytes left. */
  #quietSweeps = 0;
  #headSweeps = 0;
  #stuckSweeps = 0;
  #unsentBytes = 0;

  readonly #onData = (chunk: Buffer) => this.#receive(chunk);
  readonly #onEnd = () => this.#ended();
  readonly #onError = (error: Error) => this.#clientGone(`reset its connection: ${error.message}`);
  readonly #onClose = () => this.#clientGone('closed its connection');
  readonly #onDrain = () => this.#drained();

  constructor(host: ConnectionHost, socket: Socket) {
    this.#host = host;
    this.#socket = socket;
    this.output = new Output(socket, host.slab);
    this.#reader = new HeadReader({ maxBytes: host.maxHeadBytes, isRequest: true });
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    socket.on('drain', this.#onDrain);
  }

  get remoteAddress(): string {
    this.#remoteAddress ??= this.#socket.remoteAddress ?? '';
    return this.#remoteAddress;
  }

  get isStopping(): boolean {
    return this.#host.isStopping;
  }

  get dateLine(): string {
    return this.#host.dateLine;
  }

  get isIdle(): boolean {
    return this.#exchange === undefined;
  }

  /** Closes a connection without a request now, and any other after its answer. */
  stop(): void {
    if (this.#exchange === undefined && !this.#isLingering) this.#linger();
  }

  /** Ends the connection; the exchange under way is told `reason`. */
  abort(reason: FlotillaError): void {
    const exchange = this.#exchange;
    this.#destroy();
    exchange?.abort(reason);
  }

  bodyWanted(): void {
    this.#isBodyPaused = false;
    if (this.#isConsuming) return;
    this.#release();
  }

  pauseBody(): void {
    this.#isBodyPaused = true;
    this.#socket.pause();
  }

  cut(isCloseDelimited: boolean): void {
    this.output.flush();
    // Where the end of the connection is the end of the answer, only a reset tells of the cut.
    if (!isCloseDelimited || 'encrypted' in this.#socket) this.#linger();
    else {
      this.#socket.resetAndDestroy();
      this.#destroy();
    }
  }

  answered(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#isBodyPaused = false;
    if (!exchange.keepAlive || !(exchange.decoder.isDone || exchange.canDiscardBody)) {
      this.#linger();
      return;
    }
    if (exchange.decoder.isDone) this.#exchange = undefined;
    if (!this.#isConsuming) this.#release();
  }

  sweep(): void {
    const { sweeps } = this.#host;
    this.#quietSweeps++;
    if (this.#isStuck()) {
      this.abort(timedOut('the client to take its answer', this.#host.bodyTimeoutMs));
    } else if (this.#unsentBytes === 0 && this.#isLingering) {
      if (this.#quietSweeps > sweeps.linger) this.#destroy();
    } else if (this.#exchange !== undefined) {
      this.#sweepBody(this.#exchange);
    } else if (this.#reader.isWithin) {
      if (++this.#headSweeps > sweeps.head) {
        this.#refuse(timedOut('a whole head', this.#host.headTimeoutMs));
      }
    } else if (this.#unsentBytes === 0 && this.#quietSweeps > sweeps.idle) {
      this.#destroy();
    }
  }

  /** True when no byte has left for too long though there are some. */
  #isStuck(): boolean {
    const unsent = this.output.unsentBytes;
    const isSame = unsent > 0 && unsent === this.#unsentBytes;
    this.#unsentBytes = unsent;
    if (isSame) return ++this.#stuckSweeps > this.#host.sweeps.body;
    this.#stuckSweeps = 0;
    if (unsent > 0 && this.#isLingering) this.#quietSweeps = 0;
    return false;
  }

  #sweepBody(exchange: ServerExchange): void {
    const waits = !exchange.decoder.isDone && exchange.takesBody && !this.#isBodyPaused;
    if (!waits || this.#quietSweeps <= this.#host.sweeps.body) return;
    if (exchange.isAnswered) this.#destroy();
    else exchange.bodyFailed(timedOut('the rest of a body', this.#host.bodyTimeoutMs));
  }

  #receive(chunk: Buffer): void {
    if (this.#isLingering || this.#isClosed || this.#isBroken) return;
    this.#quietSweeps = 0;
    if (this.#heldBytes > 0) this.#hold(chunk);
    else this.#consume(chunk);
  }

  /** Goes on with what was held, then with reading. */
  #release(): void {
    while (this.#heldBytes > 0 && this.#canConsume()) {
      const chunk = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held);
      this.#held = [];
      this.#heldBytes = 0;
      this.#consume(chunk);
    }
    const mayRead = !this.#isBodyPaused && this.#heldBytes <= MAX_PIPELINED_BYTES;
    if (mayRead && !this.#isClosed && this.#socket.isPaused()) this.#socket.resume();
  }

  #canConsume(): boolean {
    if (this.#isLingering || this.#isClosed) return false;
    const exchange = this.#exchange;
    // The next request waits until the client has read what it was sent before.
    if (exchange === undefined) return !this.output.isBlocked;
    return !exchange.decoder.isDone && exchange.takesBody;
  }

  #hold(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > MAX_PIPELINED_BYTES) this.#socket.pause();
  }

  #consume(chunk: Buffer): void {
    this.#isConsuming = true;
    let at = 0;
    try {
      while (at < chunk.length && this.#canConsume()) {
        at = this.#exchange === undefined ? this.#readHead(chunk, at) : this.#readBody(chunk, at);
      }
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      this.#refuse(error);
      return;
    } finally {
      this.#isConsuming = false;
    }
    if (at < chunk.length && !this.#isClosed && !this.#isLingering) {
      this.#hold(at === 0 ? chunk : chunk.subarray(at));
    }
  }

  #readHead(chunk: Buffer, at: number): number {
    const reader = this.#reader;
    if (!reader.isWithin) this.#headSweeps = 0;
    if (!reader.read(chunk, at)) return reader.next;
    const head = parseRequestHead(reader, this.#host.maxHeaders);
    if (!this.#host.takes(head.method, head.target)) {
      this.#handOver(chunk);
      return chunk.length;
    }
    const { next } = reader;
    this.#begin(head);
    return next;
  }

  #begin(head: RequestHead): void {
    const decoder = this.#decoder;
    if (head.isChunked) decoder.beginChunked();
    else decoder.beginLength(Math.max(0, head.fields.contentLength));
    const exchange = new ServerExchange(this, head, decoder);
    this.#exchange = exchange;
    this.#stuckSweeps = 0;
    this.#host.handle(exchange);
  }

  #readBody(chunk: Buffer, at: number): number {
    const decoder = this.#decoder;
    const exchange = this.#exchange!;
    const next = decoder.advance(chunk, at);
    if (decoder.to > decoder.from) exchange.receive(chunk.subarray(decoder.from, decoder.to));
    if (decoder.isDone) {
      exchange.bodyDone();
      if (exchange.isAnswered && this.#exchange === exchange) this.#exchange = undefined;
    }
    return next;
  }

  /** A broken rule: of a body, its reader answers; of a head, this does. Then reading ends. */
  #refuse(error: FlotillaError): void {
    const exchange = this.#exchange;
    if (exchange !== undefined) {
      this.#isBroken = true;
      if (exchange.isAnswered) this.#linger();
      else exchange.bodyFailed(error);
      return;
    }
    const decoder = this.#decoder;
    decoder.beginLength(0);
    const head = { method: 'GET', target: '/', minor: 1, keepAlive: false } as RequestHead;
    this.#exchange = new ServerExchange(this, head, decoder);
    this.#exchange.fail(statusOf(error), `${error.message}\n`, ['content-type', 'text/plain']);
  }

  /** Gives socket and bytes from the head on to another server. */
  #handOver(chunk: Buffer): void {
    const { bytes, start, next } = this.#reader;
    const head = bytes.subarray(start, this.#reader.end);
    const rest = chunk.subarray(next);
    const socket = this.#socket;
    this.#isClosed = true;
    this.#detach();
    socket.pause();
    socket.unshift(rest.length === 0 ? head : Buffer.concat([head, rest]));
    this.#host.handOver(this, socket);
    // What was put back is read in the next turn, when the other server listens.
    socket.resume();
  }

  /** Closes so that the client surely reads the answer (RFC 9112 9.6): reads on for a moment. */
  #linger(): void {
    this.#isLingering = true;
    this.#exchange = undefined;
    this.#held = [];
    this.#heldBytes = 0;
    this.#quietSweeps = 0;
    this.#socket.end();
    this.#socket.resume();
  }

  /** The client will send no more. Without a request under way, what was answered still leaves. */
  #ended(): void {
    if (this.#exchange !== undefined) this.#clientGone('closed its connection');
    else if (!this.#isLingering && !this.#isClosed) this.#linger();
  }

  #drained(): void {
    if (this.#exchange !== undefined) this.#exchange.drained();
    else if (!this.#isConsuming) this.#release();
  }

  #clientGone(how: string): void {
    if (this.#isClosed) return;
    const message = `the client ${how} before its answer was whole`;
    if (this.#exchange === undefined) this.#destroy();
    else this.abort(new FlotillaError('http_client_gone', message));
  }

  #detach(): void {
    const socket = this.#socket;
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
    socket.off('drain', this.#onDrain);
  }

  #destroy(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#exchange = undefined;
    this.#held = [];
    this.#heldBytes = 0;
    this.#socket.destroy();
    this.#host.closed(this);
  }
}
