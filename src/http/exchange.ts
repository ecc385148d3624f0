// One request and its answer, as a handler sees them. It frames the answer and hands out the body;
// when bytes are read, and what becomes of the connection afterwards, is for
// `server-connection.ts`.
import { STATUS_CODES } from 'node:http';
import { assert } from '../core/index.ts';
import { BodyPieces } from './body-pieces.ts';
import { MAX_DISCARDED_BYTES } from './defaults.ts';
import { answeredEarly, bodyTooLarge } from './errors.ts';
import { HeaderBlock } from './header-fields.ts';
import type { FlotillaError } from '../core/index.ts';
import type { BodyDecoder } from './body-decoder.ts';
import type { HeaderFields, HeaderList } from './header-fields.ts';
import type { Output } from './output.ts';
import type { RequestHead } from './parse-head.ts';

/** Who takes a whole body: one of the two is called, once. */
export interface BodyTaker {
  onBody(body: Buffer): void;
  /** `http_body_too_large`, `http_malformed`, `http_timeout` or `http_client_gone`. */
  onBodyFailed(error: FlotillaError): void;
}

export interface Exchange {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly target: string;
  readonly headers: HeaderFields;
  readonly remoteAddress: string;
  /** True once the answer is whole or the client is gone: nothing more can be sent. */
  readonly isOver: boolean;
  /** True once the head of the answer cannot be changed any more. */
  readonly headSent: boolean;
  /** The whole body; `taker` may be called before this returns. Once, and not beside `onBody`. */
  takeBody(maxBytes: number, taker: BodyTaker): void;
  /** The same as a promise, which rejects with what `onBodyFailed` gets. */
  body(maxBytes: number): Promise<Buffer>;
  /**
   * The body as it comes. Once `onChunk` returns false no more is read until `resumeBody`; what has
   * been read already still comes. `onEnd` is called once, with the error that cut the body short.
   */
  onBody(onChunk: (chunk: Buffer) => boolean, onEnd: (error?: FlotillaError) => void): void;
  resumeBody(): void;
  /** Sets status and fields. They leave with the first bytes of the body, or with `flushHead`. */
  respond(status: number, headers: HeaderList): void;
  flushHead(): void;
  /** False when the client is slow: wait for `onDrain`. The chunk must not change afterwards. */
  write(chunk: Uint8Array): boolean;
  /** Called each time when the client has caught up after `write` returned false. */
  onDrain(listener: () => void): void;
  end(chunk?: Uint8Array): void;
  /** Called at once, once, when the client is gone before the answer is whole. */
  onAbort(listener: (reason: FlotillaError) => void): void;
  /** An error: as an answer while there is none; once a head is out, by cutting the connection. */
  fail(status: number, body?: Uint8Array | string, headers?: HeaderList): void;
}

/** What an exchange asks of its connection. */
export interface ExchangeHost {
  readonly output: Output;
  readonly remoteAddress: string;
  readonly isStopping: boolean;
  /** `Date` field with its line end. */
  readonly dateLine: string;
  /** The body has a reader from now on. */
  bodyWanted(): void;
  pauseBody(): void;
  answered(): void;
  /** Ends the connection so that the client sees that the answer is not whole. */
  cut(isCloseDelimited: boolean): void;
}

const EMPTY = Buffer.alloc(0);
const STATUS_LINES: string[] = [];

