// Defaults of membership and routing. Values come from the distributed-serving system that this
// folder succeeds; presets may override them.

export const CLUSTER_DEFAULTS = {
  /**
   * How often a node tells every other that it lives. Lower finds failures sooner, costs messages.
   */
  heartbeatIntervalMs: 1_000,
  /** Silence after which a member is unhealthy and no longer routed to. */
  healthTimeoutMs: 5_000,
  /**
   * Health checks in each heartbeat interval; more find a silent member sooner after its timeout.
   */
  checksPerHeartbeat: 4,
  /** Virtual nodes a member has on the ring. */
  replicas: 150,
  /** How long a joining node waits for its seed, and a redial for an answer. */
  joinTimeoutMs: 10_000,
  /** Members that one fleet may list; a join beyond it is refused. */
  maxMembers: 4_096,
} as const;
