// Defaults of membership and routing. Presets name what lies between the nodes; each number says
// what it trades in `MembershipOptions`, and docs/membership.md shows what was measured.
import type { MembershipOptions } from './membership-types.ts';

export const CLUSTER_DEFAULTS = {
  /** Virtual nodes a member has on the ring. */
  replicas: 150,
  /** How long a joining node waits for its seed. */
  joinTimeoutMs: 10_000,
  /** How long an exchange of views may take. */
  exchangeTimeoutMs: 5_000,
  /** How long the other holder of a name has to answer before a newcomer gets it. */
  conflictProbeTimeoutMs: 2_000,
  /** Between the word that a member leaves and its going, so that requests find other ways. */
  leaveMs: 1_000,
  /** Connections dialled at once for probes and news. */
  maxDials: 32,
  /** Messages that wait for one of those; the oldest give way. */
  maxWaitingMessages: 4,
  /** Members that are each told this node's load directly; in a larger fleet they pass it on. */
  maxDirectPushes: 20,
  /** How much earlier than its interval a node samples itself, at most, as a share of it. */
  loadJitter: 0.1,
  /** Refused load records are logged at most this often; all are counted. */
  loadLogMs: 10_000,
  /** What a member's word on its own capacity is held to. */
  minCapacity: 0.001,
  maxCapacity: 1_000_000,
} as const;

/** Above this size views are exchanged the more seldom, the larger the fleet is. */
export const EXCHANGE_SCALE_MEMBERS = 32;

/** Limits of what a peer may say, checked where it arrives. */
export const MEMBER_LIMITS = {
  maxNameLength: 63,
  maxAddressLength: 261,
  /** Of the metadata as JSON. */
  maxMetadataBytes: 512,
  maxUpdates: 256,
  maxIncarnation: 2 ** 52,
} as const;

const LAN: MembershipOptions = {
  probeIntervalMs: 500,
  probesPerInterval: 2,
  probeTimeoutMs: 250,
  indirectProbes: 3,
  suspicionMultiplier: 4,
  suspicionFloorMs: 2_500,
  suspicionMaxMultiplier: 6,
  suspicionConfirmations: 3,
  maxAwareness: 7,
  gossipIntervalMs: 200,
  gossipMembers: 3,
  retransmitMultiplier: 6,
  maxGossipBytes: 1_400,
  beatIntervalMs: 1_000,
  exchangeIntervalMs: 30_000,
  reconnectIntervalMs: 5_000,
  stallMs: 100,
  deadKeptMs: 3_600_000,
  maxMembers: 4_096,
  maxTombstones: 4_096,
  maxPendingProbes: 256,
};

/** What lies between the nodes. */
export const MEMBERSHIP_PRESETS = {
  /** One machine or one switch: a crash is seen by 10 members within 3 s. */
  local: {
    ...LAN,
    probeIntervalMs: 200,
    probeTimeoutMs: 100,
    suspicionFloorMs: 2_200,
    gossipIntervalMs: 100,
    stallMs: 50,
  },
  /** One data centre: a crash is seen by 100 members within 8 s. */
  lan: LAN,
  /** Between data centres: slower, and slower to accuse. */
  wan: {
    ...LAN,
    probeIntervalMs: 2_000,
    probesPerInterval: 1,
    probeTimeoutMs: 1_000,
    gossipIntervalMs: 500,
    gossipMembers: 4,
    exchangeIntervalMs: 60_000,
    reconnectIntervalMs: 15_000,
    stallMs: 200,
  },
} as const satisfies Readonly<Record<string, MembershipOptions>>;

export type MembershipPreset = keyof typeof MEMBERSHIP_PRESETS;
