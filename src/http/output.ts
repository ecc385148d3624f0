// What a connection writes. Small pieces are joined by copying them into a slab that all
// connections of a server or client share, so that head and body leave in one write; large ones go
// by reference. What the kernel has not taken at once stays where it is, and is never written over;
// what it has taken makes room for the next one, so that slabs are seldom made.
import { COPY_LIMIT_BYTES, HIGH_WATER_BYTES, SLAB_BYTES } from './defaults.ts';
import type { Socket } from 'node:net';

const EMPTY = Buffer.alloc(0);

/** Memory from which pieces are cut one after the other. */
export class Slab {
  bytes: Buffer = EMPTY;
  at = 0;

  /** Makes room for `length` bytes at `at`; `length` is at most `SLAB_BYTES`. */
  ensure(length: number): void {
    if (this.bytes.length - this.at >= length) return;
    this.bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.at = 0;
  }
}

/** The part of a socket's native handle that `node:net` itself watches for slow writes. */
interface WithHandle {
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

export class Output {
  readonly #socket: Socket;
  readonly #slab: Slab;
  readonly #flushLater = () => this.flush();
  /** The run that is being filled: bytes of a slab. */
  #run: Buffer = EMPTY;
  #from = 0;
  #to = 0;
  /** Whole parts before the run. */
  #parts: Uint8Array[] = [];
  #pending = 0;
  #isScheduled = false;

  constructor(socket: Socket, slab: Slab) {
    this.#socket = socket;
    this.#slab = slab;
  }

  /** True when the writer ought to wait for the socket's `drain`. */
  get isBlocked(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** Bytes that the kernel has not taken. */
  get unsentBytes(): number {
    const socket = this.#socket as Socket & WithHandle;
    return socket.writableLength + (socket._handle?.writeQueueSize ?? 0);
  }

  /** Latin-1 text. */
  text(text: string): void {
    const { length } = text;
    if (length > SLAB_BYTES) {
      this.#seal();
      this.#parts.push(Buffer.from(text, 'latin1'));
      this.#pending += length;
      return;
    }
    this.#makeRoom(length);
    this.#run.write(text, this.#to, length, 'latin1');
    this.#advance(length);
  }

  /** Bytes that must not change any more. */
  bytes(bytes: Uint8Array): void {
    const { length } = bytes;
    if (length > COPY_LIMIT_BYTES) {
      this.#seal();
      this.#parts.push(bytes);
      this.#pending += length;
      return;
    }
    this.#makeRoom(length);
    this.#run.set(bytes, this.#to);
    this.#advance(length);
  }

  /** Writes at the end of this turn, so that what else it brings goes along. */
  flushSoon(): void {
    if (this.#pending >= HIGH_WATER_BYTES) this.flush();
    else if (!this.#isScheduled) {
      this.#isScheduled = true;
      process.nextTick(this.#flushLater);
    }
  }

  flush(): void {
    this.#isScheduled = false;
    this.#pending = 0;
    const socket = this.#socket;
    if (this.#parts.length === 0) {
      if (this.#to === this.#from) return;
      const run = this.#run.subarray(this.#from, this.#to);
      if (!socket.destroyed) socket.write(run);
      const slab = this.#slab;
      const isLast = this.#run === slab.bytes && this.#to === slab.at;
      if (isLast && socket.writableLength === 0) {
        slab.at = this.#from;
        this.#to = this.#from;
      }
      this.#from = this.#to;
      return;
    }
    this.#seal();
    const parts = this.#parts;
    this.#parts = [];
    if (socket.destroyed) return;
    socket.cork();
    for (const part of parts) socket.write(part);
    socket.uncork();
  }

  #makeRoom(length: number): void {
    const slab = this.#slab;
    const goesOn = this.#run === slab.bytes && this.#to === slab.at;
    if (goesOn && slab.bytes.length - slab.at >= length) return;
    this.#seal();
    slab.ensure(length);
    this.#run = slab.bytes;
    this.#from = slab.at;
    this.#to = slab.at;
  }

  #advance(length: number): void {
    this.#to += length;
    this.#pending += length;
    this.#slab.at = this.#to;
  }

  #seal(): void {
    if (this.#to > this.#from) this.#parts.push(this.#run.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }
}
