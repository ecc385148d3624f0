// The words of routing: what is chosen among, for whom, and what comes out.
import type { PromptKey } from './prompt-key.ts';

/** An engine that requests can be sent to. */
export interface Endpoint {
  readonly id: string;
  /** The node whose reported load is the engine's. */
  readonly node: string;
  readonly models: readonly string[];
  /** How much it can do compared with others. @default 1 */
  readonly capacity?: number;
}

export interface RouteRequest {
  readonly model: string;
  /** What the client calls its conversation. */
  readonly session?: string;
  readonly user?: string;
  readonly prompt?: PromptKey;
  /**
   * Whether the answer's first byte tells that the prompt was read. Otherwise the router takes the
   * prompt for read after the time that the endpoint's rate suggests. @default true
   */
  readonly streamed?: boolean;
}

export const POLICY_NAMES = [
  'round-robin',
  'random',
  'least-load',
  'weighted',
  'consistent-hash',
  'prefix-affinity',
] as const;

export type PolicyName = (typeof POLICY_NAMES)[number];

/**
 * Why an endpoint was chosen: by the `policy`'s own rule; as the `home` of the key on the ring;
 * walked on from a full home (`spill`); for the longest cached `prefix`; `released` from the holder
 * of the longest prefix because waiting there would take longer; for the least `load`; or as the
 * `only` one that may be sent to.
 */
export type ChoiceReason = 'policy' | 'home' | 'spill' | 'prefix' | 'released' | 'load' | 'only';

/** What named the request on the ring. */
export type KeyKind = 'session' | 'user' | 'prompt' | 'none';

/** A decision, and from `dispatched` to `settled` the request's place in all counts. */
export interface Choice {
  readonly endpoint: Endpoint;
  readonly reason: ChoiceReason;
  readonly keyKind: KeyKind;
  /** How many endpoints could be sent to, those among them that start slowly. */
  readonly candidates: number;
  /** Estimated tokens of the prompt, and how many of them the endpoint has in its cache. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

/**
 * How a request ended. `ok`; `failed`: the engine's fault (5xx, no connection, no answer in time);
 * `abandoned`: nobody's fault that the engine could show: the client went away, another try was
 * quicker, or the request was refused (4xx).
 */
export type Result = 'ok' | 'failed' | 'abandoned';

/** Why nothing may be sent to an endpoint. */
export type Exclusion = 'draining' | 'breaker-open' | 'ejected' | 'tried';

/** What the router knows of an endpoint apart from any request. */
export interface EndpointState {
  readonly endpoint: string;
  readonly node: string;
  /** Absent when it may be sent to. */
  readonly excluded?: Exclusion;
  /** This router's requests in flight, and all of them as far as it can know. */
  readonly ownInFlight: number;
  readonly inFlight: number;
  /** Tokens of this router's requests that wait for their prefill. */
  readonly waitingTokens: number;
  readonly prefillTokensPerMs: number;
  /** Share of its requests that it gets while it starts slowly: 0 to 1. */
  readonly weight: number;
}

/** One line of an explanation. */
export interface CandidateFacts extends EndpointState {
  readonly cachedTokens: number;
  /** Whether the request's key belongs to it on the ring, walked on past those that are full. */
  readonly home: boolean;
  /**
   * What the policy compares, the lowest wins; null where it compares nothing. Prefix affinity:
   * milliseconds to the first token, less a home's advantage. Least load: requests in flight for
   * the capacity. Weighted: what is used of its room. Consistent hash: requests in flight over
   * their limit, from 1 on it is walked past.
   */
  readonly score: number | null;
}

/** Plain data, for people and JSON. */
export interface Explanation {
  readonly policy: PolicyName;
  readonly model: string;
  readonly keyKind: KeyKind;
  readonly promptTokens: number;
  /** Tokens of the prompt of the turn before. */
  readonly historyTokens: number;
  /**
   * The endpoint that would be chosen now; absent when none may be. By chance for some policies.
   */
  readonly endpoint?: string;
  readonly reason?: ChoiceReason;
  readonly candidates: readonly CandidateFacts[];
}
