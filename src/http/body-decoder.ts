// Takes a body out of the bytes of a connection (RFC 9112 6 and 7). It holds no bytes: a caller
// walks a chunk with `advance` and gets views, so it may stop between two of them. Trailers are
// checked, bounded and dropped, as RFC 9110 6.5.1 allows.
import { CR, LF, COLON, SEMICOLON, TOKEN, VALUE, hexValue } from './characters.ts';
import { MAX_CHUNK_EXTENSION_BYTES, MAX_CHUNK_SIZE_DIGITS, MAX_TRAILER_BYTES } from './defaults.ts';
import { malformed } from './errors.ts';

const DONE = 0;
const BY_LENGTH = 1;
const UNTIL_CLOSE = 2;
const SIZE = 3;
const EXTENSION = 4;
const SIZE_LF = 5;
const DATA = 6;
const DATA_CR = 7;
const DATA_LF = 8;
const TRAILER = 9;
const TRAILER_NAME = 10;
const TRAILER_VALUE = 11;
const TRAILER_LF = 12;
const LAST_LF = 13;

export class BodyDecoder {
  #state = DONE;
  /** Bytes that are missing of the body, or of the chunk. */
  #missing = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;

  /** Body bytes that `advance` came over: a range of its chunk, empty where it met framing only. */
  from = 0;
  to = 0;

  get isDone(): boolean {
    return this.#state === DONE;
  }

  /** Bytes that are still to come; Infinity where only the sender knows. */
  get missing(): number {
    if (this.#state === DONE) return 0;
    return this.#state === BY_LENGTH ? this.#missing : Number.POSITIVE_INFINITY;
  }

  /** True when the end of the connection is the end of the body. */
  get endsWithConnection(): boolean {
    return this.#state === UNTIL_CLOSE;
  }

  beginLength(length: number): void {
    this.#missing = length;
    this.#state = length === 0 ? DONE : BY_LENGTH;
  }

  beginUntilClose(): void {
    this.#state = UNTIL_CLOSE;
  }

  beginChunked(): void {
    this.#state = SIZE;
    this.#missing = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#trailerBytes = 0;
  }

  /**
   * Walks `bytes` from `at` up to the end of the next run of body bytes, of the body, or of
   * `bytes`. Returns where it stopped.
   */
  advance(bytes: Buffer, at: number): number {
    this.from = at;
    this.to = at;
    if (this.#state === BY_LENGTH || this.#state === DATA) return this.#take(bytes, at);
    if (this.#state === UNTIL_CLOSE) {
      this.to = bytes.length;
      return this.to;
    }
    while (at < bytes.length && this.#state !== DONE) {
      if (this.#state === DATA) return this.#take(bytes, at);
      this.#step(bytes[at++]!);
    }
    return at;
  }

  #take(bytes: Buffer, at: number): number {
    const length = Math.min(this.#missing, bytes.length - at);
    this.from = at;
    this.to = at + length;
    this.#missing -= length;
    if (this.#missing === 0) this.#state = this.#state === DATA ? DATA_CR : DONE;
    return this.to;
  }

  /** One byte of chunked framing. */
  #step(byte: number): void {
    switch (this.#state) {
      case SIZE:
        this.#size(byte);
        break;
      case EXTENSION:
        this.#extension(byte);
        break;
      case SIZE_LF:
        expect(byte === LF, 'a chunk size ends with CR LF');
        this.#state = this.#missing === 0 ? TRAILER : DATA;
        break;
      case DATA_CR:
        expect(byte === CR, 'chunk data has the length of its size');
        this.#state = DATA_LF;
        break;
      case DATA_LF:
        expect(byte === LF, 'chunk data ends with CR LF');
        this.#state = SIZE;
        this.#digits = 0;
        break;
      default:
        this.#trailer(byte);
    }
  }

  #size(byte: number): void {
    const digit = hexValue(byte);
    if (digit >= 0) {
      expect(++this.#digits <= MAX_CHUNK_SIZE_DIGITS, 'a chunk size has few digits');
      this.#missing = this.#missing * 16 + digit;
      return;
    }
    expect(this.#digits > 0, 'a chunk size has digits');
    if (byte === CR) this.#state = SIZE_LF;
    else {
      expect(byte === SEMICOLON, 'a chunk size is hexadecimal');
      this.#state = EXTENSION;
    }
  }

  #extension(byte: number): void {
    if (byte === CR) {
      this.#state = SIZE_LF;
      return;
    }
    const isBounded = ++this.#extensionBytes <= MAX_CHUNK_EXTENSION_BYTES;
    expect(isBounded && VALUE[byte] === 1, 'chunk extensions are short text');
  }

  #trailer(byte: number): void {
    expect(++this.#trailerBytes <= MAX_TRAILER_BYTES, 'a trailer section is short');
    switch (this.#state) {
      case TRAILER:
        if (byte === CR) this.#state = LAST_LF;
        else {
          expect(TOKEN[byte] === 1, 'a trailer begins with its name');
          this.#state = TRAILER_NAME;
        }
        break;
      case TRAILER_NAME:
        if (byte === COLON) this.#state = TRAILER_VALUE;
        else expect(TOKEN[byte] === 1, 'a trailer name is a token');
        break;
      case TRAILER_VALUE:
        if (byte === CR) this.#state = TRAILER_LF;
        else expect(VALUE[byte] === 1, 'a trailer has no control characters');
        break;
      case TRAILER_LF:
        expect(byte === LF, 'a trailer ends with CR LF');
        this.#state = TRAILER;
        break;
      default:
        expect(byte === LF, 'a body ends with CR LF');
        this.#state = DONE;
    }
  }
}

function expect(holds: boolean, rule: string): void {
  if (!holds) throw malformed(rule, 'RFC 9112 7.1');
}
