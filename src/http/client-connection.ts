// The client's end of one connection: it sends a request, takes the answer apart, and then is free
// for the next one, or closes.
import { FlotillaError, assert } from '../core/index.ts';
import { BodyDecoder } from './body-decoder.ts';
import { MAX_INFORMATIONAL } from './defaults.ts';
import { connectionLost, malformed, timedOut, unsupported } from './errors.ts';
import { HeadReader } from './head-reader.ts';
import { Output } from './output.ts';
import { parseResponseHead } from './parse-head.ts';
import type { Socket } from 'node:net';
import type { PendingRequest, RequestCarrier } from './client-request.ts';
import type { Slab } from './output.ts';
import type { ResponseHead } from './parse-head.ts';
import type { Swept } from './sweeper.ts';

/** Times of a client, and the counts of sweeps that they come to. */
export interface ClientTimes {
  readonly connectTimeoutMs: number;
  readonly headTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly connectSweeps: number;
  readonly headSweeps: number;
  readonly bodySweeps: number;
}

/** What a connection asks of its pool. */
export interface ConnectionPool {
  readonly times: ClientTimes;
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
  readonly slab: Slab;
  /** `Host` field with its line end. */
  readonly hostLine: string;
  /** Free for another request, for as long as the origin says. */
  released(connection: ClientConnection, keepAliveMs: number | undefined): void;
  closed(connection: ClientConnection): void;
  /** A kept connection was closed before it answered: the request may go out again. */
  again(request: PendingRequest): void;
}

export class ClientConnection implements RequestCarrier, Swept {
  readonly #pool: ConnectionPool;
  readonly #socket: Socket;
  readonly #output: Output;
  readonly #reader: HeadReader;
  readonly #decoder = new BodyDecoder();
  #request: PendingRequest | undefined;
  #isConnecting = true;
  #isClosed = false;
  /** Requests that it has carried before the one under way. */
  #served = 0;
  #hasAnswerBegun = false;
  #isHeadRead = false;
  #informational = 0;
  #keepAlive = false;
  #keepAliveMs: number | undefined;
  #isPaused = false;
  #isBodyChunked = false;
  #owed = -1;
  #sweeps = 0;
  #closesAfterSweeps = 0;

