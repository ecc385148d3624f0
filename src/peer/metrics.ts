// Counters of one peer, bumped on the hot path and read as a plain object.

export class LaneCounters {
  sentMessages = 0;
  sentBytes = 0;
  receivedMessages = 0;
  receivedBytes = 0;
  /** Messages that were not taken because the lane was full, or had no receiver. */
  drops = 0;
  /** Messages that wait to be taken by this end's application, and their bytes. */
  depth = 0;
  depthBytes = 0;
  /** Sends that had to wait because the other end had not taken enough. */
  creditWaits = 0;
}

/** The counters of several lanes as those of one. */
export function sumOf(lanes: readonly Readonly<LaneCounters>[]): LaneCounters {
  const sum = new LaneCounters();
  for (const lane of lanes) {
    for (const counter of Object.keys(sum) as (keyof LaneCounters)[]) sum[counter] += lane[counter];
  }
  return sum;
}

export interface PeerMetrics {
  readonly control: Readonly<LaneCounters>;
  readonly requests: Readonly<LaneCounters>;
  readonly responses: Readonly<LaneCounters>;
  /** Data, raw, communicator and tag channels together, then each of these lanes. */
  readonly channels: Readonly<LaneCounters>;
  readonly data: Readonly<LaneCounters>;
  readonly raw: Readonly<LaneCounters>;
  /** The channels of all communicators together, and of all tags. */
  readonly communicator: Readonly<LaneCounters>;
  readonly tag: Readonly<LaneCounters>;
  /** Channels held for the peer, asked for or not. */
  readonly heldChannels: number;
  /** Relayed messages and the notices about them, passed on or for this node. */
  readonly relay: Readonly<LaneCounters>;
  /** Calls of this node that wait for the peer's answer. */
  readonly pendingCalls: number;
  /** Calls of the peer that run here. */
  readonly runningCalls: number;
  /** Answers whose caller had given up. */
  readonly droppedResponses: number;
  /** Answers not sent because the caller's deadline, cancellation or disconnect was first. */
  readonly lateAnswers: number;
}
