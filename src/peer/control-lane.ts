// The control lane: fire-and-forget messages, each kind on a stream and with a bounded queue of its
// own, so that no kind holds another up.
import { assert, messageOf } from '../core/index.ts';
import { decodeBody, encodeBody } from '../wire/index.ts';
import { FIELDS_AT, sizeOf, writeMessage } from './message-writer.ts';
import type { Logger } from '../core/index.ts';
import type { SendStream } from '../transport/index.ts';
import type { MessageSink } from '../wire/index.ts';
import type { LaneCounters } from './metrics.ts';
import type { ControlHandler } from './payload.ts';

export interface ControlLaneComponents {
  readonly peer: string;
  readonly log: Logger;
  readonly handlers: ReadonlyMap<string, ControlHandler>;
  readonly counters: LaneCounters;
  openStream(kind: string, onDrain: () => void): SendStream;
}

export interface ControlLaneLimits {
  readonly laneCapacity: number;
  readonly maxControlBytes: number;
  readonly maxControlKinds: number;
}

interface Kind {
  readonly stream: SendStream;
  /** Messages sent since the queue was last empty: no fewer than those that wait. */
  waiting: number;
}

export class ControlLane {
  readonly #components: ControlLaneComponents;
  readonly #limits: ControlLaneLimits;
  readonly #kinds = new Map<string, Kind>();

  constructor(components: ControlLaneComponents, limits: ControlLaneLimits) {
    this.#components = components;
    this.#limits = limits;
  }

  /** False when the queue of this kind is full. Throws `body_unencodable`. */
  send(kind: string, body: unknown): boolean {
    const { counters } = this.#components;
    const queue = this.#kinds.get(kind) ?? this.#open(kind);
    const { laneCapacity, maxControlBytes } = this.#limits;
    const full = queue.waiting >= laneCapacity || queue.stream.queuedBytes >= maxControlBytes;
    if (full) {
      counters.drops++;
      return false;
    }
    const message = { fieldsEnd: FIELDS_AT, body: encodeBody(body) };
    writeMessage(queue.stream, message);
    if (queue.stream.queuedBytes > 0) queue.waiting++;
    counters.sentMessages++;
    counters.sentBytes += sizeOf(message);
    return true;
  }

  /** Reads the peer's stream of one kind. */
  sink(kind: string): MessageSink {
    const { counters, handlers, log, peer } = this.#components;
    return {
      message: (buffer, start, end) => {
        counters.receivedMessages++;
        counters.receivedBytes += end - start;
        const body = decodeBody(buffer, start, end);
        const handler = handlers.get(kind);
        if (handler === undefined) {
          counters.drops++;
          return;
        }
        try {
          handler(body, peer);
        } catch (error) {
          log.error({ peer, kind, err: error }, `a control handler failed: ${messageOf(error)}`);
        }
      },
    };
  }

  #open(kind: string): Kind {
    const { maxControlKinds } = this.#limits;
    assert(this.#kinds.size < maxControlKinds, `more than ${maxControlKinds} control kinds`);
    const stream = this.#components.openStream(kind, () => {
      queue.waiting = 0;
    });
    const queue: Kind = { stream, waiting: 0 };
    this.#kinds.set(kind, queue);
    return queue;
  }
}
