// What every simulated host does as the peer layer does: bodies go through the real codec, and
// errors look as its errors do.
import { FlotillaError } from '../../src/core/index.ts';
import { decodeBody, encodeBody } from '../../src/wire/index.ts';

/** Of handlers: nobody cancels a call here. */
export const NEVER = new AbortController().signal;

/** As it arrives; throws for what cannot travel. */
export function throughCodec(body: unknown): unknown {
  const { buffer, start, end } = encodeBody(body);
  return decodeBody(Uint8Array.from(buffer.subarray(start, end)));
}

export function failed(code: string, what: string): FlotillaError {
  return new FlotillaError(code, `${what}: ${code}`, { details: { peer: what } });
}
