// One TLS socket as a byte pipe: counts what is in flight, returns pages once they are written, and
// gives a close that hangs a deadline.
import { READ_BUFFER_BYTES, TRANSPORT_DEFAULTS } from './defaults.ts';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../core/index.ts';
import type { BytePipe, BytePipeEvents } from './link.ts';

/**
 * The reusable buffer of a dialled socket. Node lets only sockets that it dials itself read into a
 * buffer of ours (`onread`), which doubles their rate; accepted ones hand out chunks.
 */
export class ReadBuffer {
  readonly buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  #consume: ((bytes: Uint8Array, start: number, end: number) => void) | undefined;
  #early: Buffer[] = [];

  /** The `onread` option of `tls.connect`. */
  readonly callback = (count: number, buffer: Uint8Array): boolean => {
    if (this.#consume !== undefined) this.#consume(buffer, 0, count);
    else this.#early.push(Buffer.from(buffer.subarray(0, count)));
    return true;
  };

  start(consume: (bytes: Uint8Array, start: number, end: number) => void): void {
    this.#consume = consume;
    for (const bytes of this.#early) consume(bytes, 0, bytes.length);
    this.#early = [];
  }
}

export class TlsPipe implements BytePipe {
  readonly #socket: TLSSocket;
  readonly #clock: Clock;
  readonly #readBuffer: ReadBuffer | undefined;
  /** What backs the writes that have not left, oldest first. */
  readonly #pending: (Buffer | undefined)[] = [];
  #events: BytePipeEvents | undefined;
  #error: Error | undefined;

  constructor(socket: TLSSocket, clock: Clock, readBuffer?: ReadBuffer) {
    this.#socket = socket;
    this.#clock = clock;
    this.#readBuffer = readBuffer;
    socket.on('error', (error) => {
      this.#error ??= error;
    });
  }

  get pendingWrites(): number {
    return this.#pending.length;
  }

  start(events: BytePipeEvents): void {
    this.#events = events;
    const socket = this.#socket;
    socket.once('close', () => events.closed(this.#error));
    if (this.#readBuffer !== undefined) {
      this.#readBuffer.start((bytes, start, end) => events.data(bytes, start, end));
    } else {
      socket.on('data', (chunk: Buffer) => events.data(chunk, 0, chunk.length));
    }
    // A socket that closed before anyone listened says so now.
    if (socket.destroyed) process.nextTick(() => events.closed(this.#error));
    else socket.resume();
  }

  write(bytes: Uint8Array, owner?: Buffer): void {
    this.#pending.push(owner);
    this.#socket.write(bytes, this.#onWritten);
  }

  end(): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    // Not destroyed before the other side has ended too: a reset would eat what it has not read.
    socket.end();
    const timer = this.#clock.schedule(TRANSPORT_DEFAULTS.closeTimeoutMs, () => socket.destroy());
    socket.once('close', () => timer.cancel());
  }

  readonly #onWritten = (error?: Error | null): void => {
    const owner = this.#pending.shift();
    if (!error) this.#events?.written(owner);
  };
}
