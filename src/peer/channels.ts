// The channels of one peer: made when either end first names them, freed when one is removed, never
// brought back by what arrives late. Bounds what nobody has asked for.
import { invalidOption } from '../core/index.ts';
import { decodeBody, encodeBody, RAW_PREFIX_BYTES, writeRawPrefix } from '../wire/index.ts';
import { LaneChannel } from './channel.ts';
import { MAX_REMOVED_CHANNELS, MAX_SENDING_CHANNELS, UNCLAIMED_LIMITS } from './defaults.ts';
import { laneFull } from './errors.ts';
import { channelKey } from './lanes.ts';
import { checkHead, checkSize, FIELDS_AT, sizeOf, writeMessage } from './message-writer.ts';
import { LaneCounters } from './metrics.ts';
import { payloadOf } from './payload.ts';
import type { Clock, Deadlines, FlotillaError } from '../core/index.ts';
import type { ReceiveStream, SendStream, SendStreamEvents } from '../transport/index.ts';
import type { MessageSink } from '../wire/index.ts';
import type { ChannelAddress } from './lanes.ts';
import type { Payload } from './payload.ts';

export interface ChannelsComponents {
  readonly peer: string;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly callTimeoutMs: number;
  /** Throws `lane_full` when too many streams are open. */
  openStream(address: ChannelAddress, events: SendStreamEvents): SendStream;
}

/** The reader of a channel's stream. */
export interface ChannelReader extends MessageSink {
  /** The other end ended the stream. */
  ended(): void;
}

type RawAddress = Exclude<ChannelAddress, { lane: 'data' }>;

const NOTHING = new Uint8Array(0);
const REFUSED: ChannelReader = { message() {}, ended() {} };
const rawPrefix = new Uint8Array(RAW_PREFIX_BYTES);

export class Channels {
  readonly counters = {
    data: new LaneCounters(),
    raw: new LaneCounters(),
    communicator: new LaneCounters(),
    tag: new LaneCounters(),
  };
  readonly #components: ChannelsComponents;
  /** By key; the data channel carries payloads, the others bytes. */
  readonly #channels = new Map<string, LaneChannel<unknown>>();
  /** Keys of channels that this end removed, oldest first. */
  readonly #removed = new Set<string>();
  readonly #unclaimed = new Set<LaneChannel<unknown>>();
  #unclaimedBytes = 0;
  /** Channels with a stream of this end. */
  #sending = 0;
  #closed: FlotillaError | undefined;
  maxMessageBytes: number;

  constructor(components: ChannelsComponents, limits: { maxMessageBytes: number }) {
    this.#components = components;
    this.maxMessageBytes = limits.maxMessageBytes;
  }

  /** Channels that are held, asked for or not. */
  get size(): number {
    return this.#channels.size;
  }

  /** The data channel; the same object until it is removed. */
  data(): LaneChannel<Payload> {
    return this.#claim({ lane: 'data' }) as LaneChannel<Payload>;
  }

  /** A channel of raw bytes; the same object until it is removed. */
  raw(address: RawAddress): LaneChannel<Uint8Array> {
    if ('id' in address && BigInt.asUintN(64, address.id) !== address.id) {
      throw invalidOption(`the id of a ${address.lane}`, 'from 0 to 2^64 − 1', address.id);
    }
    return this.#claim(address) as LaneChannel<Uint8Array>;
  }

  /** The other end opened its direction of a channel. */
  accept(address: ChannelAddress, stream: ReceiveStream): ChannelReader {
    const key = channelKey(address);
    const channel = this.#channels.get(key) ?? this.#createUnclaimed(address, key);
    const source = channel?.attach(stream);
    if (channel === undefined || source === undefined) {
      this.counters[address.lane].drops++;
      stream.refuse();
      return REFUSED;
    }
    const framed = address.lane === 'data';
    return {
      lend: (length, withdraw) => channel.lend(source, length, withdraw),
      message: (buffer, start, end, bytes) => {
        const size = end - start + (bytes?.length ?? 0);
        const message = framed
          ? payloadOf(decodeBody(buffer, start, end), bytes)
          : (bytes ?? NOTHING);
        channel.deliver(source, message, size);
        if (!channel.claimed) this.#boundUnclaimed(channel, size);
      },
      ended: () => channel.detach(source),
    };
  }

