// The sending end of a bulk socket: streams take turns with long fragments, which leave from the
// memory of whoever wrote them.
import { MUX_FLAGS, MUX_HEADER_BYTES, writeMuxHeader } from '../wire/index.ts';
import { BULK_FRAGMENT_BYTES } from './defaults.ts';
import type { TLSSocket } from 'node:tls';
import type { MuxSendStream } from './mux-send-stream.ts';

export class BulkSender {
  readonly #socket: TLSSocket;
  readonly #onIdle: () => void;
  readonly #ready: MuxSendStream[] = [];
  readonly #waiting = new Set<MuxSendStream>();
  /** The stream whose fragment is being written: one at a time keeps the socket busy. */
  #current: MuxSendStream | undefined;
  #scheduled = false;

  constructor(socket: TLSSocket, onIdle: () => void) {
    this.#socket = socket;
    this.#onIdle = onIdle;
  }

  get busy(): boolean {
    return this.#current !== undefined || this.#ready.length > 0;
  }

  /** A stream has something to send. */
  ready(stream: MuxSendStream): void {
    if (this.#waiting.has(stream)) return;
    this.#waiting.add(stream);
    this.#ready.push(stream);
    if (this.#scheduled || this.#current !== undefined) return;
    this.#scheduled = true;
    process.nextTick(pumpSender, this);
  }

  /** Writes a frame with a flag behind what was handed over. */
  signal(stream: number, flag: number): void {
    this.#socket.write(header(stream, flag, 0));
  }

  /** Tells the other end that nothing follows, and ends the socket. */
  finish(): void {
    this.signal(0, MUX_FLAGS.close);
    this.#socket.end();
  }

  pumpNow(): void {
    this.#scheduled = false;
    while (this.#current === undefined) {
      const stream = this.#ready.shift();
      if (stream === undefined) {
        this.#onIdle();
        return;
      }
      this.#waiting.delete(stream);
      this.#writeFragment(stream);
    }
  }

  #writeFragment(stream: MuxSendStream): void {
    const { queue } = stream;
    const length = Math.min(queue.bytes, BULK_FRAGMENT_BYTES);
    // Empty when it was reset while it waited.
    if (length === 0) return;
    this.#current = stream;
    const socket = this.#socket;
    socket.cork();
    socket.write(header(stream.id, 0, length));
    for (let left = length; left > 0; ) {
      const { bytes, start, end } = queue.peek()!;
      const count = Math.min(left, end - start);
      left -= count;
      const piece = bytes.subarray(start, start + count);
      if (left > 0) socket.write(piece);
      else socket.write(piece, this.#written);
      queue.consume(count);
    }
    socket.uncork();
  }

  readonly #written = (error?: Error | null): void => {
    const stream = this.#current!;
    this.#current = undefined;
    if (error) return;
    if (stream.queue.bytes > 0) this.ready(stream);
    else if (!this.#waiting.has(stream)) stream.drained();
    this.pumpNow();
  };
}

function header(stream: number, flag: number, length: number): Uint8Array {
  const bytes = new Uint8Array(MUX_HEADER_BYTES);
  writeMuxHeader(bytes, 0, { stream, flag, length });
  return bytes;
}

/** Shared, so that a turn costs no closure. */
function pumpSender(sender: BulkSender): void {
  sender.pumpNow();
}
