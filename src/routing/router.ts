// The router: which endpoint serves a request, and what becomes of it there. Pure: it sends nothing
// and knows no time but what it is told. It keeps every count from `dispatched` to `settled`.
import { assert, invalidOption } from '../core/index.ts';
import { RoutingView } from '../load/index.ts';
import { AFFINITY_DEFAULTS, ROUTER_DEFAULTS } from './defaults.ts';
import { POLICY_NAMES } from './endpoint.ts';
import { EndpointPool } from './endpoint-pool.ts';
import { HomeRing } from './home-ring.ts';
import { Place } from './place.ts';
import { consistentHash, keyKindOf, loadPolicy } from './policies.ts';
import { PrefillBoard } from './prefill-board.ts';
import { PrefixAffinity } from './prefix-affinity.ts';
import { PrefixIndex } from './prefix-index.ts';
import type { Prng } from '../core/index.ts';
import type { KnownLoad, RoutingViewOptions } from '../load/index.ts';
import type {
  CandidateFacts,
  Choice,
  Endpoint,
  EndpointState,
  Exclusion,
  Explanation,
  PolicyName,
  Result,
  RouteRequest,
} from './endpoint.ts';
import type { HealthOptions } from './endpoint-health.ts';
import type { Entry } from './place.ts';
import type { Pick, Policy, PolicyComponents, Score } from './policies.ts';
import type { PrefillOptions } from './prefill-board.ts';
import type { AffinityOptions } from './prefix-affinity.ts';
import type { PrefixIndexOptions } from './prefix-index.ts';

export interface RouterOptions extends HealthOptions {
  /** @default prefix-affinity */
  readonly policy?: PolicyName;
  /** @default 256 */
  readonly maxEndpoints?: number;
  /** Of the ring's walk. @default 1.25 */
  readonly loadFactor?: number;
  readonly affinity?: AffinityOptions;
  readonly prefill?: PrefillOptions;
  readonly index?: Omit<PrefixIndexOptions, 'maxEndpoints'>;
  readonly load?: Omit<RoutingViewOptions, 'maxNodes'>;
}

const NONE: readonly Choice[] = [];
const NO_SCORE: Score = { score: Number.NaN, cachedTokens: 0, home: false };

export class Router {
  readonly policy: PolicyName;
  readonly #view: RoutingView;
  readonly #pool: EndpointPool;
  readonly #homes: HomeRing;
  readonly #board: PrefillBoard;
  /** Only where the policy is prefix affinity. */
  readonly #index: PrefixIndex | undefined;
  readonly #affinity: PrefixAffinity | undefined;
  readonly #policy: Policy;
  readonly #pick: Pick = { slot: -1, reason: 'policy', cachedTokens: 0 };

