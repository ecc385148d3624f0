// The sending end of a bulk socket: streams take turns with long fragments, which leave from the
// memory of whoever wrote them. One write at a time, as Node joins writes that wait by copying
// them, and one a turn of the loop, so that messages and timers get theirs.
import { MUX_FLAGS, MUX_HEADER_BYTES, writeMuxHeader } from '../wire/index.ts';
import { BULK_FRAGMENT_BYTES, BULK_GATHER_BYTES, BULK_WRITE_BYTES } from './defaults.ts';
import type { TLSSocket } from 'node:tls';
import type { MuxSendStream } from './mux-send-stream.ts';

export class BulkSender {
  readonly #socket: TLSSocket;
  readonly #onIdle: () => void;
  readonly #ready: MuxSendStream[] = [];
  readonly #waiting = new Set<MuxSendStream>();
  /** The stream whose fragment is being written: its header announced as many bytes. */
  #current: MuxSendStream | undefined;
  /** What is left of that fragment, off the stream's queue, so that a reset leaves it whole. */
  #pieces: Uint8Array[] = [];
  /** Flags that leave behind the fragment. */
  readonly #signals: { stream: number; flag: number }[] = [];
  /** A header and what is short behind it leave in one write, copied here. */
  readonly #gathered = Buffer.allocUnsafeSlow(BULK_GATHER_BYTES);
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
    if (this.#current !== undefined) this.#signals.push({ stream, flag });
    else this.#writeSignal(stream, flag);
  }

  /** Tells the other end that nothing follows, and ends the socket. Not while it is busy. */
  finish(): void {
    this.#writeSignal(0, MUX_FLAGS.close);
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
      // Empty when it was reset while it waited.
      if (stream.queue.bytes > 0) this.#beginFragment(stream);
    }
  }

  #beginFragment(stream: MuxSendStream): void {
    const { queue } = stream;
    const length = Math.min(queue.bytes, BULK_FRAGMENT_BYTES);
    const gathered = this.#gathered;
    writeMuxHeader(gathered, 0, { stream: stream.id, flag: 0, length });
    let filled = MUX_HEADER_BYTES;
    for (let left = length; left > 0; ) {
      const { bytes, start, end } = queue.peek()!;
      const count = Math.min(left, end - start, BULK_WRITE_BYTES);
      const piece = bytes.subarray(start, start + count);
      if (this.#pieces.length === 0 && count <= gathered.length - filled) {
        gathered.set(piece, filled);
        filled += count;
      } else {
        this.#pieces.push(piece);
      }
      left -= count;
      queue.consume(count);
    }
    this.#current = stream;
    this.#pieces.reverse();
    this.#socket.write(gathered.subarray(0, filled), this.#written);
  }

  readonly #written = (error?: Error | null): void => {
    if (error) {
      // The socket goes, and the link with it.
      this.#current = undefined;
      this.#pieces = [];
      return;
    }
    setImmediate(continueSender, this);
  };

  /** Writes what follows the piece that was written. */
  continueNow(): void {
    if (this.#current === undefined || this.#socket.destroyed) return;
    const piece = this.#pieces.pop();
    if (piece !== undefined) this.#socket.write(piece, this.#written);
    else this.#endFragment();
  }

  #endFragment(): void {
    const stream = this.#current!;
    this.#current = undefined;
    for (const { stream: id, flag } of this.#signals.splice(0)) this.#writeSignal(id, flag);
    if (stream.queue.bytes > 0) this.ready(stream);
    else if (!this.#waiting.has(stream)) stream.drained();
    this.pumpNow();
  }

  #writeSignal(stream: number, flag: number): void {
    const bytes = new Uint8Array(MUX_HEADER_BYTES);
    writeMuxHeader(bytes, 0, { stream, flag, length: 0 });
    this.#socket.write(bytes);
  }
}

/** Shared, so that a turn costs no closure. */
function pumpSender(sender: BulkSender): void {
  sender.pumpNow();
}

function continueSender(sender: BulkSender): void {
  sender.continueNow();
}
