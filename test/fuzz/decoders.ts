// Hostile frames against the decoders alone: every stage takes them, or refuses them with
// `frame_invalid` and nothing else, and memory that was taken is given back.
import assert from 'node:assert/strict';
import { hasCode } from '../../src/core/index.ts';
import { decodeGreeting } from '../../src/peer/handshake.ts';
import { decodePreamble } from '../../src/peer/lanes.ts';
import { readRelayHeader } from '../../src/peer/relay-messages.ts';
import { decodeBody, MessageDecoder, MuxDecoder, ReceiveBudget } from '../../src/wire/index.ts';
import type { MessageSink } from '../../src/wire/index.ts';
import type { Generator } from './generator.ts';

const MIB = 1024 * 1024;
const LIMITS = { maxMessageBytes: 8 * MIB, maxHeadBytes: MIB, maxPartialBytes: 16 * MIB };

/** The chain of decoders that the bytes of one connection meet; half of its streams are raw. */
class Chain implements MessageSink {
  readonly budget = new ReceiveBudget(LIMITS);
  readonly #decoders = new Map<number, MessageDecoder>();
  readonly #mux = new MuxDecoder({
    muxData: (stream, bytes, start, end) => this.#decoderOf(stream).push(bytes, start, end),
    muxSignal: (_stream, _flag, payload) => void refusedOr(() => decodePreamble(payload)),
  });

  push(bytes: Buffer): void {
    this.#mux.push(bytes);
  }

  message(buffer: Uint8Array, start: number, end: number): void {
    for (const at of [0, 8, 12]) {
      if (start + at > end) continue;
      refusedOr(() => decodeGreeting(decodeBody(buffer, start + at, end)));
    }
    refusedOr(() => readRelayHeader(buffer, start, end));
  }

  drop(): void {
    for (const decoder of this.#decoders.values()) decoder.drop();
    this.#decoders.clear();
  }

  #decoderOf(stream: number): MessageDecoder {
    let decoder = this.#decoders.get(stream);
    if (decoder === undefined) {
      decoder = new MessageDecoder(this, this.budget, stream % 4 === 0 ? 'raw' : 'framed');
      this.#decoders.set(stream, decoder);
    }
    return decoder;
  }
}

/** False when `step` was refused. Anything but `frame_invalid` goes on. */
function refusedOr(step: () => void): boolean {
  try {
    step();
    return true;
  } catch (error) {
    if (!hasCode(error, 'frame_invalid')) throw error;
    return false;
  }
}

/** Feeds the frames of one connection; after a refusal the chain begins anew. Frames fed. */
export function feedDecoders(generator: Generator): number {
  let chain = new Chain();
  let fed = 0;
  for (const frame of generator.connection()) {
    fed++;
    const sound = generator.cut(frame).every((piece) => refusedOr(() => chain.push(piece)));
    assert.ok(chain.budget.heldBytes <= LIMITS.maxPartialBytes);
    if (sound) continue;
    chain.drop();
    assert.equal(chain.budget.heldBytes, 0, 'memory of unfinished messages is given back');
    chain = new Chain();
  }
  chain.drop();
  assert.equal(chain.budget.heldBytes, 0, 'memory of unfinished messages is given back');
  return fed;
}
