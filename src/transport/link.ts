// The interface between messages and connections: a `Transport` makes links, a `Link` carries
// streams. Streams go one way, keep order within themselves and never wait for each other.
import type { FlotillaError } from '../core/index.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Who the other end proved to be. */
export interface LinkIdentity {
  readonly name: string;
  /** SHA-256 of its certificate's key, 64 hex digits: it stays when the certificate is renewed. */
  readonly fingerprint: string;
}

/** The reader of a stream that the other end opened. */
export interface StreamReader {
  /** The next bytes, `bytes[start, end)`: a view that is valid during the call. */
  data(bytes: Uint8Array, start: number, end: number): void;
  /** The sender ended the stream after its last byte. */
  end(): void;
  /** The sender gave the stream up, or the link closed. */
  reset(): void;
}

/** What the owner of a stream hears about it. */
export interface SendStreamEvents {
  /** Everything that was queued is handed to the system. */
  drain?(): void;
  /** The reader takes this much more. */
  credit?(messages: number, bytes: number): void;
  /** The reader wants no more of it; what is written from now on is dropped. */
  refused?(): void;
}

/** This end's sending half. Writing after `end`, `reset` or the link's end does nothing. */
export interface SendStream {
  readonly id: number;
  /** Bytes that wait because the connection takes no more at the moment. */
  readonly queuedBytes: number;
  /**
   * Sends `bytes[start, end)`. Up to 16 KiB are copied; longer ones are read until they left, so
   * the caller leaves them unchanged. False when bytes wait: `drain` tells when they have gone.
   */
  write(bytes: Uint8Array, start?: number, end?: number): boolean;
  end(): void;
  reset(): void;
}

/** The other end's stream, seen from its reader. */
export interface ReceiveStream {
  readonly id: number;
  /** What its opener said it carries; at most 512 bytes. */
  readonly preamble: Uint8Array;
  /** Allows the sender this much more. */
  grant(messages: number, bytes: number): void;
  /** Reads no more of it; late bytes are dropped. */
  refuse(): void;
}

export interface LinkHandlers {
  /** The other end opened a stream. What is thrown here or by the reader closes the link. */
  stream(stream: ReceiveStream): StreamReader;
  /** Nothing comes or goes any more; called once, after every reader's `reset`. */
  closed(error: FlotillaError): void;
}

/** One authenticated connection to another node. */
export interface Link {
  readonly remote: LinkIdentity;
  /** True at the end that dialled. */
  readonly dialled: boolean;
  /** Where the other end is, for people. */
  readonly address: string;
  readonly closed: boolean;
  /** Starts delivery; nothing is delivered before. */
  open(handlers: LinkHandlers): void;
  /** False when as many streams are open towards the other end as it accepts. */
  readonly canOpenStream: boolean;
  openStream(preamble: Uint8Array, events?: SendStreamEvents): SendStream;
  /** Sends what is queued, then `reason`, then ends. Resolves when the connection is gone. */
  close(reason: FlotillaError): Promise<void>;
  /** Sends `reason` ahead of anything queued and ends at once. */
  destroy(reason: FlotillaError): void;
}

export interface ConnectOptions {
  /** Who has to answer; anyone of the cluster when absent. */
  readonly name?: string;
  /** @default 10 000 */
  readonly timeoutMs?: number;
}

export interface Transport {
  /** The name that this end proves to others. */
  readonly name: string;
  /** Accepts links. Resolves with the address bound. Errors: `port_in_use`, `address_unusable`. */
  listen(address: Address, onLink: (link: Link) => void): Promise<Address>;
  /** Dials `host:port`. Errors: `peer_unreachable`, `identity_refused`. */
  connect(address: string, options?: ConnectOptions): Promise<Link>;
  /** Listens no more and breaks the accepted links that are left: close links before. */
  stop(): Promise<void>;
}

/** A reliable two-way flow of bytes: what a link is multiplexed over. */
export interface BytePipe {
  /** Takes `bytes`; `owner` comes back through `written` when they are no longer read. */
  write(bytes: Uint8Array, owner?: Buffer): void;
  /** Writes whose bytes the system has not taken yet. */
  readonly pendingWrites: number;
  /** True where frames of two streams may arrive in another order than they were written. */
  readonly reordersStreams?: boolean;
  start(events: BytePipeEvents): void;
  /** Ends after what was written; `closed` follows, at the latest after a timeout. */
  end(): void;
}

export interface BytePipeEvents {
  data(bytes: Uint8Array, start: number, end: number): void;
  /** Some bytes left. */
  written(owner: Buffer | undefined): void;
  closed(cause: Error | undefined): void;
}
