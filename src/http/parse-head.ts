// What a whole head says: start line, fields, framing of the body. Strict: whatever two readers
// could understand in two ways is refused (RFC 9112 11.1, 11.2), in requests and in answers alike.
import {
  ASTERISK,
  COLON,
  CR,
  HOST,
  LF,
  SLASH,
  SP,
  TAB,
  TARGET,
  TOKEN,
  VALUE,
} from './characters.ts';
import { MAX_LENGTH_DIGITS } from './defaults.ts';
import { headTooLarge, malformed, unsupported } from './errors.ts';
import { HeaderFields } from './header-fields.ts';

export interface RequestHead {
  readonly method: string;
  readonly target: string;
  /** Of HTTP/1.x. */
  readonly minor: number;
  readonly fields: HeaderFields;
  readonly isChunked: boolean;
  readonly keepAlive: boolean;
  readonly expectsContinue: boolean;
}

export interface ResponseHead {
  readonly status: number;
  readonly minor: number;
  readonly fields: HeaderFields;
  readonly isChunked: boolean;
  readonly keepAlive: boolean;
  /** How long the origin keeps an idle connection, where it says so. */
  readonly keepAliveMs: number | undefined;
}

/** Where a head lies. It ends with the empty line. */
export interface HeadBytes {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

export function parseRequestHead(head: HeadBytes, maxFields: number): RequestHead {
  const { bytes, start } = head;
  let at = start;
  while (TOKEN[bytes[at]!] === 1) at++;
  if (at === start || bytes[at] !== SP) throw malformed('a method is a token', 'RFC 9112 3.1');
  const methodEnd = at;
  const targetStart = ++at;
  while (TARGET[bytes[at]!] === 1) at++;
  const targetEnd = at;
  if (targetEnd === targetStart || bytes[at] !== SP) {
    throw malformed('a request target is visible ASCII between two spaces', 'RFC 9112 3.2');
  }
  const minor = minorVersion(bytes, at + 1);
  at += 9;
  if (bytes[at] !== CR || bytes[at + 1] !== LF) {
    throw malformed('a request line ends after the version', 'RFC 9112 3');
  }
  const text = bytes.toString('latin1', start, head.end);
  const method = text.slice(0, methodEnd - start);
  const target = text.slice(targetStart - start, targetEnd - start);
  if (method === 'CONNECT') throw unsupported('CONNECT', 501);
  checkTargetForm(method, bytes[targetStart]!, targetEnd - targetStart);
  const scan = new FieldScan(text, start);
  scan.read(bytes, at + 2, maxFields);
  if (scan.hosts === 0 && minor === 1) throw malformed('a request has a Host', 'RFC 9112 3.2');
  if (scan.isChunked && minor === 0) {
    throw malformed('HTTP/1.0 has no transfer codings', 'RFC 9112 6.1');
  }
  return {
    method,
    target,
    minor,
    fields: new HeaderFields(text, scan.offsets, scan.contentLength),
    isChunked: scan.isChunked,
    keepAlive: minor === 1 && !scan.closes,
    expectsContinue: scan.expectsContinue && minor === 1,
  };
}

export function parseResponseHead(head: HeadBytes, maxFields: number): ResponseHead {
  const { bytes, start } = head;
  const minor = minorVersion(bytes, start);
  let at = start + 8;
  if (bytes[at++] !== SP) throw malformed('a space follows the version', 'RFC 9112 4');
  let status = 0;
  for (let i = 0; i < 3; i++) {
    const digit = bytes[at++]! - 0x30;
    if (digit < 0 || digit > 9) throw malformed('a status has three digits', 'RFC 9112 4');
    status = status * 10 + digit;
  }
  if (status < 100) throw malformed('a status is at least 100', 'RFC 9110 15');
  // The space before an empty reason is required, but servers leave it out.
  if (bytes[at] === SP) at++;
  else if (bytes[at] !== CR) throw malformed('a space follows the status', 'RFC 9112 4');
  while (VALUE[bytes[at]!] === 1) at++;
  if (bytes[at] !== CR || bytes[at + 1] !== LF) {
    throw malformed('a reason has no control characters', 'RFC 9112 4');
  }
  const text = bytes.toString('latin1', start, head.end);
  const scan = new FieldScan(text, start);
  scan.read(bytes, at + 2, maxFields);
  if (scan.isChunked && minor === 0) {
    throw malformed('HTTP/1.0 has no transfer codings', 'RFC 9112 6.1');
  }
  return {
    status,
    minor,
    fields: new HeaderFields(text, scan.offsets, scan.contentLength),
    isChunked: scan.isChunked,
    keepAlive: minor === 1 && !scan.closes,
    keepAliveMs: scan.keepAliveMs,
  };
}

function minorVersion(bytes: Buffer, at: number): number {
  for (let i = 0; i < VERSION.length; i++) {
    if (bytes[at + i] !== VERSION[i]) throw malformed('the version is HTTP/1.x', 'RFC 9112 2.3');
  }
  const minor = bytes[at + VERSION.length]! - 0x30;
  if (minor !== 0 && minor !== 1) throw malformed('the version is 1.0 or 1.1', 'RFC 9112 2.3');
  return minor;
}

const VERSION = Buffer.from('HTTP/1.', 'latin1');

/** Origin form; asterisk form for OPTIONS only. This is no forward proxy. */
function checkTargetForm(method: string, first: number, length: number): void {
  if (first === SLASH) return;
  if (first === ASTERISK && length === 1 && method === 'OPTIONS') return;
  throw malformed('a request target is a path', 'RFC 9112 3.2.1');
}

/** Offsets of the head that is being read; a list that grows by itself is copied several times. */
const scratch: number[] = [];

/** Field lines of one head, and what they say about framing and about the connection. */
class FieldScan {
  offsets: readonly number[] = [];
  contentLength = -1;
  isChunked = false;
  closes = false;
  expectsContinue = false;
  keepAliveMs: number | undefined;
  hosts = 0;
  #used = 0;
  readonly #text: string;
  readonly #base: number;

