// The preambles of streams: which lane a stream belongs to. One byte of kind as in the protocol
// (0x01 framed, 0x02 raw, 0x03 raw of a communicator, 0x04 raw of a tag), then what tells it apart.
import { frameInvalid } from '../wire/index.ts';
import { MAX_NAME_BYTES } from './defaults.ts';

export const STREAM_KINDS = { framed: 0x01, raw: 0x02, communicator: 0x03, tag: 0x04 } as const;

export const LANES = { control: 1, requests: 2, responses: 3, data: 4, relay: 5 } as const;

export type FramedLane = keyof typeof LANES;

/** What a stream carries. */
export type LaneAddress =
  | { readonly lane: FramedLane; readonly name: string }
  | { readonly lane: 'raw' }
  | { readonly lane: 'communicator' | 'tag'; readonly id: bigint };

/** A lane whose two directions applications read and write themselves. */
export type ChannelAddress = Exclude<LaneAddress, { lane: FramedLane }> | { readonly lane: 'data' };

/** Tells channels apart in a map. */
export function channelKey(address: ChannelAddress): string {
  return 'id' in address ? `${address.lane}:${address.id}` : address.lane;
}

const ID_BYTES = 8;
const NAMES = new Map<number, FramedLane>(
  Object.entries(LANES).map(([name, number]) => [number, name as FramedLane]),
);

export function encodePreamble(address: LaneAddress): Uint8Array {
  if (address.lane === 'raw') return Uint8Array.of(STREAM_KINDS.raw);
  if ('id' in address) {
    const preamble = Buffer.alloc(1 + ID_BYTES);
    preamble[0] = STREAM_KINDS[address.lane];
    preamble.writeBigUInt64LE(address.id, 1);
    return preamble;
  }
  return Buffer.concat([
    Uint8Array.of(STREAM_KINDS.framed, LANES[address.lane]),
    Buffer.from(address.name),
  ]);
}

/** Throws `frame_invalid`. */
export function decodePreamble(preamble: Uint8Array): LaneAddress {
  const bytes = Buffer.from(preamble.buffer, preamble.byteOffset, preamble.length);
  switch (bytes[0]) {
    case STREAM_KINDS.framed: {
      const lane = NAMES.get(bytes[1] ?? 0);
      if (lane === undefined || bytes.length > 2 + MAX_NAME_BYTES) break;
      return { lane, name: bytes.toString('utf8', 2) };
    }
    case STREAM_KINDS.raw:
      if (bytes.length === 1) return { lane: 'raw' };
      break;
    case STREAM_KINDS.communicator:
    case STREAM_KINDS.tag:
      if (bytes.length !== 1 + ID_BYTES) break;
      return {
        lane: bytes[0] === STREAM_KINDS.tag ? 'tag' : 'communicator',
        id: bytes.readBigUInt64LE(1),
      };
  }
  throw frameInvalid(`a stream with the preamble ${bytes.toString('hex', 0, 16)}`);
}