  close(error: FlotillaError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    for (const channel of this.#channels.values()) channel.close(error);
  }

  #claim(address: ChannelAddress): LaneChannel<unknown> {
    const key = channelKey(address);
    this.#removed.delete(key);
    const channel = this.#channels.get(key) ?? this.#create(address, key);
    if (!channel.claimed) {
      channel.claimed = true;
      if (this.#unclaimed.delete(channel)) this.#unclaimedBytes -= channel.heldBytes;
    }
    return channel;
  }

  /** Undefined when this end has removed the channel, or too many wait to be asked for. */
  #createUnclaimed(address: ChannelAddress, key: string): LaneChannel<unknown> | undefined {
    if (this.#removed.has(key)) return undefined;
    if (this.#unclaimed.size >= UNCLAIMED_LIMITS.channels) return undefined;
    const channel = this.#create(address, key);
    this.#unclaimed.add(channel);
    return channel;
  }

  /** What nobody asks for may fill so much memory and no more: then its channel is given up. */
  #boundUnclaimed(channel: LaneChannel<unknown>, size: number): void {
    this.#unclaimedBytes += size;
    if (this.#unclaimedBytes <= UNCLAIMED_LIMITS.bytes) return;
    this.#unclaimedBytes -= channel.heldBytes;
    this.#unclaimed.delete(channel);
    channel.remove();
  }

  #create(address: ChannelAddress, key: string): LaneChannel<unknown> {
    const { openStream, ...rest } = this.#components;
    const channel: LaneChannel<unknown> = new LaneChannel<unknown>({
      ...rest,
      label: 'id' in address ? `${address.lane} ${address.id}` : `the ${address.lane} channel`,
      counters: this.counters[address.lane],
      write: address.lane === 'data' ? this.#writeData : this.#writeRaw,
      openStream: (events) => {
        if (this.#sending >= MAX_SENDING_CHANNELS) {
          throw laneFull(this.#components.peer, 'channels', MAX_SENDING_CHANNELS);
        }
        const stream = openStream(address, events);
        this.#sending++;
        return stream;
      },
      streamOver: () => {
        this.#sending--;
      },
      freed: (byThisEnd) => {
        if (this.#channels.get(key) === channel) this.#channels.delete(key);
        this.#unclaimed.delete(channel);
        if (byThisEnd) this.#rememberRemoved(key);
      },
    });
    if (this.#closed === undefined) this.#channels.set(key, channel);
    else channel.close(this.#closed);
    return channel;
  }

  #rememberRemoved(key: string): void {
    this.#removed.add(key);
    if (this.#removed.size <= MAX_REMOVED_CHANNELS) return;
    for (const oldest of this.#removed) {
      this.#removed.delete(oldest);
      return;
    }
  }

  readonly #writeRaw = (stream: SendStream, message: unknown): number => {
    const bytes = message as Uint8Array;
    checkSize(bytes.length, this.maxMessageBytes);
    writeRawPrefix(rawPrefix, 0, bytes.length);
    stream.write(rawPrefix);
    stream.write(bytes);
    return bytes.length;
  };

  readonly #writeData = (stream: SendStream, payload: unknown): number => {
    const { body, bytes } = payload as Payload;
    const message = { fieldsEnd: FIELDS_AT, body: encodeBody(body), bytes };
    const size = sizeOf(message);
    checkSize(size, this.maxMessageBytes);
    checkHead(message);
    writeMessage(stream, message);
    return size;
  };
}
