// What a message costs on the wire: its body as it is encoded, in a frame of its own. What TLS and
// TCP add is left out, for it depends on how many messages share a packet.
import { encodeBody, FRAMED_PREFIX_BYTES, MUX_HEADER_BYTES } from '../../src/wire/index.ts';

/** Bytes of a control message of `kind`. */
export function messageBytes(kind: string, body: unknown): number {
  const { start, end } = encodeBody(body);
  const head = encodeBody({ kind });
  return MUX_HEADER_BYTES + FRAMED_PREFIX_BYTES + (head.end - head.start) + (end - start);
}
