// The bulk sockets of one link, one a direction, each dialled by the end that receives on it. A
// stream with a long write moves there for good: the word of it goes ahead on the message socket.
import { readU32, writeU32 } from '../wire/index.ts';
import { BulkDecoder } from './bulk-decoder.ts';
import { BulkSender } from './bulk-sender.ts';
import { BULK_MIN_BYTES, BULK_GRACE_MS, BULK_TOKEN_BYTES, TRANSPORT_DEFAULTS } from './defaults.ts';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../core/index.ts';
import type { LinkIdentity, ReceiveStream, SendStream, StreamReader } from './link.ts';
import type { MuxSendStream } from './mux-send-stream.ts';

/** What the transport does for it. */
export interface BulkSupport {
  readonly clock: Clock;
  /**
   * Waits for the other end to dial with a token; undefined when this end cannot be dialled.
   * `onSocket` gets the socket, authenticated as the link's other end.
   */
  offer(remote: LinkIdentity, onSocket: (socket: TLSSocket) => void): BulkOffer | undefined;
  /** Dials the other end with the token it offered. `read` returns false to pause. */
  dial(
    link: { remote: LinkIdentity; dialled: boolean; address: string },
    offer: { token: Uint8Array; port: number },
    read: (bytes: Uint8Array, start: number, end: number) => boolean,
  ): Promise<TLSSocket>;
}

export interface BulkOffer {
  readonly token: Uint8Array;
  readonly port: number;
  withdraw(): void;
}

/** What it needs of its link. */
export interface BulkHost {
  readonly remote: LinkIdentity;
  readonly dialled: boolean;
  readonly address: string;
  readonly closed: boolean;
  readonly canOpenStream: boolean;
  openStream(preamble: Uint8Array, events: { refused(): void }): SendStream;
  /** This end's streams with more than this waiting. */
  waiting(minBytes: number): readonly MuxSendStream[];
  sendNow(stream: SendStream, bytes: Uint8Array): void;
  receive(stream: number, bytes: Uint8Array, span: { start: number; end: number }): void;
  signalled(stream: number, flag: number, payload: Uint8Array): void;
  deliver(step: () => void): void;
  /** Sends what waits, or closes if that was asked. */
  flushNow(): void;
  bulkBroke(): void;
}

/** First byte of the preamble of a link's own stream: `[0xb0][token, 16 bytes][port u16]`. */
const OWN_STREAM = 0xb0;
const PREAMBLE_BYTES = 1 + BULK_TOKEN_BYTES + 2;
const MOVE_BYTES = 4;
const NO_PAYLOAD = new Uint8Array(0);

/** True for the stream that a link opens for itself. */
export function isBulkOffer(preamble: Uint8Array): boolean {
  return preamble[0] === OWN_STREAM && preamble.length === PREAMBLE_BYTES;
}

export class LinkBulk {
  readonly #host: BulkHost;
  readonly #support: BulkSupport;
  #offer: BulkOffer | undefined;
  /** This link's own stream: it tells which streams move. */
  #own: SendStream | undefined;
  #outgoing: TLSSocket | undefined;
  #sender: BulkSender | undefined;
  #finished = false;
  #incoming: TLSSocket | undefined;
  readonly #moved = new Set<number>();
  readonly #decoder: BulkDecoder;
  /** Set while the other end may still send on its bulk socket. */
  #reading = false;
  #readWaiters: (() => void)[] = [];

