// Counters of one peer, bumped on the hot path and read as a plain object.

export class LaneCounters {
  sentMessages = 0;
  sentBytes = 0;
  receivedMessages = 0;
  receivedBytes = 0;
  /** Messages that were not taken because the lane was full, or had no receiver. */
  drops = 0;
}

export interface PeerMetrics {
  readonly control: Readonly<LaneCounters>;
  readonly requests: Readonly<LaneCounters>;
  readonly responses: Readonly<LaneCounters>;
  /** Data, raw, communicator and tag channels together. */
  readonly channels: Readonly<LaneCounters>;
  /** Calls of this node that wait for the peer's answer. */
  readonly pendingCalls: number;
  /** Calls of the peer that run here. */
  readonly runningCalls: number;
  /** Answers whose caller had given up. */
  readonly droppedResponses: number;
  /** Answers that were not sent because the caller's deadline, cancellation or disconnect was first. */
  readonly lateAnswers: number;
}
