// One request of a client: what its caller holds and is told. The connection that carries it is in
// `client-connection.ts`, and which one that is in `http-client.ts`.
import type { FlotillaError } from '../core/index.ts';
import type { HeaderBlock, HeaderFields, HeaderList } from './header-fields.ts';

export interface RequestOptions {
  /** `http://HOST:PORT` or `https://HOST:PORT`. */
  readonly origin: string;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: HeaderList;
  /** The whole body, or `'stream'`: then `write` and `end` of the request are its. @default none */
  readonly body?: Uint8Array | 'stream';
  /**
   * May be sent twice when a kept connection turns out to be closed before any byte of the answer.
   * Without it the caller gets `http_connection_lost` and decides.
   * @default by method (RFC 9110 9.2.2)
   */
  readonly isIdempotent?: boolean;
}

/** What a caller is told: `onHead`, then data, then one end; or `onError` once at any time. */
export interface ResponseSink {
  onHead(status: number, headers: HeaderFields): void;
  /** The chunk is the sink's to keep. False pauses reading until `resume`. */
  onData(chunk: Buffer): boolean;
  onEnd(): void;
  /**
   * `http_connect_failed`: nothing was sent. `http_connection_lost`, `http_timeout`,
   * `http_malformed`, ...: the origin may have done what it was asked. Not called after `abort`.
   */
  onError(error: FlotillaError): void;
  /** A streamed body may go on after `write` returned false. */
  onDrain?(): void;
}

export interface ClientRequest {
  /** Gives the request up and closes its connection. Nothing is called afterwards. */
  abort(): void;
  resume(): void;
  /** Of a streamed body. False: wait for `onDrain`. */
  write(chunk: Uint8Array): boolean;
  end(chunk?: Uint8Array): void;
}

/** The connection of a request under way. */
export interface RequestCarrier {
  abort(): void;
  resume(): void;
  write(chunk: Uint8Array): boolean;
  end(): void;
}

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

export class PendingRequest implements ClientRequest {
  readonly options: RequestOptions;
  readonly block: HeaderBlock;
  readonly sink: ResponseSink;
  carrier: RequestCarrier | undefined;
  /** Settled or aborted: its sink hears no more. */
  isOver = false;
  isBodySent: boolean;

  constructor(options: RequestOptions, block: HeaderBlock, sink: ResponseSink) {
    this.options = options;
    this.block = block;
    this.sink = sink;
    this.isBodySent = options.body !== 'stream';
  }

  /** Whether it may go out again on another connection. */
  get isRepeatable(): boolean {
    const { isIdempotent, method, body } = this.options;
    return body !== 'stream' && (isIdempotent ?? IDEMPOTENT.has(method));
  }

  abort(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.carrier?.abort();
  }

  resume(): void {
    if (!this.isOver) this.carrier?.resume();
  }

  write(chunk: Uint8Array): boolean {
    if (this.isOver || this.isBodySent) return true;
    return this.carrier?.write(chunk) ?? true;
  }

  end(chunk?: Uint8Array): void {
    if (this.isOver || this.isBodySent) return;
    if (chunk !== undefined) this.write(chunk);
    this.isBodySent = true;
    this.carrier?.end();
  }

  failed(error: FlotillaError): void {
    if (this.isOver) return;
    this.isOver = true;
    this.sink.onError(error);
  }
}