  constructor(host: BulkHost, support: BulkSupport) {
    this.#host = host;
    this.#support = support;
    this.#decoder = new BulkDecoder({
      moved: (stream) => this.#moved.has(stream),
      data: (stream, bytes, span) => host.receive(stream, bytes, span),
      ended: (stream, flag) => {
        this.#moved.delete(stream);
        host.signalled(stream, flag, NO_PAYLOAD);
      },
      finished: () => this.#allRead(),
    });
  }

  /** True while something of a stream waits here. */
  get busy(): boolean {
    return this.#sender?.busy ?? false;
  }

  /** Moves a stream here if it can; the first time it only asks the other end to dial. */
  moves(stream: MuxSendStream): boolean {
    if (this.#sender === undefined) {
      if (this.#own === undefined) this.#ask();
      return false;
    }
    const move = new Uint8Array(MOVE_BYTES);
    writeU32(move, 0, stream.id);
    this.#host.sendNow(this.#own!, move);
    stream.bulk = true;
    return true;
  }

  ready(stream: MuxSendStream): void {
    this.#sender?.ready(stream);
  }

  signal(stream: number, flag: number): void {
    this.#sender?.signal(stream, flag);
  }

  /** Ends the sending half after what was handed over. */
  finish(): void {
    this.#finished = true;
    this.#sender?.finish();
  }

  /** The link ended. */
  close(): void {
    this.#offer?.withdraw();
    this.#incoming?.destroy();
    const socket = this.#outgoing;
    if (!this.#finished) socket?.destroy();
    else if (socket !== undefined) {
      const { closeTimeoutMs } = TRANSPORT_DEFAULTS;
      const timer = this.#support.clock.schedule(closeTimeoutMs, () => socket.destroy());
      socket.once('close', () => timer.cancel());
    }
  }

  /** Runs `step` when everything that the other end sent here has been delivered. */
  whenRead(step: () => void): void {
    if (!this.#reading) {
      step();
      return;
    }
    this.#readWaiters.push(step);
    const { closeTimeoutMs } = TRANSPORT_DEFAULTS;
    this.#support.clock.schedule(closeTimeoutMs, () => this.#allRead());
  }

  /** Reads the stream with which the other end offers its bulk socket. */
  accept(stream: ReceiveStream): StreamReader {
    const { preamble } = stream;
    const token = Uint8Array.from(preamble.subarray(1, 1 + BULK_TOKEN_BYTES));
    const port = preamble[PREAMBLE_BYTES - 2]! | (preamble[PREAMBLE_BYTES - 1]! << 8);
    void this.#dial(stream, { token, port });
    const move = new Uint8Array(MOVE_BYTES);
    let filled = 0;
    return {
      data: (bytes, start, end) => {
        for (let at = start; at < end; at++) {
          move[filled++] = bytes[at]!;
          if (filled < MOVE_BYTES) continue;
          filled = 0;
          this.#moved.add(readU32(move, 0));
          if (this.#decoder.resume()) this.#incoming?.resume();
        }
      },
      end() {},
      reset() {},
    };
  }

  #ask(): void {
    const host = this.#host;
    if (!host.canOpenStream) return;
    this.#offer = this.#support.offer(host.remote, (socket) => this.#dialledBy(socket));
    if (this.#offer === undefined) return;
    const preamble = new Uint8Array(PREAMBLE_BYTES);
    const { token, port } = this.#offer;
    preamble[0] = OWN_STREAM;
    preamble.set(token, 1);
    preamble[PREAMBLE_BYTES - 2] = port;
    preamble[PREAMBLE_BYTES - 1] = port >>> 8;
    // Refused: the other end cannot dial, and everything stays on the message socket.
    this.#own = host.openStream(preamble, { refused: () => this.#offer?.withdraw() });
  }

  #dialledBy(socket: TLSSocket): void {
    const host = this.#host;
    if (host.closed || this.#finished) {
      socket.destroy();
      return;
    }
    this.#outgoing = socket;
    this.#sender = new BulkSender(socket, () => host.flushNow());
    socket.once('close', () => this.#broke());
    for (const stream of host.waiting(BULK_MIN_BYTES)) {
      this.moves(stream);
      this.ready(stream);
    }
  }

  async #dial(stream: ReceiveStream, offer: { token: Uint8Array; port: number }): Promise<void> {
    const host = this.#host;
    try {
      const socket = await this.#support.dial(host, offer, (bytes, start, end) => {
        let more = true;
        host.deliver(() => {
          more = this.#decoder.push(bytes, start, end);
        });
        return more;
      });
      if (host.closed) {
        socket.destroy();
        return;
      }
      this.#incoming = socket;
      this.#reading = true;
      socket.once('close', () => {
        if (this.#reading) this.#broke();
        this.#allRead();
      });
    } catch {
      // Without a bulk socket all goes over the message socket, only slower.
      stream.refuse();
    }
  }

  /** A socket went before its time: the link follows, unless the reason is already on its way. */
  #broke(): void {
    if (this.#finished || this.#host.closed) return;
    this.#support.clock.schedule(BULK_GRACE_MS, () => this.#host.bulkBroke());
  }

  #allRead(): void {
    this.#reading = false;
    for (const step of this.#readWaiters.splice(0)) step();
  }
}
