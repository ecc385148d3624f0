// The channels of one peer: made when either end first names them, freed when one is removed, never
// brought back by what arrives late.
import { decodeBody, encodeBody, RAW_PREFIX_BYTES, writeRawPrefix } from '../wire/index.ts';
import { LaneChannel } from './channel.ts';
import { MAX_REMOVED_CHANNELS } from './defaults.ts';
import { channelKey } from './lanes.ts';
import { checkSize, FIELDS_AT, sizeOf, writeMessage } from './message-writer.ts';
import { payloadOf } from './payload.ts';
import type { Clock, Deadlines, FlotillaError } from '../core/index.ts';
import type { ReceiveStream, SendStream, SendStreamEvents } from '../transport/index.ts';
import type { MessageSink } from '../wire/index.ts';
import type { ChannelFormat } from './channel.ts';
import type { ChannelAddress } from './lanes.ts';
import type { LaneCounters } from './metrics.ts';
import type { Payload } from './payload.ts';

export interface ChannelsComponents {
  readonly peer: string;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly counters: LaneCounters;
  readonly callTimeoutMs: number;
  openStream(address: ChannelAddress, events: SendStreamEvents): SendStream;
}

/** The reader of a channel's stream. */
export interface ChannelReader extends MessageSink {
  /** The stream is over. */
  ended(): void;
}

const NOTHING = new Uint8Array(0);

export class Channels {
  readonly #components: ChannelsComponents;
  readonly #raw = new Map<string, LaneChannel<Uint8Array>>();
  readonly #data: LaneChannel<Payload>;
  readonly #removed = new Set<string>();
  #closed: FlotillaError | undefined;
  maxMessageBytes: number;

  constructor(components: ChannelsComponents, limits: { maxMessageBytes: number }) {
    this.#components = components;
    this.maxMessageBytes = limits.maxMessageBytes;
    this.#data = this.#create({ lane: 'data' }, this.#dataFormat(), () => {});
  }

  get data(): LaneChannel<Payload> {
    return this.#data;
  }

  /** A channel of raw bytes; the same object until it is removed. */
  raw(address: Exclude<ChannelAddress, { lane: 'data' }>): LaneChannel<Uint8Array> {
    const key = channelKey(address);
    this.#removed.delete(key);
    return this.#raw.get(key) ?? this.#createRaw(address, key);
  }

  /** The other end opened its direction of a channel. */
  accept(address: ChannelAddress, stream: ReceiveStream): ChannelReader {
    const { counters } = this.#components;
    if (address.lane === 'data') {
      const data = this.#data;
      data.attach(stream);
      return {
        message: (buffer, start, end, bytes) =>
          data.deliver(payloadOf(decodeBody(buffer, start, end), bytes)),
        ended: () => data.detach(stream),
      };
    }
    const key = channelKey(address);
    if (this.#removed.has(key)) {
      stream.refuse();
      counters.drops++;
      return { message() {}, ended() {} };
    }
    const channel = this.#raw.get(key) ?? this.#createRaw(address, key);
    channel.attach(stream);
    return {
      message: (_buffer, _start, _end, bytes) => channel.deliver(bytes ?? NOTHING),
      ended: () => channel.detach(stream),
    };
  }

  close(error: FlotillaError): void {
    this.#closed = error;
    this.#data.close(error);
    for (const channel of this.#raw.values()) channel.close(error);
  }

  #createRaw(
    address: Exclude<ChannelAddress, { lane: 'data' }>,
    key: string,
  ): LaneChannel<Uint8Array> {
    const channel = this.#create(address, this.#rawFormat(), () => {
      this.#raw.delete(key);
      this.#removed.add(key);
      if (this.#removed.size <= MAX_REMOVED_CHANNELS) return;
      for (const oldest of this.#removed) {
        this.#removed.delete(oldest);
        break;
      }
    });
    if (this.#closed === undefined) this.#raw.set(key, channel);
    else channel.close(this.#closed);
    return channel;
  }

  #create<T>(
    address: ChannelAddress,
    format: ChannelFormat<T>,
    removed: () => void,
  ): LaneChannel<T> {
    const { openStream, ...rest } = this.#components;
    return new LaneChannel({
      ...rest,
      label: 'id' in address ? `${address.lane} ${address.id}` : `the ${address.lane} channel`,
      format,
      openStream: (events) => openStream(address, events),
      removed,
    });
  }

  #rawFormat(): ChannelFormat<Uint8Array> {
    return {
      write: (stream, bytes) => {
        checkSize(bytes.length, this.maxMessageBytes);
        const prefix = new Uint8Array(RAW_PREFIX_BYTES);
        writeRawPrefix(prefix, 0, bytes.length);
        stream.write(prefix);
        stream.write(bytes);
        return bytes.length;
      },
      sizeOf: (bytes) => bytes.length,
    };
  }

  #dataFormat(): ChannelFormat<Payload> {
    return {
      write: (stream, { body, bytes }) => {
        const message = { fieldsEnd: FIELDS_AT, body: encodeBody(body), bytes };
        const size = sizeOf(message);
        checkSize(size, this.maxMessageBytes);
        writeMessage(stream, message);
        return size;
      },
      // The body's encoded size is not known here; its bytes are what fills memory.
      sizeOf: ({ bytes }) => bytes?.length ?? 0,
    };
  }
}