  constructor({ prng }: { prng: Prng }, options: RouterOptions = {}) {
    const { policy, maxEndpoints, loadFactor } = { ...ROUTER_DEFAULTS, ...options };
    if (!POLICY_NAMES.includes(policy)) {
      throw invalidOption('policy', `one of ${POLICY_NAMES.join(', ')}`, policy);
    }
    this.policy = policy;
    this.#view = new RoutingView({ ...options.load, maxNodes: maxEndpoints });
    this.#pool = new EndpointPool({ view: this.#view, prng }, maxEndpoints, options);
    this.#board = new PrefillBoard(maxEndpoints, options.prefill);
    const isAffine = policy === 'prefix-affinity';
    const { minLoadCap } = { ...AFFINITY_DEFAULTS, ...options.affinity };
    this.#homes = new HomeRing(this.#view, maxEndpoints, {
      loadFactor,
      minLoadCap: isAffine ? minLoadCap : 0,
    });
    const components = { view: this.#view, prng, homes: this.#homes, board: this.#board };
    if (isAffine) {
      this.#index = new PrefixIndex({ ...options.index, maxEndpoints });
      this.#affinity = new PrefixAffinity(
        { ...components, index: this.#index },
        maxEndpoints,
        options.affinity,
      );
    }
    this.#policy = this.#affinity ?? simplePolicy(policy, components);
  }

  /** Names of all models that some endpoint serves, whether or not one may be sent to. */
  models(): string[] {
    return [...this.#pool.models()].sort();
  }

  /** Whether some endpoint serves `model`, be it one that may not be sent to now. */
  serves(model: string): boolean {
    return this.#pool.serves(model);
  }

  /** Adds an endpoint, or takes in what changed of one that is known. */
  add(endpoint: Endpoint, nowMs: number): void {
    const { entry, isNew } = this.#pool.set(endpoint, nowMs);
    if (!isNew) return;
    this.#board.clear(entry.slot);
    this.#homes.add(endpoint.id);
  }

  /** Its requests may still settle: they change nothing. */
  remove(id: string): void {
    const entry = this.#pool.remove(id);
    if (entry === undefined) return;
    this.#homes.remove(id);
    this.#index?.forget(entry.slot);
  }

  /** Whether nothing new is to be sent to an endpoint. Its requests end as they would. */
  drain(id: string, draining: boolean): void {
    const entry = this.#pool.find(id);
    if (entry !== undefined) this.#pool.health.drain(entry.slot, draining);
  }

  /** The engine was started anew: what it had cached is gone. */
  cacheLost(id: string): void {
    const entry = this.#pool.find(id);
    if (entry !== undefined) this.#index?.forget(entry.slot);
  }

  /** Takes in the load of a node; undefined: nothing is known any more. */
  hear(node: string, known: KnownLoad | undefined): void {
    this.#pool.hear(node, known);
  }

  /**
   * Whom to send a request to; undefined when nobody may be sent to now. Counts nothing: send it at
   * once and call `dispatched`, or forget it.
   * @param tried earlier choices for the same request: their endpoints are the last resort
   */
  choose(request: RouteRequest, nowMs: number, tried = NONE): Choice | undefined {
    const candidates = this.#pool.collect(request.model, nowMs, tried as readonly Place[]);
    const { count } = candidates;
    if (count === 0) return undefined;
    this.#pool.thin(candidates, nowMs);
    const pick = this.#pick;
    this.#policy.choose(request, candidates, { nowMs, pick });
    return new Place(this.#pool.at(pick.slot), request, {
      reason: count === 1 ? 'only' : pick.reason,
      keyKind: keyKindOf(request),
      candidates: count,
      cachedTokens: pick.cachedTokens,
    });
  }

  /**
   * Counts a choice that is being sent now. False when it may not be sent any more: its endpoint is
   * gone, or other requests probe it already. Then choose again.
   */
  dispatched(choice: Choice, nowMs: number): boolean {
    const place = placeOf(choice);
    assert(place.stage === 'chosen', 'a choice is sent once');
    const { entry, request } = place;
    const { slot } = entry;
    if (!this.#pool.has(entry)) return false;
    place.permit = this.#pool.health.acquire(slot, nowMs);
    if (place.permit === 0) return false;
    place.aheadTokens =
      this.#affinity?.aheadTokens(slot, nowMs) ?? this.#board.waiting(slot, nowMs);
    place.dispatch = this.#view.dispatched(slot);
    place.sentAtMs = nowMs;
    place.stage = 'sent';
    const told = request.streamed !== false;
    this.#board.sent(slot, place.uncachedTokens, { told, nowMs });
    if (request.prompt !== undefined) this.#index?.insert(slot, request.prompt, nowMs);
    return true;
  }

  /** The answer's first byte of content is there, so the prompt was read. */
  firstByte(choice: Choice, nowMs: number): void {
    const place = placeOf(choice);
    if (place.stage !== 'sent') return;
    place.stage = 'answering';
    if (!this.#pool.has(place.entry) || place.request.streamed === false) return;
    const { slot } = place.entry;
    this.#board.read(slot, place.uncachedTokens);
    const tokens = place.aheadTokens + place.uncachedTokens;
    this.#board.learn(slot, tokens, nowMs - place.sentAtMs);
    this.#board.fade(this.#pool.entries(), nowMs);
  }

  /** Counts a request out. Calls after the first change nothing: an abort may cross an end. */
  settled(choice: Choice, result: Result, nowMs: number): void {
    const place = placeOf(choice);
    const { stage, entry, request } = place;
    place.stage = 'over';
    if ((stage !== 'sent' && stage !== 'answering') || !this.#pool.has(entry)) return;
    const { slot } = entry;
    if (stage === 'sent' && request.streamed !== false) {
      this.#board.read(slot, place.uncachedTokens);
    }
    this.#pool.health.settle(slot, place.permit, { result, nowMs });
    // What was given up says nothing of latency.
    const latencyMs = result === 'abandoned' ? Number.NaN : nowMs - place.sentAtMs;
    this.#view.settled(place.dispatch, nowMs, { latencyMs, ok: result === 'ok' });
  }

  /** What is known of every endpoint. */
  states(nowMs: number): EndpointState[] {
    return Array.from(this.#pool.entries(), (entry) =>
      this.#stateOf(entry, this.#pool.health.exclusion(entry.slot, nowMs), nowMs),
    );
  }

  /** How `request` would be routed now. Changes nothing but where chance and turns go on. */
  explain(request: RouteRequest, nowMs: number): Explanation {
    const { model, prompt } = request;
    const choice = this.choose(request, nowMs);
    const candidates = this.#pool.collect(model, nowMs, []);
    const scores = this.#policy.scores(request, candidates, nowMs);
    const scoreAt = new Map(scores.map((score, at) => [candidates.slots[at]!, score]));
    return {
      policy: this.policy,
      model,
      keyKind: keyKindOf(request),
      promptTokens: prompt?.tokens ?? 0,
      historyTokens: prompt?.historyTokens ?? 0,
      ...(choice && { endpoint: choice.endpoint.id, reason: choice.reason }),
      candidates: this.#pool.list(model, nowMs).map(({ entry, excluded }): CandidateFacts => {
        const { score, cachedTokens, home } = scoreAt.get(entry.slot) ?? NO_SCORE;
        return {
          ...this.#stateOf(entry, excluded, nowMs),
          cachedTokens,
          home,
          score: Number.isFinite(score) ? score : null,
        };
      }),
    };
  }

  #stateOf(entry: Entry, excluded: Exclusion | undefined, nowMs: number): EndpointState {
    const { slot, endpoint } = entry;
    return {
      endpoint: endpoint.id,
      node: endpoint.node,
      ...(excluded && { excluded }),
      ownInFlight: this.#view.own(slot),
      inFlight: this.#view.inFlight(slot),
      waitingTokens: this.#board.waiting(slot, nowMs),
      prefillTokensPerMs: this.#board.rate(slot),
      weight: this.#pool.health.weight(slot, nowMs),
    };
  }
}

function simplePolicy(name: PolicyName, components: PolicyComponents): Policy {
  assert(name !== 'prefix-affinity', 'prefix affinity is made with its index');
  return name === 'consistent-hash' ? consistentHash(components) : loadPolicy(name, components);
}

function placeOf(choice: Choice): Place {
  assert(choice instanceof Place, 'a choice comes from a router');
  return choice;
}
