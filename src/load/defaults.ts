// Every literal and limit of load: what counts as stale, overloaded, and how fast views follow.

export const LOAD_DEFAULTS = {
  /** How often a node samples itself and tells others. Lower routes better, costs messages. */
  sampleIntervalMs: 1_000,
  /** Age after which a record says nothing any more: its node counts as unknown. */
  staleAfterMs: 5_000,
  /** Nodes whose records are kept; more are refused. The limit of members (cluster). */
  maxNodes: 4_096,
  /**
   * Half-life of a rise in the smoothed values. Short: a node that fills up is avoided at once.
   */
  riseHalfLifeMs: 500,
  /** Half-life of a fall. Long: a node that just calmed down is not flooded again. */
  fallHalfLifeMs: 4_000,
  /** Half-life of what overload is judged by: a burst of a second is no overload. */
  sustainedHalfLifeMs: 5_000,
  /**
   * Half-life of what is taken for other routers' requests at a node. One sample tells what is over
   * before the next one comes; their level over seconds is what lasts. Shorter, and many routers
   * chase each other's last samples; longer, and a node that emptied is believed later.
   */
  othersHalfLifeMs: 10_000,
  /** CPU share from which a node is overloaded: skipped while others can serve. */
  overloadedCpu: 0.95,
  /** Memory share from which a node is overloaded. */
  overloadedMemory: 0.9,
  /** What one more request is taken to add to a node's usage until a sample tells. */
  assumedUsagePerRequest: 0.01,
  /** The weight of a node of which nothing is known. Akka's and atomr's adaptive routing. */
  unknownWeight: 0.5,
  /** Time after which a latency peak counts half (peak-EWMA; Finagle decays over 10 s). */
  latencyHalfLifeMs: 5_000,
  /** What a failed request counts as, at least: a node that fails fast must not look fast. */
  failureLatencyMs: 1_000,
  /** In-flight requests at which the in-flight selector sees no capacity left. */
  inFlightLimit: 64,
  /** Waiting requests at which the queue selector sees no capacity left. */
  queueLimit: 64,
} as const;

/** Bytes of a node's name in a record. */
export const MAX_NAME_LENGTH = 253;
/** GPUs of one record; more are refused. */
export const MAX_GPUS = 64;
/** Records of one batch; more are refused. */
export const MAX_BATCH = 512;
