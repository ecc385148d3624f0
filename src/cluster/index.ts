export { Cluster } from './cluster.ts';
export { Coordinator } from './coordinator.ts';
export { CLUSTER_DEFAULTS, MEMBER_LIMITS, MEMBERSHIP_PRESETS } from './defaults.ts';
export { CLUSTER_ERRORS } from './errors.ts';
export { LoadGossip } from './load-gossip.ts';
export { DispatchedRequest } from './load-router.ts';
export { hasEnded, isRoutable, outranks } from './member.ts';
export { Membership } from './membership.ts';
export { NodeRegistry } from './node-registry.ts';
export type { ClusterComponents, ClusterOptions } from './cluster.ts';
export type { ClusterEvent, ClusterListener } from './cluster-events.ts';
export type { ClusterHost, PeerTraffic } from './cluster-host.ts';
export type { CoordinatorComponents, CoordinatorOptions, HealthyMembers } from './coordinator.ts';
export type { KnownNode, LoadCounters } from './load-board.ts';
export type { LoadGossipComponents, LoadGossipOptions } from './load-gossip.ts';
export type { RouteCandidate, RouteExplanation, RouteReason } from './load-router.ts';
export type { MembershipPreset } from './defaults.ts';
export type {
  DeclaredStatus,
  Member,
  MemberMetadata,
  MemberRecord,
  MemberStatus,
  MemberUpdate,
} from './member.ts';
export type {
  MembershipEffect,
  MembershipEvent,
  MembershipMessage,
  MembershipOptions,
} from './membership-types.ts';
export type { NodeInfo } from './node-registry.ts';
