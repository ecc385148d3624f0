// The frames that carry many streams over one connection: [stream u32][flags u8 << 24 | length u24]
// [payload], little-endian. Cuts and joins bytes; what streams mean is the layers' above.
import { FlotillaError } from '../core/index.ts';
import { MAX_FRAGMENT_BYTES, MAX_SIGNAL_BYTES } from './defaults.ts';

export const MUX_HEADER_BYTES = 8;

/** Flags of a frame. A frame without flags carries bytes of its stream. */
export const MUX_FLAGS = {
  /** Opens the sender's stream; the payload is its preamble. */
  open: 0x01,
  /** The sender's stream ends; no payload. */
  end: 0x02,
  /** The sender gives its stream up, what was sent of its last message is void; no payload. */
  reset: 0x04,
  /** To the owner of the stream: it may send `[messages u32][bytes u32]` more. */
  credit: 0x08,
  /** To the owner of the stream: nobody reads it any more; no payload. */
  refuse: 0x10,
  /** Stream 0 only: the connection ends; the payload is `[code length u8][code][message]`. */
  close: 0x20,
} as const;

export interface MuxSink {
  /** Bytes of a stream, in order, in pieces as they arrive. The view is valid during the call. */
  muxData(stream: number, bytes: Uint8Array, start: number, end: number): void;
  /** A frame with a flag, whole. The payload is valid during the call. */
  muxSignal(stream: number, flag: number, payload: Uint8Array): void;
}

export function writeMuxHeader(
  target: Uint8Array,
  at: number,
  frame: { stream: number; flag: number; length: number },
): void {
  writeU32(target, at, frame.stream);
  writeU32(target, at + 4, ((frame.flag << 24) | frame.length) >>> 0);
}

/** Adjusts the length of a data frame that is still being filled. */
export function patchMuxLength(target: Uint8Array, at: number, length: number): void {
  writeU32(target, at + 4, length);
}

export function writeU32(target: Uint8Array, at: number, value: number): void {
  target[at] = value;
  target[at + 1] = value >>> 8;
  target[at + 2] = value >>> 16;
  target[at + 3] = value >>> 24;
}

export function readU32(source: Uint8Array, at: number): number {
  return (
    (source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24)) >>> 0
  );
}

const KNOWN_FLAGS = new Set<number>(Object.values(MUX_FLAGS));

/** Decodes frames from chunks cut anywhere. Holds at most one header and one signal. */
export class MuxDecoder {
  readonly #sink: MuxSink;
  readonly #header = new Uint8Array(MUX_HEADER_BYTES);
  #headerBytes = 0;
  #stream = 0;
  #flag = 0;
  #left = 0;
  #signal: Uint8Array | undefined;
  #signalBytes = 0;

  constructor(sink: MuxSink) {
    this.#sink = sink;
  }

  /** Feeds `bytes[start, end)`. Throws `frame_invalid`; the decoder is of no use afterwards. */
  push(bytes: Uint8Array, start = 0, end = bytes.length): void {
    let at = start;
    while (at < end) {
      if (this.#left === 0) {
        if (this.#headerBytes === 0 && end - at >= MUX_HEADER_BYTES) {
          this.#begin(bytes, at);
          at += MUX_HEADER_BYTES;
        } else {
          this.#header[this.#headerBytes++] = bytes[at++]!;
          if (this.#headerBytes < MUX_HEADER_BYTES) continue;
          this.#headerBytes = 0;
          this.#begin(this.#header, 0);
        }
        continue;
      }
      const piece = Math.min(this.#left, end - at);
      this.#left -= piece;
      if (this.#flag === 0) this.#sink.muxData(this.#stream, bytes, at, at + piece);
      else this.#collect(bytes, at, at + piece);
      at += piece;
    }
  }

  #begin(bytes: Uint8Array, at: number): void {
    this.#stream = readU32(bytes, at);
    const word = readU32(bytes, at + 4);
    this.#flag = word >>> 24;
    this.#left = word & 0xffffff;
    if (this.#flag === 0) {
      if (this.#left === 0 || this.#left > MAX_FRAGMENT_BYTES || this.#stream === 0) {
        throw frameInvalid(`a data frame of ${this.#left} bytes on stream ${this.#stream}`);
      }
      return;
    }
    if (!KNOWN_FLAGS.has(this.#flag)) throw frameInvalid(`unknown frame flags ${this.#flag}`);
    if ((this.#stream === 0) !== (this.#flag === MUX_FLAGS.close)) {
      throw frameInvalid(`frame flags ${this.#flag} on stream ${this.#stream}`);
    }
    if (this.#left > MAX_SIGNAL_BYTES) throw frameInvalid(`a signal of ${this.#left} bytes`);
    this.#signal = new Uint8Array(this.#left);
    this.#signalBytes = 0;
    if (this.#left === 0) this.#sink.muxSignal(this.#stream, this.#flag, this.#signal);
  }

  #collect(bytes: Uint8Array, start: number, end: number): void {
    const signal = this.#signal!;
    for (let at = start; at < end; at++) signal[this.#signalBytes++] = bytes[at]!;
    if (this.#left === 0) this.#sink.muxSignal(this.#stream, this.#flag, signal);
  }
}

/** `frame_invalid` with what was wrong. */
export function frameInvalid(what: string): FlotillaError {
  return new FlotillaError('frame_invalid', `the peer sent ${what}`, { details: { what } });
}
