// The relay lane of one peer: messages for other nodes, on one stream with a bounded queue. Which
// node comes next on the way is `Relay`'s.
import { checkHead, checkSize, sizeOf, writeMessage } from './message-writer.ts';
import { writeRelayHeader } from './relay-messages.ts';
import type { SendStream } from '../transport/index.ts';
import type { EncodedBody } from '../wire/index.ts';
import type { LaneCounters } from './metrics.ts';
import type { RelayHeader } from './relay-messages.ts';

export interface RelayLaneComponents {
  readonly counters: LaneCounters;
  openStream(onDrain: () => void): SendStream;
}

export interface RelayLaneLimits {
  readonly maxMessageBytes: number;
  readonly laneCapacity: number;
  readonly maxRelayBytes: number;
}

/** The parts of a relayed message beside its header. The body is read during the call. */
export interface RelayContent {
  readonly body: EncodedBody;
  readonly bytes: Uint8Array | undefined;
}

export class RelayLane {
  readonly #components: RelayLaneComponents;
  limits: RelayLaneLimits;
  #stream: SendStream | undefined;
  /** Messages sent since the queue was last empty: no fewer than those that wait. */
  #waiting = 0;

  constructor(components: RelayLaneComponents, limits: RelayLaneLimits) {
    this.#components = components;
    this.limits = limits;
  }

  /** False when too much waits for the connection. Throws `message_too_large`. */
  send(header: RelayHeader, { body, bytes }: RelayContent): boolean {
    const { counters, openStream } = this.#components;
    const { maxMessageBytes, laneCapacity, maxRelayBytes } = this.limits;
    this.#stream ??= openStream(() => {
      this.#waiting = 0;
    });
    if (this.#waiting >= laneCapacity || this.#stream.queuedBytes >= maxRelayBytes) {
      counters.drops++;
      return false;
    }
    const message = { fieldsEnd: writeRelayHeader(header), body, bytes };
    const size = sizeOf(message);
    checkSize(size, maxMessageBytes);
    checkHead(message);
    writeMessage(this.#stream, message);
    if (this.#stream.queuedBytes > 0) this.#waiting++;
    counters.sentMessages++;
    counters.sentBytes += size;
    return true;
  }
}
