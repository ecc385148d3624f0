// MessagePack bodies: plain maps, arrays, strings, numbers, binary and typed arrays, so that any
// language reads them. Bytes from outside are walked by `checkBody` first; msgpackr then decodes
// what is sound.
import { Packr, RESET_BUFFER_MODE, REUSE_BUFFER_MODE } from 'msgpackr';
import { FlotillaError, messageOf } from '../core/index.ts';
import { checkBody } from './body-check.ts';
import { frameInvalid } from './mux-frame.ts';

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true,
  moreTypes: false,
  encodeUndefinedAsNil: true,
  copyBuffers: true,
  // Safe integers as numbers, larger ones as bigint.
  int64AsType: 'auto' as 'number',
});

// It would travel as nil.
Object.assign(packr, {
  writeFunction: ({ name }: { readonly name: string }) => {
    throw new TypeError(`a function does not travel: ${name || 'one without a name'}`);
  },
});

/** An encoded body: `buffer[start, end)`, valid until the next `encodeBody`. */
export interface EncodedBody {
  readonly buffer: Uint8Array;
  readonly start: number;
  readonly end: number;
}

const MODE = REUSE_BUFFER_MODE | RESET_BUFFER_MODE;
/** The token of nil: the body of many a call that carries bytes only. */
const NIL = 0xc0;
const NIL_BODY: EncodedBody = { buffer: Uint8Array.of(NIL), start: 0, end: 1 };
const EMPTY: EncodedBody = { buffer: new Uint8Array(0), start: 0, end: 0 };
const encoded = { buffer: EMPTY.buffer, start: 0, end: 0 };

/** Encodes into a shared scratch buffer; `undefined` is no bytes. Throws `body_unencodable`. */
export function encodeBody(body: unknown): EncodedBody {
  if (body === undefined) return EMPTY;
  if (body === null) return NIL_BODY;
  try {
    const target = packr.pack(body, MODE) as Buffer & { start: number; end: number };
    encoded.buffer = target;
    encoded.start = target.start;
    encoded.end = target.end;
    return encoded;
  } catch (error) {
    throw new FlotillaError('body_unencodable', `the body cannot be encoded: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

const span = { start: 0, end: 0 };

/** Decodes `buffer[start, end)`; binary values are copies. Throws `frame_invalid`. */
export function decodeBody(buffer: Uint8Array, start = 0, end = buffer.length): unknown {
  if (start === end) return undefined;
  if (end - start === 1 && buffer[start] === NIL) return null;
  checkBody(buffer, start, end);
  span.start = start;
  span.end = end;
  try {
    return packr.unpack(buffer, span);
  } catch (error) {
    throw frameInvalid(`a body that is no MessagePack (${messageOf(error)})`);
  }
}
