export { CircuitBreaker } from './circuit-breaker.ts';
export { ROUTER_DEFAULTS } from './defaults.ts';
export { POLICY_NAMES } from './endpoint.ts';
export { ROUTING_ERRORS } from './errors.ts';
export { HedgePolicy } from './hedge-policy.ts';
export { OutlierEjector } from './outlier-ejector.ts';
export { PrefixIndex } from './prefix-index.ts';
export { blocksAt, PromptKeyBuilder } from './prompt-key.ts';
export { RetryPolicy } from './retry-policy.ts';
export { routeHeader } from './route-header.ts';
export { Router } from './router.ts';
export type { BreakerOptions, BreakerState, Permit } from './circuit-breaker.ts';
export type {
  CandidateFacts,
  Choice,
  ChoiceReason,
  Endpoint,
  EndpointState,
  Exclusion,
  Explanation,
  KeyKind,
  PolicyName,
  Result,
  RouteRequest,
} from './endpoint.ts';
export type { HealthOptions, SlowStartOptions } from './endpoint-health.ts';
export type { HedgeOptions } from './hedge-policy.ts';
export type { EjectionOptions } from './outlier-ejector.ts';
export type { PrefillOptions } from './prefill-board.ts';
export type { AffinityOptions } from './prefix-affinity.ts';
export type { PrefixIndexOptions } from './prefix-index.ts';
export type { PromptKey } from './prompt-key.ts';
export type { RetryOptions } from './retry-policy.ts';
export type { RouterOptions } from './router.ts';