  constructor(pool: ConnectionPool, socket: Socket) {
    this.#pool = pool;
    this.#socket = socket;
    this.#output = new Output(socket, pool.slab);
    this.#reader = new HeadReader({ maxBytes: pool.maxHeadBytes, isRequest: false });
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => {
      this.#isConnecting = false;
      this.#sweeps = 0;
    });
    socket.on('end', () => this.#ended());
    socket.on('error', (error) => this.#lost(error));
    socket.on('close', () => this.#lost(undefined));
    socket.on('drain', () => this.#request?.sink.onDrain?.());
  }

  get isUsable(): boolean {
    return !this.#isClosed && !this.#socket.destroyed && this.#socket.writable;
  }

  send(request: PendingRequest): void {
    assert(this.#request === undefined, 'a connection carries one request at a time');
    this.#request = request;
    request.carrier = this;
    this.#hasAnswerBegun = false;
    this.#isHeadRead = false;
    this.#informational = 0;
    this.#isPaused = false;
    this.#sweeps = 0;
    const { method, path, body } = request.options;
    const { block } = request;
    let framing = '';
    this.#isBodyChunked = false;
    if (body === 'stream') {
      this.#owed = block.contentLength;
      this.#isBodyChunked = this.#owed < 0;
      framing = this.#isBodyChunked
        ? 'transfer-encoding: chunked\r\n'
        : `content-length: ${this.#owed}\r\n`;
    } else if (body !== undefined && body.length > 0)
      framing = `content-length: ${body.length}\r\n`;
    else if (method !== 'GET' && method !== 'HEAD') framing = 'content-length: 0\r\n';
    const { hostLine } = this.#pool;
    this.#output.text(`${method} ${path} HTTP/1.1\r\n${hostLine}${block.text}${framing}\r\n`);
    if (body !== undefined && body !== 'stream') this.#output.bytes(body);
    this.#output.flush();
  }

  write(chunk: Uint8Array): boolean {
    const { length } = chunk;
    if (length === 0) return true;
    const output = this.#output;
    if (this.#isBodyChunked) output.text(`${length.toString(16)}\r\n`);
    else {
      assert(length <= this.#owed, 'a body is as long as its Content-Length');
      this.#owed -= length;
    }
    output.bytes(chunk);
    if (this.#isBodyChunked) output.text('\r\n');
    output.flushSoon();
    return !output.isBlocked;
  }

  end(): void {
    if (this.#isBodyChunked) this.#output.text('0\r\n\r\n');
    else assert(this.#owed === 0, 'a body is as long as its Content-Length');
    this.#output.flush();
  }

  abort(): void {
    this.#request = undefined;
    this.#destroy();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#sweeps = 0;
    this.#socket.resume();
  }

  /** Waits in the pool, for at most so many sweeps; for none it closes. */
  rest(sweeps: number): void {
    if (sweeps === 0) this.#destroy();
    this.#sweeps = 0;
    this.#closesAfterSweeps = sweeps;
  }

  /** Ends the connection; its request, if there is one, fails with `error`. */
  fail(error: FlotillaError): void {
    const request = this.#request;
    this.#request = undefined;
    this.#destroy();
    request?.failed(error);
  }

  /** Bytes of the origin. They are used up when this returns. */
  receive(chunk: Buffer): void {
    if (this.#request === undefined) {
      // Nothing was asked: whatever this is, it must not pass for the next answer.
      this.#destroy();
      return;
    }
    this.#hasAnswerBegun = true;
    if (this.#isHeadRead) this.#sweeps = 0;
    try {
      this.#consume(chunk);
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      this.fail(error);
    }
  }

  sweep(): void {
    this.#sweeps++;
    const { times } = this.#pool;
    const request = this.#request;
    if (request === undefined) {
      if (this.#sweeps >= this.#closesAfterSweeps) this.#destroy();
    } else if (this.#isConnecting) {
      if (this.#sweeps <= times.connectSweeps) return;
      const message = `no connection to ${request.options.origin} in ${times.connectTimeoutMs} ms`;
      this.fail(this.#connectFailed(message, undefined));
    } else if (!this.#isHeadRead) {
      if (this.#sweeps > times.headSweeps && request.isBodySent) {
        this.fail(timedOut('the head of an answer', times.headTimeoutMs));
      }
    } else if (this.#sweeps > times.bodySweeps && !this.#isPaused) {
      this.fail(timedOut('the rest of an answer', times.bodyTimeoutMs));
    }
  }

  #consume(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#isClosed) {
      const request = this.#request;
      if (request === undefined) {
        this.#destroy();
        return;
      }
      if (this.#isHeadRead) at = this.#readBody(chunk, at, request);
      else at = this.#readHead(chunk, at, request);
    }
  }

  #readHead(chunk: Buffer, at: number, request: PendingRequest): number {
    const reader = this.#reader;
    if (!reader.read(chunk, at)) return reader.next;
    const { next } = reader;
    const head = parseResponseHead(reader, this.#pool.maxHeaders);
    if (head.status < 200) {
      if (head.status === 101) throw unsupported('a change of protocol', 502);
      if (++this.#informational > MAX_INFORMATIONAL) {
        throw malformed('informational answers are few', 'RFC 9110 15.2');
      }
      return next;
    }
    this.#isHeadRead = true;
    this.#sweeps = 0;
    this.#keepAlive = head.keepAlive;
    this.#keepAliveMs = head.keepAliveMs;
    this.#beginBody(head, request.options.method);
    request.sink.onHead(head.status, head.fields);
    if (this.#decoder.isDone && this.#request === request)
      this.#finish(request, next === chunk.length);
    return next;
  }

  /** RFC 9112 6.3. */
  #beginBody({ status, fields, isChunked }: ResponseHead, method: string): void {
    const decoder = this.#decoder;
    if (method === 'HEAD' || status === 204 || status === 304) decoder.beginLength(0);
    else if (isChunked) decoder.beginChunked();
    else if (fields.contentLength >= 0) decoder.beginLength(fields.contentLength);
    else decoder.beginUntilClose();
  }

  #readBody(chunk: Buffer, at: number, request: PendingRequest): number {
    const decoder = this.#decoder;
    const next = decoder.advance(chunk, at);
    if (decoder.to > decoder.from) {
      const data = Buffer.allocUnsafe(decoder.to - decoder.from);
      chunk.copy(data, 0, decoder.from, decoder.to);
      if (!request.sink.onData(data) && this.#request === request && !decoder.isDone) {
        this.#isPaused = true;
        this.#socket.pause();
      }
    }
    if (decoder.isDone && this.#request === request) this.#finish(request, next === chunk.length);
    return next;
  }

  #finish(request: PendingRequest, isLastByte: boolean): void {
    this.#request = undefined;
    const isClean = isLastByte && request.isBodySent && this.#output.unsentBytes === 0;
    if (this.#keepAlive && isClean && !this.#socket.readableEnded) {
      this.#served++;
      this.#pool.released(this, this.#keepAliveMs);
    } else {
      this.#destroy();
    }
    request.isOver = true;
    request.sink.onEnd();
  }

  #ended(): void {
    const request = this.#request;
    if (request !== undefined && this.#isHeadRead && this.#decoder.endsWithConnection) {
      this.#keepAlive = false;
      this.#finish(request, true);
      return;
    }
    this.#lost(undefined);
  }

  #lost(cause: Error | undefined): void {
    if (this.#isClosed) return;
    const request = this.#request;
    if (
      request !== undefined &&
      this.#served > 0 &&
      !this.#hasAnswerBegun &&
      request.isRepeatable
    ) {
      this.#request = undefined;
      this.#pool.again(request);
      this.#destroy();
      return;
    }
    const { origin } = request?.options ?? { origin: '' };
    const why = cause === undefined ? 'closed by the origin' : cause.message;
    if (this.#isConnecting) this.fail(this.#connectFailed(`cannot reach ${origin}: ${why}`, cause));
    else {
      const details = { origin, reused: this.#served > 0, answered: this.#hasAnswerBegun };
      const message = `the connection to ${origin} was lost: ${why}`;
      this.fail(connectionLost(message, { details, cause }));
    }
  }

  #connectFailed(message: string, cause: Error | undefined): FlotillaError {
    const reason = (cause as { code?: string } | undefined)?.code ?? '';
    return new FlotillaError('http_connect_failed', message, { details: { reason }, cause });
  }

  #destroy(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.destroy();
    this.#pool.closed(this);
  }
}
