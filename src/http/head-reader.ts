// Finds where a head ends. A head that comes in one piece, as nearly all do, stays where it is; one
// that comes in several is gathered in a bounded buffer. What a head means is for `parse-head.ts`.
import { CR, LF, TOKEN } from './characters.ts';
import { FIRST_HEAD_BYTES } from './defaults.ts';
import { headTooLarge, malformed } from './errors.ts';

const EMPTY = Buffer.alloc(0);
const VERSION = Buffer.from(' HTTP/1.', 'latin1');

export class HeadReader {
  readonly #maxBytes: number;
  readonly #isRequest: boolean;
  /** Bytes of a head that comes in pieces. */
  #gathered: Buffer = EMPTY;
  #length = 0;
  /** How far the search has come, and where the line that it is in begins. */
  #searched = 0;
  #lineStart = 0;
  #skippedLine = false;

  /** Once `read` returned true, the head lies in `bytes` from `start` to `end`. */
  bytes: Buffer = EMPTY;
  start = 0;
  end = 0;
  /** The first byte of the chunk that is not consumed. */
  next = 0;

  constructor(options: { maxBytes: number; isRequest: boolean }) {
    this.#maxBytes = options.maxBytes;
    this.#isRequest = options.isRequest;
  }

  /** True while a head has begun that is not whole. */
  get isWithin(): boolean {
    return this.#length > 0;
  }

  /** The bytes of an unfinished head. */
  get gathered(): Buffer {
    return this.#gathered.subarray(0, this.#length);
  }

  /**
   * Looks for the end of a head in `chunk` from `at`. Throws as soon as it shows that there can be
   * none: by a bare line feed, a first byte that begins no line, or too many bytes.
   */
  read(chunk: Buffer, at: number): boolean {
    if (this.#length > 0) return this.#readOn(chunk, at);
    this.start = at;
    this.#searched = at;
    this.#lineStart = at;
    this.#skippedLine = false;
    const limit = Math.min(chunk.length, at + this.#maxBytes);
    if (this.#search(chunk, limit)) {
      this.next = this.end;
      return true;
    }
    if (limit - at >= this.#maxBytes) throw headTooLarge('bytes', this.#maxBytes);
    this.#append(chunk, at, limit);
    this.start -= at;
    this.#searched -= at;
    this.#lineStart -= at;
    this.next = limit;
    return false;
  }

  #readOn(chunk: Buffer, at: number): boolean {
    const limit = Math.min(chunk.length, at + this.#maxBytes - this.#length);
    this.#append(chunk, at, limit);
    this.next = limit;
    if (this.#search(this.#gathered, this.#length)) {
      this.next -= this.#length - this.end;
      this.#gathered = EMPTY;
      this.#length = 0;
      return true;
    }
    if (this.#length >= this.#maxBytes) throw headTooLarge('bytes', this.#maxBytes);
    return false;
  }

  #append(chunk: Buffer, from: number, to: number): void {
    const length = this.#length + to - from;
    if (length > this.#gathered.length) {
      const size = Math.max(FIRST_HEAD_BYTES, this.#gathered.length * 2, length);
      const grown = Buffer.allocUnsafeSlow(Math.min(size, this.#maxBytes));
      this.#gathered.copy(grown, 0, 0, this.#length);
      this.#gathered = grown;
    }
    chunk.copy(this.#gathered, this.#length, from, to);
    this.#length = length;
  }

  /** Searches on to `limit`; true when the empty line that ends the head was found. */
  #search(bytes: Buffer, limit: number): boolean {
    let at = this.#searched;
    if (at === this.start && at < limit && TOKEN[bytes[at]!] !== 1 && bytes[at] !== CR) {
      throw malformed('a message begins with a token', 'RFC 9112 2.1');
    }
    for (; at < limit; at++) {
      if (bytes[at] !== LF) continue;
      if (at === this.start || bytes[at - 1] !== CR) {
        throw malformed('a line ends with CR LF', 'RFC 9112 2.2');
      }
      const isEmpty = at - 1 === this.#lineStart;
      const isFirst = this.#lineStart === this.start;
      this.#lineStart = at + 1;
      if (!isEmpty) {
        if (isFirst && this.#isRequest) this.#checkVersion(bytes, at - 1);
      } else if (isFirst) {
        this.#skipEmptyLine(at + 1);
        return this.#search(bytes, limit);
      } else {
        this.bytes = bytes;
        this.end = at + 1;
        return true;
      }
    }
    this.#searched = at;
    return false;
  }

  /** One empty line may stand before a request line (RFC 9112 2.2). */
  #skipEmptyLine(next: number): void {
    if (!this.#isRequest || this.#skippedLine) {
      throw malformed('a message begins with a start line', 'RFC 9112 2.1');
    }
    this.#skippedLine = true;
    this.start = next;
    this.#searched = next;
  }

  /** Without a version it is HTTP/0.9, which would wait for no empty line. */
  #checkVersion(bytes: Buffer, end: number): void {
    const from = end - 1 - VERSION.length;
    for (let i = 0; i < VERSION.length; i++) {
      if (from >= this.start && bytes[from + i] === VERSION[i]) continue;
      throw malformed('a request line ends with HTTP/1.0 or HTTP/1.1', 'RFC 9112 2.3');
    }
  }
}
