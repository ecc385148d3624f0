// Cuts what a bulk socket brings into frames: those of the message socket, but longer. A frame
// whose stream has not been moved yet (the word of it travels on the message socket) waits, and
// the socket with it.
import { frameInvalid, MUX_FLAGS, MUX_HEADER_BYTES, readU32 } from '../wire/index.ts';
import { BULK_FRAGMENT_BYTES } from './defaults.ts';

export interface BulkSink {
  /** True when the message socket has said that this stream goes on here. */
  moved(stream: number): boolean;
  data(stream: number, bytes: Uint8Array, span: { start: number; end: number }): void;
  /** A stream ended or was reset. */
  ended(stream: number, flag: number): void;
  /** Nothing follows. */
  finished(): void;
}

const ALLOWED = new Set<number>([MUX_FLAGS.end, MUX_FLAGS.reset, MUX_FLAGS.close]);

export class BulkDecoder {
  readonly #sink: BulkSink;
  readonly #header = new Uint8Array(MUX_HEADER_BYTES);
  #headerBytes = 0;
  #stream = 0;
  #flag = 0;
  #left = 0;
  /** What came after the header of a frame that waits: TLS hands out what it has decrypted yet. */
  #held: Buffer[] = [];
  #waits = false;

  constructor(sink: BulkSink) {
    this.#sink = sink;
  }

  /** Feeds `bytes[start, end)`; false: no more until `resume`. Throws `frame_invalid`. */
  push(bytes: Uint8Array, start: number, end: number): boolean {
    let at = start;
    while (at < end) {
      if (this.#waits) {
        this.#held.push(Buffer.from(bytes.subarray(at, end)));
        return false;
      }
      if (this.#left > 0) {
        const piece = Math.min(this.#left, end - at);
        this.#left -= piece;
        this.#sink.data(this.#stream, bytes, { start: at, end: at + piece });
        at += piece;
        continue;
      }
      this.#header[this.#headerBytes++] = bytes[at++]!;
      if (this.#headerBytes < MUX_HEADER_BYTES) continue;
      this.#headerBytes = 0;
      this.#waits = !this.#begin();
    }
    return !this.#waits;
  }

  /** Goes on with a frame that waits, if its stream was moved. False when one still waits. */
  resume(): boolean {
    if (!this.#waits) return true;
    if (!this.#sink.moved(this.#stream)) return false;
    this.#waits = false;
    this.#act();
    for (const bytes of this.#held.splice(0)) this.push(bytes, 0, bytes.length);
    return !this.#waits;
  }

  /** False when the frame has to wait. */
  #begin(): boolean {
    this.#stream = readU32(this.#header, 0);
    const word = readU32(this.#header, 4);
    this.#flag = word >>> 24;
    this.#left = word & 0xffffff;
    const sound =
      this.#flag === 0
        ? this.#left > 0 && this.#left <= BULK_FRAGMENT_BYTES && this.#stream > 0
        : this.#left === 0 &&
          ALLOWED.has(this.#flag) &&
          (this.#stream === 0) === (this.#flag === MUX_FLAGS.close);
    if (!sound) {
      throw frameInvalid(`a bulk frame ${this.#flag} of ${this.#left} bytes on ${this.#stream}`);
    }
    if (this.#stream > 0 && !this.#sink.moved(this.#stream)) return false;
    this.#act();
    return true;
  }

  #act(): void {
    if (this.#flag === MUX_FLAGS.close) this.#sink.finished();
    else if (this.#flag !== 0) this.#sink.ended(this.#stream, this.#flag);
  }
}
