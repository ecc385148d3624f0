// Header fields, received and to be sent. A received head stays one string with offsets into it: a
// field costs no object until somebody asks for it, and what a proxy passes on is cut out of the
// string in a few slices.
import { FlotillaError } from '../core/index.ts';
import { TOKEN, VALUE } from './characters.ts';

/** Fields that end at this connection, whatever `Connection` says (RFC 9110 7.6.1), and framing. */
const CONNECTION_FIELDS = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'expect',
]);

/** Offsets of one field in `HeaderFields`: name from and to, value from and to. */
const STRIDE = 4;

/** The fields of one message, in the order in which they came. */
export class HeaderFields implements Iterable<readonly [name: string, value: string]> {
  readonly #text: string;
  readonly #offsets: readonly number[];
  /** Of the message's framing; -1 when it says nothing. */
  readonly contentLength: number;

  constructor(text: string, offsets: readonly number[], contentLength: number) {
    this.#text = text;
    this.#offsets = offsets;
    this.contentLength = contentLength;
  }

  get size(): number {
    return this.#offsets.length / STRIDE;
  }

  /** The first value of the field. `name` in lower case. */
  get(name: string): string | undefined {
    const at = this.#find(name, 0);
    return at < 0 ? undefined : this.#value(at);
  }

  /** All values of the field, in order. `name` in lower case. */
  getAll(name: string): string[] {
    const values: string[] = [];
    for (let at = this.#find(name, 0); at >= 0; at = this.#find(name, at + STRIDE)) {
      values.push(this.#value(at));
    }
    return values;
  }

  has(name: string): boolean {
    return this.#find(name, 0) >= 0;
  }

  *[Symbol.iterator](): Iterator<readonly [name: string, value: string]> {
    for (let at = 0; at < this.#offsets.length; at += STRIDE) {
      yield [this.#text.slice(this.#offsets[at], this.#offsets[at + 1]), this.#value(at)];
    }
  }

  /**
   * The fields that travel on, without those that belong to this connection and without `drop`
   * (lower case). The length of the body travels with them.
   */
  forwardable(drop: readonly string[] = []): HeaderBlock {
    const nominated = this.#nominated();
    let kept = '';
    let from = -1;
    let to = 0;
    for (let at = 0; at < this.#offsets.length; at += STRIDE) {
      if (this.#isDropped(at, drop) || (nominated !== undefined && this.#isIn(at, nominated))) {
        if (from >= 0) kept += `${this.#text.slice(from, to)}\r\n`;
        from = -1;
        continue;
      }
      if (from < 0) from = this.#offsets[at]!;
      to = this.#offsets[at + 3]!;
    }
    if (from >= 0) kept += `${this.#text.slice(from, to)}\r\n`;
    const hasDate = this.has('date') && !drop.includes('date');
    return HeaderBlock.trusted(kept, this.contentLength, hasDate);
  }

  #value(at: number): string {
    return this.#text.slice(this.#offsets[at + 2], this.#offsets[at + 3]);
  }

  #find(name: string, from: number): number {
    for (let at = from; at < this.#offsets.length; at += STRIDE) {
      if (this.#isNamed(at, name)) return at;
    }
    return -1;
  }

  #isNamed(at: number, name: string): boolean {
    const start = this.#offsets[at]!;
    if (this.#offsets[at + 1]! - start !== name.length) return false;
    for (let i = 0; i < name.length; i++) {
      const code = this.#text.charCodeAt(start + i);
      const lower = code >= 0x41 && code <= 0x5a ? code | 0x20 : code;
      if (lower !== name.charCodeAt(i)) return false;
    }
    return true;
  }

  #isIn(at: number, names: readonly string[]): boolean {
    for (const name of names) if (this.#isNamed(at, name)) return true;
    return false;
  }

  #isDropped(at: number, drop: readonly string[]): boolean {
    switch (this.#offsets[at + 1]! - this.#offsets[at]!) {
      case 2:
        if (this.#isNamed(at, 'te')) return true;
        break;
      case 4:
        if (this.#isNamed(at, 'host')) return true;
        break;
      case 6:
        if (this.#isNamed(at, 'expect')) return true;
        break;
      case 7:
        if (this.#isNamed(at, 'upgrade') || this.#isNamed(at, 'trailer')) return true;
        break;
      case 10:
        if (this.#isNamed(at, 'connection') || this.#isNamed(at, 'keep-alive')) return true;
        break;
      case 14:
        if (this.#isNamed(at, 'content-length')) return true;
        break;
      case 16:
        if (this.#isNamed(at, 'proxy-connection')) return true;
        break;
      case 17:
        if (this.#isNamed(at, 'transfer-encoding')) return true;
        break;
    }
    return this.#isIn(at, drop);
  }

  /** The further names that `Connection` gives, or undefined where it gives none. */
  #nominated(): string[] | undefined {
    let names: string[] | undefined;
    for (
      let at = this.#find('connection', 0);
      at >= 0;
      at = this.#find('connection', at + STRIDE)
    ) {
      for (const item of this.#value(at).split(',')) {
        const name = item.trim().toLowerCase();
        if (name === '' || name === 'close' || name === 'keep-alive') continue;
        names = names === undefined ? [name] : [...names, name];
      }
    }
    return names;
  }
}

/** What a sender may hand over: a block, or names and values in turns. */
export type HeaderList = HeaderBlock | readonly string[];

/** Checked fields, ready to be sent. A constant one is worth keeping. */
export class HeaderBlock {
  static readonly EMPTY = new HeaderBlock('', -1, false);

  /** `Name: value` lines, each with its CRLF, none of them about framing. */
  readonly text: string;
  /** -1 when the sender did not say. */
  readonly contentLength: number;
  readonly hasDate: boolean;

  private constructor(text: string, contentLength: number, hasDate: boolean) {
    this.text = text;
    this.contentLength = contentLength;
    this.hasDate = hasDate;
  }

  /** Fields that a parser has checked. */
  static trusted(text: string, contentLength: number, hasDate: boolean): HeaderBlock {
    return new HeaderBlock(text, contentLength, hasDate);
  }

  /**
   * Names and values in turns. `Content-Length` is taken as the length of the body; other fields
   * that belong to the connection are refused, and so is anything that could end a line.
   */
  static from(list: HeaderList): HeaderBlock {
    if (list instanceof HeaderBlock) return list;
    return list.length === 0 ? HeaderBlock.EMPTY : HeaderBlock.EMPTY.with(...list);
  }

  /** This block and further fields: names and values in turns. */
  with(...pairs: readonly string[]): HeaderBlock {
    let { text, contentLength, hasDate } = this;
    if (pairs.length % 2 !== 0) throw invalidField(pairs.at(-1) ?? '', 'has no value');
    for (let i = 0; i < pairs.length; i += 2) {
      const name = pairs[i]!;
      const value = pairs[i + 1]!;
      if (name === '' || !isMadeOf(name, TOKEN)) throw invalidField(name, 'is no field name');
      if (!isMadeOf(value, VALUE)) throw invalidField(name, 'has a value with control characters');
      const lower = name.toLowerCase();
      if (lower === 'content-length') {
        if (!/^\d{1,15}$/.test(value)) throw invalidField(name, 'is no length');
        contentLength = Number(value);
      } else if (CONNECTION_FIELDS.has(lower)) {
        throw invalidField(name, 'belongs to the connection');
      } else {
        if (lower === 'date') hasDate = true;
        text += `${name}: ${value}\r\n`;
      }
    }
    return new HeaderBlock(text, contentLength, hasDate);
  }

  /**
   * This block, lines that the caller has checked (each with its CRLF, none about framing), and
   * further names and values.
   */
  plus(lines: string, pairs: readonly string[] = []): HeaderBlock {
    const block = new HeaderBlock(this.text + lines, this.contentLength, this.hasDate);
    return pairs.length === 0 ? block : block.with(...pairs);
  }

  /** The same fields for a body of another length; -1 for one of unknown length. */
  withLength(contentLength: number): HeaderBlock {
    return new HeaderBlock(this.text, contentLength, this.hasDate);
  }
}

function isMadeOf(text: string, table: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) {
    if (table[text.charCodeAt(i)] !== 1) return false;
  }
  return true;
}

function invalidField(name: string, problem: string): FlotillaError {
  return new FlotillaError('http_header_invalid', `header field "${name}" ${problem}`, {
    details: { name, problem },
  });
}
