// Parses one line of a graph file: TSV, CSV or N-Triples. A parser gives the three names, undefined
// for a line without a triple (blank, comment), or a sentence that says what is wrong with the
// line.

/** Head, relation and tail. */
export type NamedTriple = readonly [head: string, relation: string, tail: string];
export type LineParser = (line: string) => NamedTriple | string | undefined;
export type FormatName = 'tsv' | 'csv' | 'ntriples';

function threeFields(fields: readonly string[], separator: string): NamedTriple | string {
  if (fields.length !== 3) {
    return `expected 3 fields separated by ${separator}, found ${fields.length}`;
  }
  const [head, relation, tail] = fields.map((field) => field.trim());
  if (head === '' || relation === '' || tail === '') return 'a field is empty';
  return [head!, relation!, tail!];
}

const parseTsv: LineParser = (line) =>
  line.trim() === '' ? undefined : threeFields(line.split('\t'), 'a tab');

/** Fields may be quoted, quotes in them are doubled (RFC 4180); a record is one line. */
const parseCsv: LineParser = (line) => {
  if (line.trim() === '') return undefined;
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (line[at] === '"') {
      let field = '';
      for (at++; ; at++) {
        const quote = line.indexOf('"', at);
        if (quote < 0) return 'a quoted field is not closed';
        field += line.slice(at, quote);
        at = quote + 1;
        if (line[at] !== '"') break;
        field += '"';
      }
      if (at < line.length && line[at] !== ',') return 'text follows a closing quote';
      fields.push(field);
    } else {
      const comma = line.indexOf(',', at);
      const end = comma < 0 ? line.length : comma;
      const field = line.slice(at, end);
      if (field.includes('"')) return 'a quote stands inside an unquoted field';
      fields.push(field);
      at = end;
    }
    if (at >= line.length) return threeFields(fields, 'a comma');
    at++;
  }
};

const IRI = /<([^\s\p{Cc}<>"{}|^`]*)>/uy;
const BLANK = /_:[\p{L}\p{N}_](?:[\p{L}\p{N}_.\-·:]*[\p{L}\p{N}_\-·:])?/uy;
const LITERAL = /"((?:[^"\\\n\r]|\\.)*)"(?:\^\^<[^\s\p{Cc}<>"]*>|@[A-Za-z]+(?:-[A-Za-z0-9]+)*)?/uy;
const NUMERIC_ESCAPE = /\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})/g;
const BAD_ESCAPE = /\\(?!u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[tbnrf"'\\])/;
const BAD_IRI_ESCAPE = /\\(?!u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})/;

/**
 * Resolves \u and \U. The escapes of control characters, quotes and backslashes stay as they are
 * written: they are the canonical form of a literal, and keep a name on one line.
 */
function resolveEscapes(text: string): string | undefined {
  let broken = false;
  const result = text.replace(NUMERIC_ESCAPE, (_, short?: string, long?: string) => {
    const code = Number.parseInt(short ?? long ?? '', 16);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      broken = true;
      return '';
    }
    const known = { 9: '\\t', 10: '\\n', 13: '\\r', 34: '\\"', 92: '\\\\' }[code];
    return known ?? String.fromCodePoint(code);
  });
  return broken ? undefined : result;
}

class TermReader {
  readonly #line: string;
  at = 0;

  constructor(line: string) {
    this.#line = line;
  }

  skipSpace(): void {
    while (this.#line[this.at] === ' ' || this.#line[this.at] === '\t') this.at++;
  }

  match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.#line);
    if (found === null) return undefined;
    this.at = pattern.lastIndex;
    return found[0];
  }

  iri(): string | undefined {
    const term = this.match(IRI)?.slice(1, -1);
    return term === undefined || BAD_IRI_ESCAPE.test(term) ? undefined : resolveEscapes(term);
  }

  literal(): string | undefined {
    const term = this.match(LITERAL);
    return term === undefined || BAD_ESCAPE.test(term) ? undefined : resolveEscapes(term);
  }
}

/** N-Triples (RDF 1.1): IRIs lose their brackets, literals keep quotes, type and language. */
const parseNTriples: LineParser = (line) => {
  const reader = new TermReader(line);
  reader.skipSpace();
  if (reader.at >= line.length || line[reader.at] === '#') return undefined;
  const subject = reader.iri() ?? reader.match(BLANK);
  if (subject === undefined) return 'the subject is neither an IRI nor a blank node';
  reader.skipSpace();
  const predicate = reader.iri();
  if (predicate === undefined) return 'the predicate is not an IRI';
  reader.skipSpace();
  const object = reader.iri() ?? reader.match(BLANK) ?? reader.literal();
  if (object === undefined) return 'the object is not an IRI, a blank node or a literal';
  reader.skipSpace();
  if (line[reader.at] !== '.') return 'the line does not end with a full stop';
  const rest = line.slice(reader.at + 1).trimStart();
  if (rest !== '' && !rest.startsWith('#')) return 'text follows the full stop';
  if (subject === '' || predicate === '' || object === '') return 'an IRI is empty';
  return [subject, predicate, object];
};

export const LINE_PARSERS: Readonly<Record<FormatName, LineParser>> = {
  tsv: parseTsv,
  csv: parseCsv,
  ntriples: parseNTriples,
};

const HEADS = new Set(['head', 'subject', 'source', 'from', 's', 'h']);
const TAILS = new Set(['tail', 'object', 'target', 'to', 'o', 't']);

/** True for a first line that names its columns instead of a triple. */
export function isHeader([head, , tail]: NamedTriple): boolean {
  return HEADS.has(head.toLowerCase()) && TAILS.has(tail.toLowerCase());
}

/** Format by file name; undefined when the name does not say. */
export function formatOfName(name: string): FormatName | undefined {
  const bare = name.toLowerCase().replace(/\.gz$/, '');
  if (bare.endsWith('.tsv')) return 'tsv';
  if (bare.endsWith('.csv')) return 'csv';
  if (bare.endsWith('.nt') || bare.endsWith('.ntriples')) return 'ntriples';
  return undefined;
}

/** Format by the first line that is not blank or a comment. */
export function formatOfLine(line: string): FormatName {
  if (/^\s*(<[^>]*>|_:\S+)\s+<.*\.\s*(#.*)?$/.test(line)) return 'ntriples';
  return line.includes('\t') ? 'tsv' : line.includes(',') ? 'csv' : 'tsv';
}