function statusLine(status: number): string {
  STATUS_LINES[status] ??= `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
  return STATUS_LINES[status];
}

type OnChunk = (chunk: Buffer) => boolean;
type OnEnd = (error?: FlotillaError) => void;

/** Lengths of an answer's body other than a number of bytes. */
const UNKNOWN = -1;

export class ServerExchange implements Exchange {
  readonly method: string;
  readonly target: string;
  readonly headers: HeaderFields;
  readonly decoder: BodyDecoder;
  readonly #host: ExchangeHost;
  readonly #minor: number;
  /** The client waits for `100 Continue` before it sends its body. */
  #expectsContinue: boolean;
  #keepAlive: boolean;

  #onChunk: OnChunk | undefined;
  #onBodyEnd: OnEnd | undefined;
  #bodyError: FlotillaError | undefined;
  #isBodyOver = false;

  #status = 0;
  #block = HeaderBlock.EMPTY;
  #headSent = false;
  #hasNoBody = false;
  #isChunked = false;
  /** Bytes that the answer still owes its Content-Length. */
  #owed = UNKNOWN;
  #isAnswered = false;
  #abortReason: FlotillaError | undefined;
  #onAbort: ((reason: FlotillaError) => void) | undefined;
  #onDrain: (() => void) | undefined;

  constructor(host: ExchangeHost, head: RequestHead, decoder: BodyDecoder) {
    this.#host = host;
    this.method = head.method;
    this.target = head.target;
    this.headers = head.fields;
    this.decoder = decoder;
    this.#minor = head.minor;
    this.#keepAlive = head.keepAlive;
    this.#expectsContinue = head.expectsContinue && !decoder.isDone;
    this.#isBodyOver = decoder.isDone;
  }

  get remoteAddress(): string {
    return this.#host.remoteAddress;
  }

  get isOver(): boolean {
    return this.#isAnswered || this.#abortReason !== undefined;
  }

  get headSent(): boolean {
    return this.#headSent;
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** Whether what is missing of the body is little enough to be read and dropped. */
  get canDiscardBody(): boolean {
    return !this.#expectsContinue && this.decoder.missing <= MAX_DISCARDED_BYTES;
  }

  /** Whether the connection may serve another request after this one. */
  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  /** Whether body bytes can go: to a reader, or to nowhere once there is an answer. */
  get takesBody(): boolean {
    return this.#onChunk !== undefined || this.#isAnswered;
  }

  takeBody(maxBytes: number, taker: BodyTaker): void {
    if (this.headers.contentLength > maxBytes) {
      taker.onBodyFailed(bodyTooLarge(maxBytes));
      return;
    }
    let whole: Buffer = EMPTY;
    // Gathered only where the body comes in pieces.
    let pieces: BodyPieces | undefined;
    let length = 0;
    const onChunk = (chunk: Buffer) => {
      length += chunk.length;
      if (length === chunk.length) whole = chunk;
      else {
        pieces ??= new BodyPieces(whole);
        pieces.push(chunk);
      }
      if (length > maxBytes) this.#endBody(bodyTooLarge(maxBytes));
      return true;
    };
    this.onBody(onChunk, (error) => {
      if (error !== undefined) taker.onBodyFailed(error);
      else taker.onBody(pieces === undefined ? whole : pieces.whole());
    });
  }

  body(maxBytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.takeBody(maxBytes, { onBody: resolve, onBodyFailed: reject });
    });
  }

  onBody(onChunk: OnChunk, onEnd: OnEnd): void {
    assert(this.#onBodyEnd === undefined, 'a body is read once');
    this.#onBodyEnd = onEnd;
    if (this.#isBodyOver) {
      onEnd(this.#bodyError);
      return;
    }
    this.#onChunk = onChunk;
    if (this.#expectsContinue && !this.#headSent && !this.isOver) {
      this.#expectsContinue = false;
      this.#host.output.text('HTTP/1.1 100 Continue\r\n\r\n');
      this.#host.output.flush();
    }
    this.#host.bodyWanted();
  }

  resumeBody(): void {
    if (!this.#isBodyOver) this.#host.bodyWanted();
  }

  respond(status: number, headers: HeaderList): void {
    assert(status >= 200 && status <= 599, 'an answer has a final status');
    assert(!this.#headSent, 'an answer has one head');
    this.#block = HeaderBlock.from(headers);
    this.#status = status;
  }

  flushHead(): void {
    if (this.isOver || this.#headSent) return;
    this.#sendHead(this.#block.contentLength);
    this.#host.output.flushSoon();
  }

  write(chunk: Uint8Array): boolean {
    if (this.isOver) return true;
    if (!this.#headSent) this.#sendHead(this.#block.contentLength);
    this.#send(chunk);
    const { output } = this.#host;
    // Nothing can follow a whole body.
    if (this.#owed === 0) output.flush();
    else output.flushSoon();
    return !output.isBlocked;
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener;
  }

  end(chunk: Uint8Array = EMPTY): void {
    if (this.isOver) return;
    if (!this.#headSent) {
      const { contentLength } = this.#block;
      const isKnown = contentLength !== UNKNOWN || (this.method === 'HEAD' && chunk.length === 0);
      this.#sendHead(isKnown ? contentLength : chunk.length);
    }
    this.#send(chunk);
    if (this.#isChunked) this.#host.output.text('0\r\n\r\n');
    if (this.#owed > 0) {
      this.#cut();
      return;
    }
    this.#isAnswered = true;
    this.#host.output.flush();
    if (!this.#isBodyOver) this.#endBody(answeredEarly());
    this.#host.answered();
  }

  onAbort(listener: (reason: FlotillaError) => void): void {
    if (this.#abortReason !== undefined) listener(this.#abortReason);
    else this.#onAbort = listener;
  }

  fail(
    status: number,
    body: Uint8Array | string = '',
    headers: HeaderList = HeaderBlock.EMPTY,
  ): void {
    if (this.isOver) return;
    if (this.#headSent) {
      this.#cut();
      return;
    }
    this.respond(status, HeaderBlock.from(headers).withLength(UNKNOWN));
    this.end(typeof body === 'string' ? Buffer.from(body) : body);
  }

  /** A run of body bytes. */
  receive(chunk: Buffer): void {
    if (this.#onChunk?.(chunk) === false && !this.#isBodyOver) this.#host.pauseBody();
  }

  bodyDone(): void {
    this.#endBody(undefined);
  }

  /** The body broke a rule, or stopped: its reader is told, and answers. */
  bodyFailed(error: FlotillaError): void {
    this.#keepAlive = false;
    this.#endBody(error);
  }

  /** The client is gone, or the server gives it up. */
  abort(reason: FlotillaError): void {
    if (this.isOver) return;
    this.#abortReason = reason;
    this.#endBody(reason);
    this.#onAbort?.(reason);
  }

  drained(): void {
    if (!this.isOver) this.#onDrain?.();
  }

  #cut(): void {
    this.#isAnswered = true;
    if (!this.#isBodyOver) this.#endBody(answeredEarly());
    this.#host.cut(!this.#isChunked && this.#owed === UNKNOWN);
  }

  #endBody(error: FlotillaError | undefined): void {
    if (this.#isBodyOver) return;
    this.#isBodyOver = true;
    this.#bodyError = error;
    this.#onChunk = undefined;
    this.#onBodyEnd?.(error);
  }

  #sendHead(length: number): void {
    assert(this.#status > 0, 'respond comes before the first bytes');
    this.#headSent = true;
    const status = this.#status;
    const block = this.#block;
    this.#hasNoBody = this.method === 'HEAD' || status === 204 || status === 304;
    let framing = '';
    if (length >= 0) {
      if (status !== 204) framing = `content-length: ${length}\r\n`;
      if (!this.#hasNoBody) this.#owed = length;
    } else if (!this.#hasNoBody) {
      if (this.#minor === 1) {
        this.#isChunked = true;
        framing = 'transfer-encoding: chunked\r\n';
      } else {
        this.#keepAlive = false;
      }
    }
    const mayGoOn = this.#onChunk !== undefined || this.decoder.isDone || this.canDiscardBody;
    if (this.#host.isStopping || !mayGoOn) this.#keepAlive = false;
    if (!this.#keepAlive) framing += 'connection: close\r\n';
    const date = block.hasDate ? '' : this.#host.dateLine;
    this.#host.output.text(`${statusLine(status)}${block.text}${date}${framing}\r\n`);
  }

  #send(chunk: Uint8Array): void {
    const { length } = chunk;
    if (length === 0 || this.#hasNoBody) return;
    const { output } = this.#host;
    if (this.#isChunked) {
      output.text(`${length.toString(16)}\r\n`);
      output.bytes(chunk);
      output.text('\r\n');
      return;
    }
    if (this.#owed >= 0) {
      assert(length <= this.#owed, 'a body is as long as its Content-Length');
      this.#owed -= length;
    }
    output.bytes(chunk);
  }
}