  constructor(text: string, base: number) {
    this.#text = text;
    this.#base = base;
  }

  /** Reads the lines from `at` to the empty one. */
  read(bytes: Buffer, at: number, maxFields: number): void {
    const base = this.#base;
    let count = 0;
    while (bytes[at] !== CR) {
      if (++count > maxFields) throw headTooLarge('header fields', maxFields);
      const nameStart = at;
      while (TOKEN[bytes[at]!] === 1) at++;
      const nameEnd = at;
      if (nameEnd === nameStart || bytes[at] !== COLON) {
        throw malformedName(bytes, nameStart, nameEnd);
      }
      at++;
      while (bytes[at] === SP || bytes[at] === TAB) at++;
      const valueStart = at;
      while (VALUE[bytes[at]!] === 1) at++;
      if (bytes[at] !== CR || bytes[at + 1] !== LF) {
        throw malformed('a field value has no control characters', 'RFC 9110 5.5');
      }
      let valueEnd = at;
      while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === TAB)) {
        valueEnd--;
      }
      at += 2;
      const used = this.#used;
      scratch[used] = nameStart - base;
      scratch[used + 1] = nameEnd - base;
      scratch[used + 2] = valueStart - base;
      scratch[used + 3] = valueEnd - base;
      this.#used = used + 4;
      this.#interpret(bytes, nameStart, nameEnd - nameStart);
    }
    this.offsets = scratch.slice(0, this.#used);
    if (this.contentLength >= 0 && this.isChunked) {
      throw malformed('Content-Length and Transfer-Encoding exclude each other', 'RFC 9112 6.3');
    }
  }

  #interpret(bytes: Buffer, at: number, length: number): void {
    switch (length) {
      case 4:
        if (isNamed(bytes, at, 'host')) this.#host();
        break;
      case 6:
        if (isNamed(bytes, at, 'expect')) this.#expect();
        break;
      case 10:
        if (isNamed(bytes, at, 'connection')) this.#connection();
        else if (isNamed(bytes, at, 'keep-alive')) this.#keepAlive();
        break;
      case 14:
        if (isNamed(bytes, at, 'content-length')) this.#contentLength();
        break;
      case 17:
        if (isNamed(bytes, at, 'transfer-encoding')) this.#transferEncoding();
        break;
    }
  }

  /** The value of the field that was read last. */
  #value(): string {
    const end = this.#used;
    return this.#text.slice(scratch[end - 2], scratch[end - 1]);
  }

  #host(): void {
    if (++this.hosts > 1) throw malformed('a request has one Host', 'RFC 9112 3.2');
    const value = this.#value();
    for (let i = 0; i < value.length; i++) {
      if (HOST[value.charCodeAt(i)] !== 1) throw malformed('Host is a host', 'RFC 9112 3.2');
    }
  }

  #expect(): void {
    if (this.#value().toLowerCase() !== '100-continue') throw unsupported('this expectation', 417);
    this.expectsContinue = true;
  }

  #connection(): void {
    const value = this.#value().toLowerCase();
    if (value === 'keep-alive') return;
    for (const option of value.split(',')) if (option.trim() === 'close') this.closes = true;
  }

  #keepAlive(): void {
    const seconds = /(?:^|[ ,])timeout=(\d{1,9})/i.exec(this.#value())?.[1];
    if (seconds !== undefined) this.keepAliveMs = Number(seconds) * 1000;
  }

  #contentLength(): void {
    if (this.contentLength >= 0) throw malformed('one Content-Length', 'RFC 9112 6.3');
    const value = this.#value();
    if (value.length === 0 || value.length > MAX_LENGTH_DIGITS) throw notALength();
    let length = 0;
    for (let i = 0; i < value.length; i++) {
      const digit = value.charCodeAt(i) - 0x30;
      if (digit < 0 || digit > 9) throw notALength();
      length = length * 10 + digit;
    }
    this.contentLength = length;
  }

  #transferEncoding(): void {
    const value = this.#value().toLowerCase();
    if (this.isChunked) throw malformed('chunked is applied once', 'RFC 9112 6.1');
    if (value !== 'chunked') {
      if (/^[a-z-]+ *, *chunked$/.test(value) && !value.startsWith('chunked')) {
        throw unsupported('this transfer coding', 501);
      }
      throw malformed('the last transfer coding is chunked', 'RFC 9112 6.3');
    }
    this.isChunked = true;
  }
}

function notALength(): Error {
  return malformed(`Content-Length has 1 to ${MAX_LENGTH_DIGITS} digits`, 'RFC 9112 6.2');
}

function malformedName(bytes: Buffer, start: number, end: number): Error {
  const byte = bytes[end];
  const isBlank = byte === SP || byte === TAB;
  if (isBlank && end === start) return malformed('a field line is not folded', 'RFC 9112 5.2');
  if (isBlank) return malformed('no space stands before a colon', 'RFC 9112 5.1');
  return malformed('a field name is a token before a colon', 'RFC 9112 5');
}

/** Whether the token at `at` is `lower`, whatever its case. Its length is known to be right. */
function isNamed(bytes: Buffer, at: number, lower: string): boolean {
  for (let i = 0; i < lower.length; i++) {
    const byte = bytes[at + i]!;
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== lower.charCodeAt(i)) return false;
  }
  return true;
}
